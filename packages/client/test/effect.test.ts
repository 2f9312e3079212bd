/** The client for programs that use Effect. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { afterAll, beforeAll } from "vitest"
import { changes, make } from "../src/effect.ts"
import { newId } from "../src/index.ts"
import { patience, startWorld } from "./support/world.ts"
import type { World } from "./support/world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld()
}, patience.timeout)
afterAll(() => world.dispose())

describe("the client with effects", patience, () => {
  it.live("follows a thread as a stream, fails with types, and ends with its scope", () =>
    Effect.gen(function* () {
      const token = yield* Effect.promise(() => world.server.token())
      const [threadId, turnId] = [newId("thread"), newId("turn")]
      const connection = yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* make({ url: world.server.url, credential: { type: "token", token } })
          const thread = yield* client.thread(threadId)
          const refused = yield* Effect.flip(client.dispatch({ type: "thread.archive", threadId }))
          assert.strictEqual(refused._tag, "ThreadNotFound")

          const projectId = newId("project")
          yield* client.dispatch({ type: "project.create", projectId, title: "Test", directory: "/tmp" })
          yield* client.dispatch({
            type: "thread.turn.start",
            threadId,
            turnId,
            messageId: newId("message"),
            text: "[[text:Hello]]",
            createThread: { projectId, title: "Test", provider: "scripted" }
          })
          const model = yield* changes(thread.model).pipe(
            Stream.takeUntil(({ turns }) => turns.some((turn) => turn.state === "completed")),
            Stream.runLast
          )
          assert.deepStrictEqual(
            model._tag === "Some" ? model.value.entries.map((entry) => entry.text) : [],
            ["[[text:Hello]]", "Hello"]
          )
          const page = yield* client.call("orchestration.history", { threadId, before: 3, limit: 10 })
          assert.strictEqual(page.entries.length, 1)
          return client.connection
        })
      )
      assert.strictEqual(connection.get().status, "closed")
    })
  )
})
