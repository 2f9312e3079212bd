/**
 * A disk that is really full: the database on a small file system of its own. Skipped where nothing can be
 * mounted; what SQLite then says is played at each statement in everyStatement.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { scenarioOn } from "../lifecycle/harness.ts"
import type { App } from "../lifecycle/harness.ts"
import { answers, isIn, isSettled, textsOf } from "../lifecycle/harness.ts"
import { begunItem, end, manual, tell, words } from "../lifecycle/speech.ts"
import { canMount, smallDisk } from "./smallDisk.ts"
import type { SmallDisk } from "./smallDisk.ts"

/** More than the database file has room for by itself. */
const much = "x".repeat(200_000)

const onFull = (name: string, body: (app: App, disk: SmallDisk) => Effect.Effect<void, unknown>) =>
  it.effect.skipIf(!canMount)(
    name,
    () =>
      Effect.gen(function* () {
        const disk = yield* smallDisk
        yield* scenarioOn({ directory: disk.directory, mayLogErrors: true }, (app) => body(app, disk))
      }).pipe(Effect.scoped),
    30_000
  )

describe("a full disk", () => {
  onFull(
    "a command is refused by type, as one that may be sent again, and taken once there is room",
    (app, disk) =>
      Effect.gen(function* () {
        yield* app.say("t1", "hello")
        yield* app.until(isSettled("t1"))
        yield* disk.fill(0)
        const say = app.say("t2", much, { commandId: "again" as never })
        assert.deepInclude(yield* Effect.flip(say), { _tag: "StorageUnavailable", retryable: true })
        assert.deepInclude(yield* Effect.flip(say), { _tag: "StorageUnavailable", retryable: true })
        // Reading needs no room.
        assert.lengthOf((yield* app.view()).turns, 1)
        yield* disk.free
        const first = yield* say
        const view = yield* app.passUntil(isSettled("t2"))
        assert.strictEqual(view.turn("t2").state, "completed")
        assert.deepStrictEqual(yield* say, first)
        assert.deepStrictEqual(textsOf(app.control().received()), ["hello", much])
      })
  )

  onFull("L12: what streams meanwhile waits, and is there to the last word once there is room", (app, disk) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, begunItem("m1"))
      yield* tell(app, words("m1", "before "))
      yield* app.until((view) => answers(view, "t1").some(({ text }) => text === "before "))
      yield* disk.fill(0)
      const speaking = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (let n = 0; n < 2; n++) yield* tell(app, words("m1", much))
          yield* tell(app, words("m1", "after"))
          yield* tell(app, end("completed"))
        })
      )
      const refused = yield* Effect.flip(app.say("t2", much))
      assert.deepInclude(refused, { _tag: "StorageUnavailable", retryable: true })
      assert.isTrue(isIn("t1", "running")(yield* app.view()))
      yield* disk.free
      const view = yield* app.passUntil(isSettled("t1"))
      yield* Fiber.join(speaking)
      assert.deepStrictEqual(answers(view, "t1"), [
        { status: "completed", text: `before ${much.repeat(2)}after` }
      ])
    })
  )

  onFull("a server that is killed on a full disk starts again with all that was acknowledged", (app, disk) =>
    Effect.gen(function* () {
      yield* app.say("t1", "hello")
      yield* app.until(isSettled("t1"))
      yield* manual(app, "t2")
      yield* disk.fill(0)
      yield* Effect.flip(app.say("t3", much))
      yield* app.kill("dies")
      yield* disk.free
      yield* app.boot
      const view = yield* app.passUntil(isSettled("t2"))
      assert.deepStrictEqual(
        view.turns.map(({ turnId, state }) => `${turnId} ${state}`),
        ["t1 completed", "t2 interrupted"]
      )
      yield* app.say("t3", "goes on")
      assert.strictEqual((yield* app.passUntil(isSettled("t3"))).turn("t3").state, "completed")
    })
  )
})
