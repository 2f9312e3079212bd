import { assert, describe, it } from "@effect/vitest"
import type { MessageId } from "@turnkeeper/domain/ids"
import type { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import { Effect, Tracer } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { Reader } from "../../src/store/Sqlite.ts"
import {
  appended,
  asked,
  author,
  begun,
  created,
  ended,
  next,
  queued,
  receipt,
  sent,
  sessionStarted,
  settled,
  starting,
  store,
  threadId,
  turnId
} from "../store/fixtures.ts"

/** Takes down every SQL statement that is run. */
const recorder = () => {
  const statements = new Set<string>()
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const attribute = span.attribute.bind(span)
      span.attribute = (key, value) => {
        if (key === "db.query.text") statements.add(String(value))
        attribute(key, value)
      }
      return span
    }
  })
  return { statements, tracer }
}

/** The largest of an index is one step, though its plan reads like a walk. */
const isPlannable = (text: string) =>
  /^\s*(SELECT|INSERT|UPDATE|DELETE)/.test(text) && !text.includes("max(version)")

const retry: ThreadCommand = {
  type: "thread.turn.retry",
  commandId: receipt("c2").commandId,
  threadId: threadId("t"),
  turnId: turnId("a"),
  newTurnId: turnId("c"),
  newMessageId: "c-prompt" as MessageId
}

/** How SQLite finds the rows of a statement. */
const planOf = (text: string) =>
  Effect.gen(function* () {
    const sql = yield* Reader
    const rows = yield* sql.unsafe<{ detail: string }>(
      `EXPLAIN QUERY PLAN ${text}`,
      Array(text.split("?").length - 1).fill("1")
    )
    return rows.map((row) => row.detail)
  })

/** A walk over a table, or over all of one thread's rows that are not only the open ones. */
const walks = (step: string) =>
  /^SCAN (events|command_receipts|projects|threads|sessions|turns|messages|items|requests|usage)\b/.test(
    step
  ) ||
  (/^SEARCH (events|turns|messages|items|requests|usage)\b.*\((thread_id|stream)=\?\)$/.test(step) &&
    !/INDEX (turns|messages|items|requests)_open /.test(step))

describe("the cost of a thread does not grow with its length", () => {
  it.effect("D2: no statement of a commit or of a thread's reading walks over what is settled", () => {
    const { statements, tracer } = recorder()
    return Effect.gen(function* () {
      const { submit } = yield* Commit
      const view = yield* ThreadView
      const thread = author("t")
      yield* submit(
        next(thread, [created, starting, sessionStarted, queued("a", "x"), ...sent("a")], receipt("c"))
      )
      yield* submit(
        next(thread, [begun("a", 0), begun("a", 1, "command"), appended("a", 0, 0, "x"), asked("a", "k")])
      )
      yield* submit(next(thread, [{ type: "item.updated", itemId: begun("a", 1).itemId, detail: {} }]))
      yield* submit(
        next(thread, [
          {
            type: "request.answered",
            requestId: asked("a", "k").requestId,
            answer: { decision: "accept", answers: {} }
          }
        ])
      )
      yield* submit(
        next(thread, [queued("b", "y"), { type: "session.recovering", message: "m", attempt: 1, limit: 2 }])
      )
      yield* submit(next(thread, [{ type: "turn.edited", turnId: turnId("b"), text: "z" }]))
      yield* view.snapshot(thread.id)
      yield* view.history(thread.id, 9)
      yield* view.eventsAfter(thread.id, 2)
      yield* view.load(thread.id)
      yield* view.prompt(thread.id, "a-prompt" as MessageId)
      yield* view.openThreads
      yield* view.facts(retry)
      yield* submit(next(thread, [ended("a", 0, "x"), settled("a")]))
      const plans = yield* Effect.forEach([...statements].filter(isPlannable), (text) =>
        Effect.map(planOf(text), (plan) => ({ text, plan }))
      )
      assert.isAbove(plans.length, 25)
      assert.deepStrictEqual(
        plans.filter(({ plan }) => plan.some(walks)),
        []
      )
    }).pipe(Effect.provide(store), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("D3: the first page of a thread of 20,000 entries is a page", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const sql = yield* Reader
      const thread = author("t")
      yield* submit(next(thread, [created, starting, sessionStarted, queued("a", "x"), ...sent("a")]))
      for (let n = 0; n < 20_000; n += 400) {
        const pairs = Array.from({ length: 400 }, (_, k) => [begun("a", n + k), ended("a", n + k, "x")])
        yield* submit(next(thread, pairs.flat()))
      }
      const [row] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM messages`
      assert.strictEqual(row?.n, 20_001)
      const view = yield* snapshot(thread.id)
      assert.lengthOf(view?.entries ?? [], 75)
      assert.lengthOf(view?.turns ?? [], 1)
      assert.strictEqual(view?.before, view?.entries[0]?.position)
    }).pipe(Effect.provide(store))
  )
})
