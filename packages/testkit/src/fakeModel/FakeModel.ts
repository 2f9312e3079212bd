/** The fake model as a service: it runs as long as its scope. */
import { Context, Effect, Layer } from "effect"
import { start } from "./server.ts"
import type { FakeModelOptions, RunningFakeModel } from "./server.ts"

export const make = (options: FakeModelOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (model) => Effect.promise(() => model.close())
  )

export class FakeModel extends Context.Service<FakeModel, RunningFakeModel>()("testkit/fakeModel/FakeModel") {
  static readonly layer = (options: FakeModelOptions = {}) => Layer.effect(FakeModel, make(options))
}
