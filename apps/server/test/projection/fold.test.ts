/** What a client makes of what it is told, held against the tables. */
import { assert, describe, it } from "@effect/vitest"
import { cursorOf, fromSnapshot, joined } from "@turnkeeper/contracts/Fold"
import type { ThreadFold } from "@turnkeeper/contracts/Fold"
import { Effect, Stream } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { Feed } from "../../src/engine/Feed.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { threadSubscription } from "../../src/rpc/ThreadSubscription.ts"
import type { Author } from "../store/fixtures.ts"
import { author, next, receipt, store } from "../store/fixtures.ts"
import type { Dice } from "./walk.ts"
import { dice, step } from "./walk.ts"

/** The fold, carried on over all that was committed since. */
const caughtUp = Effect.fnUntraced(function* (thread: Author, fold: ThreadFold | null) {
  const view = yield* ThreadView
  const source = { feed: yield* Feed, view, epoch: view.epoch }
  const input = { threadId: thread.id, ...(fold !== null && { after: cursorOf(fold) }) }
  const told = Stream.takeUntil(threadSubscription(source, input), ({ type }) => type === "synchronized")
  const items = yield* Stream.runCollect(told)
  return items.reduce((before: ThreadFold | null, item) => {
    // A snapshot would hide what the fold makes of events.
    assert.isTrue(fold === null || item.type !== "snapshot")
    const after = joined(before, item)
    assert.isNull(after.fault)
    return after.fold
  }, fold)!
})

/** A snapshot has no settled turn of which it shows nothing; a client may have seen one. */
const shown = ({ requests, session, thread, turns }: ThreadFold, truth: ThreadFold) => {
  const ids = new Set(truth.turns.map((turn) => turn.turnId))
  return { thread, session, requests, turns: turns.filter((turn) => ids.has(turn.turnId)) }
}

const names = ["A phone", "A desk", "user"]

/** Commits one step; whether there was anything to commit. */
const walked = Effect.fnUntraced(function* (thread: Author, roll: Dice) {
  const events = step(thread, roll)
  if (events.length === 0) return false
  const { commandId } = receipt(`c-${thread.id}-${thread.version}-${roll.below(1e9)}`)
  const cause = { type: "command", commandId, actor: roll.of(names) } as const
  yield* Effect.flatMap(Commit, ({ submit }) => submit({ ...next(thread, events), cause }))
  return true
})

describe("a client's fold", () => {
  it.effect(
    "is what the tables say, however far it was behind",
    () =>
      Effect.gen(function* () {
        const { snapshot } = yield* ThreadView
        const met = { quiet: 0, named: 0 }
        for (const seed of [1, 2, 3, 4]) {
          const roll = dice(seed)
          const thread = author(`t${seed}`)
          let fold: ThreadFold | null = null
          for (let n = 0; n < 500; n++) {
            if (!(yield* walked(thread, roll)) || roll.below(3) === 0) continue
            fold = yield* caughtUp(thread, fold)
            const truth = fromSnapshot({ type: "snapshot", ...(yield* snapshot(thread.id, 500))! })
            assert.deepStrictEqual(shown(fold, truth), shown(truth, truth))
            met.quiet += truth.thread.activeTurn?.quietSince == null ? 0 : 1
            met.named += truth.requests.filter((row) => row.answeredBy !== null).length
          }
        }
        for (const [what, count] of Object.entries(met)) assert.isAbove(count, 0, what)
      }).pipe(Effect.provide(store)),
    60_000
  )
})
