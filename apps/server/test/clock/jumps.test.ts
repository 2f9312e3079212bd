/**
 * The wall clock jumps by an hour, forwards and back, while turns, deadlines, receipts and subscriptions are
 * at work. No order changes and no deadline trips: only stamps for people come from that clock.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import { Feed } from "../../src/engine/Feed.ts"
import type { App } from "../lifecycle/harness.ts"
import { isIn, isSettled, scenario, textsOf, thread } from "../lifecycle/harness.ts"
import { begunItem, end, manual, tell, words } from "../lifecycle/speech.ts"
import { hang } from "@turnkeeper/provider-kit/testing/control"

const hour = 3_600_000

/** What was asked of the provider, whatever it was given. */
const asked = (app: App, operation: string) =>
  app
    .control()
    .calls()
    .filter((call) => call.operation === operation)

for (const [way, jump] of [
  ["forwards", hour],
  ["back", -hour]
] as const) {
  describe(`the clock jumps ${way}`, () => {
    scenario("L14: a turn that is at work is not asked after because the clock jumped", (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        for (let minute = 0; minute < 12; minute++) {
          yield* app.sleepThrough("1 minute")
          yield* tell(app, begunItem(`m${minute}`))
          yield* app.until(({ messages }) => messages.length === minute + 2)
          yield* app.jump(jump)
        }
        assert.isEmpty(asked(app, "probe"))
        yield* tell(app, end("completed"))
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
      })
    )

    scenario("L14: a deadline that was due is neither put off nor forgotten", (app) =>
      Effect.gen(function* () {
        app.control().next("interrupt", hang)
        yield* manual(app, "t1")
        yield* app.dispatch({ type: "thread.turn.interrupt" })
        yield* app.control().called("interrupt")
        yield* app.jump(jump)
        const view = yield* app.passUntil(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "interrupted")
      })
    )

    scenario("L13, L12: a queue keeps its order, and each message goes out once", (app) =>
      Effect.gen(function* () {
        const names = ["a", "b", "c", "d"]
        yield* manual(app, "t0")
        for (const [index, name] of names.entries()) {
          yield* app.say(name, `[[text:${name}]]`)
          yield* app.jump(index % 2 === 0 ? jump : -2 * jump)
        }
        yield* tell(app, end("completed"))
        const view = yield* app.until(isSettled("d"))
        const order = [...view.turns].toSorted((one, other) => one.ordinal - other.ordinal)
        assert.deepStrictEqual(
          order.map(({ turnId, state }) => `${turnId} ${state}`),
          ["t0", ...names].map((name) => `${name} completed`)
        )
        assert.deepStrictEqual(
          textsOf(app.control().received()).slice(1),
          names.map((name) => `[[text:${name}]]`)
        )
      })
    )

    scenario("L11: a receipt answers as before", (app) =>
      Effect.gen(function* () {
        const say = app.say("t1", "[[text:one]]", { commandId: "once" as never })
        yield* app.say("t0", "[[text:none]]")
        yield* app.until(isSettled("t0"))
        const first = yield* say
        yield* app.until(isSettled("t1"))
        yield* app.jump(jump)
        assert.deepStrictEqual(yield* say, first)
        yield* app.crash("dies")
        yield* app.jump(-2 * jump)
        assert.deepStrictEqual(yield* say, first)
        assert.deepStrictEqual(yield* app.recorded("scripted"), ["[[text:none]]", "[[text:one]]"])
      })
    )

    scenario("a follower is told every version once, in order", (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        const { version } = yield* app.view()
        const versions = yield* app.use(
          Effect.gen(function* () {
            const news = yield* Effect.flatMap(Feed, (feed) => feed.thread(thread))
            for (let n = 0; n < 6; n++) {
              yield* tell(app, begunItem(`m${n}`))
              yield* tell(app, words(`m${n}`, "words "))
              yield* app.jump(n % 2 === 0 ? jump : -2 * jump)
            }
            yield* tell(app, end("completed"))
            const seen: Array<number> = []
            for (;;) {
              for (const one of yield* news.take) {
                if (one.type !== "record") continue
                seen.push(one.record.version)
                if (one.record.event.type === "turn.settled") return seen
              }
            }
          })
        )
        assert.deepStrictEqual(
          versions,
          versions.map((_, index) => version + 1 + index)
        )
      })
    )

    scenario("a thread is not put to sleep because the clock jumped", (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[text:one]]")
        yield* app.until(isSettled("t1"))
        yield* app.dispatch({ type: "thread.session.stop" })
        yield* app.until(({ session }) => session.status === "stopped")
        const awake = app.use(Effect.map(Mailboxes, (boxes) => boxes.awake(thread)))
        const before = yield* awake
        assert.isDefined(before)
        yield* app.jump(jump)
        yield* app.sleepThrough("3 minutes")
        assert.strictEqual(yield* awake, before)
        yield* app.sleepThrough("8 minutes")
        assert.isUndefined(yield* awake)
        yield* app.say("t2", "[[manual]]")
        yield* app.until(isIn("t2", "running"))
      })
    )
  })
}
