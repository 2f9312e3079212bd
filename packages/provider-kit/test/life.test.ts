/** The life of a session: one end, and honest stops. */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Deferred, Effect, Fiber, Stream } from "effect"
import * as Life from "../src/Life.ts"
import * as Outbox from "../src/Outbox.ts"
import { failWith } from "../src/ProviderError.ts"

const fail = failWith(ProviderInstanceId.make("one"))

const make = (changes: Partial<Life.LifeOptions> = {}) => {
  const outbox = Outbox.make()
  const exits = { count: 0 }
  const life = Life.make({
    name: "test",
    fail,
    outbox,
    ways: { stop: Effect.void, kill: Effect.void },
    onExit: () => void (exits.count += 1),
    ...changes
  })
  const said = Effect.map(Stream.runCollect(outbox.events), (events) => [...events])
  const asked = life.whileOpen("interrupt", () => Effect.succeed("asked"))
  return { life, exits, said, asked }
}

const reasonOf = <A>(effect: Effect.Effect<A, ReturnType<typeof fail>>) =>
  Effect.map(Effect.flip(effect), ({ fault }) => fault.reason)

describe("a session", () => {
  it.effect("ends once, whatever ends it, and is asked nothing afterwards", () =>
    Effect.gen(function* () {
      const { asked, exits, life, said } = make()
      assert.strictEqual(yield* asked, "asked")
      life.exit(false, "it crashed")
      life.exit(true, "again")
      assert.strictEqual(yield* reasonOf(asked), "SessionGone")
      assert.strictEqual(yield* reasonOf(life.stop("stop")), "SessionGone")
      assert.strictEqual(exits.count, 1)
      assert.deepStrictEqual(yield* said, [{ type: "session.exited", clean: false, message: "it crashed" }])
    })
  )

  it.effect("is over when its stop has succeeded; what was asked meanwhile was refused or went through", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { asked, life, said } = make({ ways: { stop: Deferred.await(gate), kill: null } })
      const begun = () => life.whileNotStopping("send", () => Effect.void)
      yield* begun()
      const stopping = yield* Effect.forkChild(life.stop("stop"), { startImmediately: true })
      assert.strictEqual(yield* reasonOf(begun()), "Rejected")
      assert.strictEqual(yield* asked, "asked")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(yield* said, [{ type: "session.exited", clean: true, message: null }])
    })
  )

  it.effect("L9: is as it was after a stop that failed, or a kill", () =>
    Effect.gen(function* () {
      const refuse = Effect.fail(fail("stop", "Unknown", "it did not end"))
      const { life } = make({ ways: { stop: refuse, kill: refuse } })
      for (const step of ["stop", "kill"] as const) {
        assert.strictEqual(yield* reasonOf(life.stop(step)), "Unknown")
        assert.isFalse(life.isOver() || life.isStopping())
        yield* life.whileNotStopping("send", () => Effect.void)
      }
    })
  )

  it.effect("L9: that ended by itself while its stop failed says that it is gone", () =>
    Effect.gen(function* () {
      const { life } = make({
        ways: {
          stop: Effect.suspend(() => {
            life.exit(false, "it crashed")
            return Effect.fail(fail("stop", "Unknown", "nobody answers"))
          }),
          kill: null
        }
      })
      assert.strictEqual(yield* reasonOf(life.stop("stop")), "SessionGone")
    })
  )

  it.effect("a kill does not wait for a stop, and the end that it makes is no crash", () =>
    Effect.gen(function* () {
      const { life, said } = make({
        ways: { stop: Effect.never, kill: Effect.sync(() => life.exit(false, "ended by SIGKILL")) }
      })
      yield* Effect.forkChild(life.stop("stop"), { startImmediately: true })
      yield* life.stop("kill")
      assert.deepStrictEqual(yield* said, [{ type: "session.exited", clean: true, message: null }])
    })
  )

  it.effect("takes nothing while it leaves by itself", () =>
    Effect.gen(function* () {
      const { asked } = make({ isLeaving: () => true })
      assert.strictEqual(yield* reasonOf(asked), "SessionGone")
    })
  )
})
