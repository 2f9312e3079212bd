/** Which program answers: its version and this run of it. */
import { Clock, Context, Effect, Layer } from "effect"
import { randomUUID } from "node:crypto"
import manifest from "../../package.json" with { type: "json" }

export const version: string = manifest.version

export class ServerInfo extends Context.Service<
  ServerInfo,
  {
    readonly version: string
    /** Another one after each start. */
    readonly instanceId: string
    readonly startedAt: number
  }
>()("server/rpc/ServerInfo") {
  static readonly layer = Layer.effect(
    ServerInfo,
    Effect.gen(function* () {
      return { version, instanceId: randomUUID(), startedAt: yield* Clock.currentTimeMillis }
    })
  )
}
