import { assert, describe, it } from "@effect/vitest"
import type { Entry, RequestRow } from "@turnkeeper/contracts/Rows"
import type { CommandId, MessageId } from "@turnkeeper/domain/ids"
import type { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import type { EventOf, ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { Effect } from "effect"
import type { ThreadChange } from "../../src/engine/Change.ts"
import { Commit } from "../../src/engine/Commit.ts"
import { Projects } from "../../src/projection/Projects.ts"
import { Threads } from "../../src/projection/Threads.ts"
import { gapLimits, pageLimits, ThreadView } from "../../src/projection/ThreadView.ts"
import { Meta } from "../../src/store/Meta.ts"
import { Writer } from "../../src/store/Sqlite.ts"
import type { Author } from "../store/fixtures.ts"
import {
  appended,
  asked,
  author,
  begun,
  created,
  dump,
  ended,
  itemId,
  next,
  project,
  projectChange,
  queued,
  sent,
  sessionStarted,
  settled,
  starting,
  store,
  threadId,
  turnId
} from "../store/fixtures.ts"

const running = (thread: Author) =>
  next(thread, [created, starting, sessionStarted, queued("a", "do it"), ...sent("a")])

/** A turn that ran from the prompt to its end, with one answer. */
const whole = (thread: Author, turn: string, text: string) =>
  next(thread, [
    queued(turn, `prompt of ${turn}`),
    ...sent(turn),
    begun(turn, 0),
    ended(turn, 0, text),
    settled(turn)
  ])

const notice = (message: string) => ({ type: "notice.recorded" as const, turnId: null, message })

const start = (turn: string, message: string): ThreadCommand => ({
  type: "thread.turn.start",
  commandId: "c" as CommandId,
  threadId: threadId("t"),
  turnId: turnId(turn),
  messageId: message as MessageId,
  text: "x"
})
const retry = (turn: string): ThreadCommand => ({
  type: "thread.turn.retry",
  commandId: "c" as CommandId,
  threadId: threadId("t"),
  turnId: turnId(turn),
  newTurnId: turnId("new"),
  newMessageId: "new" as MessageId
})

/** The tables are those that the log makes in one go. */
const rebuiltAlike = Effect.gen(function* () {
  const { rebuild } = yield* Commit
  const live = yield* dump
  yield* rebuild
  assert.strictEqual(yield* dump, live)
})

const ids = (entries: ReadonlyArray<Entry>) => entries.map((entry) => entry.id)

describe("a snapshot", () => {
  it.effect("shows the open turn, its request and its open message with the text so far", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const { epoch } = yield* Meta
      const thread = author("t")
      yield* submit(running(thread))
      yield* submit(next(thread, [begun("a", 0), appended("a", 0, 0, "so "), asked("a", "k")]))
      yield* submit(next(thread, [appended("a", 0, 3, "far"), queued("b", "then this")]))
      const view = yield* snapshot(thread.id)
      assert.deepInclude(view, { epoch, version: thread.version, before: null })
      assert.deepInclude(view?.session, { status: "running", generation: 1, activeTurnId: turnId("a") })
      assert.deepInclude(view?.thread, {
        sessionStatus: "running",
        openRequests: 1,
        queuedTurns: 1,
        latestTurn: { turnId: turnId("b"), state: "queued", delivered: null }
      })
      assert.deepStrictEqual(
        view?.turns.map(({ turnId, state }) => [turnId, state]),
        [
          ["a", "running"],
          ["b", "queued"]
        ]
      )
      assert.deepStrictEqual(
        view?.requests.map(({ requestId, status }) => [requestId, status]),
        [["1/k", "open"]]
      )
      assert.deepStrictEqual(ids(view?.entries ?? []), ["a-prompt", itemId("a", 0), "b-prompt"])
      assert.deepInclude(view?.entries[1], { status: "open", text: "so far" })
    }).pipe(Effect.provide(store))
  )

  it.effect("is null for a thread that is not there", () =>
    Effect.gen(function* () {
      const { snapshot, load, eventsAfter, history } = yield* ThreadView
      const id = threadId("nobody")
      assert.isNull(yield* snapshot(id))
      assert.isNull(yield* load(id))
      assert.isNull(yield* eventsAfter(id, 0))
      assert.deepStrictEqual(yield* history(id, 10), { entries: [], before: null, turns: [] })
    }).pipe(Effect.provide(store))
  )

  it.effect("L5: a settled turn has nothing open inside it, even where its events forgot to close it", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      yield* submit(next(thread, [begun("a", 0), begun("a", 1, "command"), asked("a", "k")]))
      yield* submit(next(thread, [settled("a", { state: "interrupted", reason: "lost" })]))
      const view = yield* snapshot(thread.id)
      assert.deepStrictEqual(
        view?.entries.map((entry) => entry.status),
        ["completed", "interrupted", "interrupted"]
      )
      assert.deepStrictEqual(view?.requests, [])
      assert.deepInclude(view?.turns[0], { state: "interrupted", reason: "lost", delivered: "delivered" })
      assert.deepInclude(view?.thread, { openRequests: 0 })
    }).pipe(Effect.provide(store))
  )

  it.effect("L3: the row of a settled turn never changes again", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      yield* submit(next(thread, [settled("a"), queued("b", "x")]))
      const rowOf = Effect.map(snapshot(thread.id), (view) =>
        view?.turns.find((turn) => turn.turnId === turnId("a"))
      )
      const before = yield* rowOf
      assert.deepInclude(before, { state: "completed" })
      yield* submit(next(thread, [settled("a", { state: "error", reason: "late" })]))
      yield* submit(
        next(thread, [...sent("a"), { type: "turn.quiet", turnId: turnId("a"), quiet: "asking" }])
      )
      assert.deepStrictEqual(yield* rowOf, before)
    }).pipe(Effect.provide(store))
  )

  it.effect("L15: says since when a turn is quiet, however the log is cut", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(running(thread))
      const say = (quiet: EventOf<"turn.quiet">["quiet"]) =>
        next(thread, [{ type: "turn.quiet", turnId: turnId("a"), quiet }])
      const after = Effect.fnUntraced(function* (changes: ReadonlyArray<ThreadChange>, since: number | null) {
        yield* Effect.forEach(changes, submit, { concurrency: "unbounded" })
        const view = yield* Effect.flatMap(ThreadView, ({ snapshot }) => snapshot(thread.id))
        assert.strictEqual(view?.turns[0]?.quietSince, since)
        assert.strictEqual(view?.thread.activeTurn?.quietSince ?? null, since)
        yield* rebuiltAlike
      })
      const first = say("asking")
      yield* after([first], first.at)
      yield* after([say("alive")], first.at)
      // It spoke, and fell silent anew: also where both are in one commit.
      const second = [say(null), say("asking"), say("unknown")]
      yield* after(second, second[1]!.at)
      yield* after([say(null)], null)
      const third = say("asking")
      yield* after([third], third.at)
      yield* after([next(thread, [settled("a")])], null)
    }).pipe(Effect.provide(store))
  )

  it.effect("L15: says who answered a request, where they have a name", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(running(thread))
      yield* submit(next(thread, [asked("a", "k")]))
      const { requestId } = asked("a", "k")
      const answer = { decision: "accept", answers: {} } as const
      const answered = (actor: string): ThreadChange => ({
        ...next(thread, [{ type: "request.answered", requestId, answer }]),
        cause: { type: "command", commandId: "c" as CommandId, actor }
      })
      const failed = () => next(thread, [{ type: "request.answer_failed", requestId, message: "no" }])
      const after = Effect.fnUntraced(function* (
        changes: ReadonlyArray<ThreadChange>,
        shown: Pick<RequestRow, "status" | "answeredBy">
      ) {
        yield* Effect.forEach(changes, submit, { concurrency: "unbounded" })
        const view = yield* Effect.flatMap(ThreadView, ({ snapshot }) => snapshot(thread.id))
        assert.deepInclude(view?.requests[0], shown)
        yield* rebuiltAlike
      })
      yield* after([], { status: "open", answeredBy: null })
      yield* after([answered("A phone")], { status: "answering", answeredBy: "A phone" })
      yield* after([failed()], { status: "open", answeredBy: null })
      yield* after([answered("user")], { status: "answering", answeredBy: null })
      yield* after([failed(), answered("A desk")], { status: "answering", answeredBy: "A desk" })
    }).pipe(Effect.provide(store))
  )

  it.effect("L15: is as active as what was said and done in it, whatever else is noted", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      const made = next(thread, [created])
      yield* submit(made)
      const after = Effect.fnUntraced(function* (events: ReadonlyArray<ThreadEvent>, isActive: boolean) {
        const lastActivity = Effect.map(
          Effect.flatMap(Threads, ({ all }) => all),
          ([row]) => row?.lastActivityAt
        )
        const before = yield* lastActivity
        const change = next(thread, events)
        yield* submit(change)
        assert.strictEqual(yield* lastActivity, isActive ? change.at : before)
        yield* rebuiltAlike
      })
      yield* after([queued("a", "one")], true)
      yield* after([starting, sessionStarted], false)
      yield* after(sent("a"), true)
      yield* after([begun("a", 0), ended("a", 0, "x")], true)
      yield* after([{ type: "turn.quiet", turnId: turnId("a"), quiet: "asking" }], false)
      yield* after([asked("a", "k")], true)
      yield* after([settled("a"), { type: "session.resume_changed", resume: "c" }], true)
      yield* after([{ type: "thread.updated", title: "Another" }], false)
      yield* after([{ type: "thread.archived" }], false)
      yield* after([{ type: "session.stopped", generation: 1, end: "lost", message: null }], false)
    }).pipe(Effect.provide(store))
  )

  it.effect("shows queued turns in the order in which they will run", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(next(thread, [created, queued("a", "1"), queued("b", "2"), queued("c", "3")]))
      yield* submit(next(thread, [{ type: "turn.reordered", turnId: turnId("c"), before: turnId("a") }]))
      const turns = (yield* snapshot(thread.id))?.turns ?? []
      assert.deepStrictEqual(
        turns.map((turn) => turn.turnId as string),
        ["c", "a", "b"]
      )
      assert.deepStrictEqual(
        turns.map((turn) => turn.ordinal),
        [2, 3, 4]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("shows what is still open, however long ago it began", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      yield* submit(next(thread, [begun("a", 0, "command"), appended("a", 0, 0, "output")]))
      for (let n = 1; n <= 20; n++) yield* submit(next(thread, [begun("a", n), ended("a", n, `${n}`)]))
      const view = yield* snapshot(thread.id, 5)
      assert.lengthOf(view?.entries ?? [], 6)
      assert.deepInclude(view?.entries[0], {
        id: itemId("a", 0),
        status: "open",
        text: "output",
        title: "ls"
      })
    }).pipe(Effect.provide(store))
  )

  it.effect("is of one moment while commits go on", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      const changes = Array.from({ length: 200 }, (_, n) => next(thread, [begun("a", n), ended("a", n, "x")]))
      yield* Effect.all(
        [
          Effect.forEach(changes, submit),
          Effect.forEach(changes, () =>
            Effect.map(snapshot(thread.id, 1), (view) => {
              const last = view?.entries.at(-1)
              // The newest entry began with the last but one event of the version shown, and is complete.
              if (last?.type === "message" && last.role === "assistant") {
                assert.strictEqual(last.position, (view?.version ?? 0) - 1)
                assert.strictEqual(last.status, "completed")
              }
            })
          )
        ],
        { concurrency: "unbounded" }
      )
    }).pipe(Effect.provide(store))
  )
})

describe("history", () => {
  it.effect("goes back page by page to the first prompt, nothing left out and nothing twice", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot, history } = yield* ThreadView
      const thread = author("t")
      yield* submit(next(thread, [created, starting, sessionStarted]))
      for (let n = 0; n < 30; n++) yield* submit(whole(thread, `turn-${n}`, `answer ${n}`))
      const first = yield* snapshot(thread.id, 7)
      const seen = [...ids(first?.entries ?? [])]
      let before = first?.before ?? null
      while (before !== null) {
        const page = yield* history(thread.id, before, 7)
        assert.isAtMost(page.entries.length, 7)
        seen.unshift(...ids(page.entries))
        before = page.before
      }
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 30 }, (_, n) => [`turn-${n}-prompt`, `turn-${n}/0`]).flat()
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("a page is bounded in bytes as in rows; a single huge entry is a page of its own", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot, history } = yield* ThreadView
      const thread = author("t")
      yield* submit(next(thread, [created, starting, sessionStarted]))
      yield* submit(whole(thread, "small", "x"))
      yield* submit(whole(thread, "huge", "x".repeat(pageLimits.bytes + 1)))
      for (const turn of ["p", "q", "r"]) yield* submit(whole(thread, turn, "x".repeat(400_000)))
      const view = yield* snapshot(thread.id)
      const pages = [ids(view?.entries ?? [])]
      for (let before = view?.before ?? null; before !== null;) {
        const page = yield* history(thread.id, before)
        pages.push(ids(page.entries))
        before = page.before
      }
      assert.deepStrictEqual(pages, [
        ["q-prompt", "q/0", "r-prompt", "r/0"],
        ["p-prompt", "p/0"],
        ["huge/0"],
        ["small-prompt", "small/0", "huge-prompt"]
      ])
    }).pipe(Effect.provide(store))
  )

  it.effect("a page of history brings the turns of its entries, and no others", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { history, snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(next(thread, [created, starting, sessionStarted]))
      for (const turn of ["a", "b", "c"]) yield* submit(whole(thread, turn, turn))
      yield* submit(next(thread, [queued("open", "x"), ...sent("open")]))
      const view = yield* snapshot(thread.id, 3)
      const page = yield* history(thread.id, view?.before ?? 0, 3)
      assert.deepStrictEqual(ids(page.entries), ["a/0", "b-prompt", "b/0"])
      assert.deepStrictEqual(
        page.turns.map(({ turnId, state }) => [turnId, state]),
        [
          ["a", "completed"],
          ["b", "completed"]
        ]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("a turn's row has what was used, added up, and null where nothing was reported", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      const usage = { inputTokens: 100, cachedInputTokens: 40, outputTokens: 7, reasoningTokens: 2 }
      const reported = (costUsd: number) =>
        ({ type: "usage.reported", turnId: turnId("a"), usage: { ...usage, costUsd } }) as const
      yield* submit(next(thread, [reported(0.1), reported(0.2)]))
      yield* submit(next(thread, [reported(0.3), settled("a"), queued("b", "x")]))
      const view = yield* snapshot(thread.id)
      assert.deepStrictEqual(
        view?.turns.map((turn) => turn.usage),
        [
          {
            inputTokens: 300,
            cachedInputTokens: 120,
            outputTokens: 21,
            reasoningTokens: 6,
            costMicroUsd: 600_000
          },
          null
        ]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("E5: one unreadable row does not spoil the page", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const writer = yield* Writer
      const thread = author("t")
      yield* submit(next(thread, [created, starting, sessionStarted]))
      yield* submit(whole(thread, "a", "one"))
      yield* submit(whole(thread, "b", "two"))
      yield* writer`UPDATE messages SET attachments = '{' WHERE message_id = 'a-prompt'`
      assert.deepStrictEqual(ids((yield* snapshot(thread.id))?.entries ?? []), ["a/0", "b-prompt", "b/0"])
    }).pipe(Effect.provide(store))
  )
})

describe("the gap after a version", () => {
  it.effect("holds the missing events in order, and the text so far of what is open", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { eventsAfter } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      const seen = thread.version
      yield* submit(next(thread, [begun("a", 0), appended("a", 0, 0, "text")]))
      yield* submit(next(thread, [queued("b", "more")]))
      const gap = yield* eventsAfter(thread.id, seen)
      assert.deepStrictEqual(
        gap?.records.map(({ version, event }) => [version, event.type]),
        [
          [seen + 1, "item.started"],
          [seen + 2, "turn.queued"]
        ]
      )
      assert.deepInclude(gap, { version: thread.version, texts: [{ itemId: itemId("a", 0), text: "text" }] })
      assert.deepInclude(yield* eventsAfter(thread.id, thread.version), {
        records: [],
        version: thread.version
      })
    }).pipe(Effect.provide(store))
  )

  it.effect("is null when it is too large in events or bytes, or from the future", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { eventsAfter } = yield* ThreadView
      const thread = author("t")
      yield* submit(next(thread, [created]))
      yield* submit(
        next(
          thread,
          Array.from({ length: gapLimits.rows }, (_, n) => notice(`${n}`))
        )
      )
      assert.lengthOf((yield* eventsAfter(thread.id, 1))?.records ?? [], gapLimits.rows)
      assert.isNull(yield* eventsAfter(thread.id, 0))
      assert.isNull(yield* eventsAfter(thread.id, thread.version + 1))
      const before = thread.version
      yield* submit(next(thread, [notice("x".repeat(600_000)), notice("y".repeat(600_000))]))
      assert.isNull(yield* eventsAfter(thread.id, before))
      assert.lengthOf((yield* eventsAfter(thread.id, before + 1))?.records ?? [], 1)
    }).pipe(Effect.provide(store))
  )

  it.effect("is null when an event in it cannot be read, rather than a gap without a word", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { eventsAfter } = yield* ThreadView
      const writer = yield* Writer
      const thread = author("t")
      yield* submit(next(thread, [created, queued("a", "one"), queued("b", "two")]))
      yield* writer`UPDATE events SET payload = '{"type":"turn.invented"}' WHERE version = 2`
      assert.isNull(yield* eventsAfter(thread.id, 1))
      assert.lengthOf((yield* eventsAfter(thread.id, 2))?.records ?? [], 1)
    }).pipe(Effect.provide(store))
  )
})

describe("facts", () => {
  it.effect("know every turn id and message id that was ever used in the thread", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { facts } = yield* ThreadView
      const thread = author("t")
      yield* submit(next(thread, [created, starting, sessionStarted]))
      yield* submit(whole(thread, "a", "answer"))
      const taken = (command: ThreadCommand) => Effect.map(facts(command), (facts) => facts.turnIdTaken)
      assert.isTrue(yield* taken(start("a", "m")))
      assert.isTrue(yield* taken(start("b", "a-prompt")))
      assert.isTrue(yield* taken(start("b", "a/0")))
      assert.isFalse(yield* taken(start("b", "m")))
    }).pipe(Effect.provide(store))
  )

  it.effect(
    "give a retry the settled turn with its prompt as last edited, and none for an open or unknown one",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const { facts, prompt } = yield* ThreadView
        const thread = author("t")
        const attachments = [{ name: "a.png", mediaType: "image/png", source: "/a.png" }]
        yield* submit(
          next(thread, [
            created,
            queued("a", "first words", { attachments, model: "large" }),
            queued("b", "x")
          ])
        )
        yield* submit(next(thread, [{ type: "turn.edited", turnId: turnId("a"), text: "better words" }]))
        assert.isNull((yield* facts(retry("a"))).retryOf)
        yield* submit(next(thread, [settled("a", { state: "cancelled", delivery: "not_delivered" })]))
        assert.deepStrictEqual((yield* facts(retry("a"))).retryOf, {
          turnId: turnId("a"),
          text: "better words",
          attachments,
          provider: created.provider,
          model: "large",
          runtimeMode: "approval_required",
          interactionMode: "default"
        })
        assert.isNull((yield* facts(retry("nobody"))).retryOf)
        assert.deepStrictEqual(yield* prompt(thread.id, "a-prompt" as MessageId), {
          text: "better words",
          attachments
        })
        assert.isNull(yield* prompt(thread.id, "nobody" as MessageId))
      }).pipe(Effect.provide(store))
  )
})

describe("threads and projects", () => {
  it.effect("openThreads are those with an open session, an open turn or a stop asked for", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { openThreads } = yield* ThreadView
      const [rest, waits, lives] = [author("rest"), author("waits"), author("lives")]
      yield* submit(next(rest, [created, queued("a", "x"), settled("a", { state: "cancelled" })]))
      yield* submit(next(waits, [created, queued("a", "x")]))
      yield* submit(next(lives, [created, starting, sessionStarted]))
      assert.deepStrictEqual(yield* openThreads, [lives.id, waits.id])
      yield* submit(next(lives, [{ type: "session.stopped", generation: 1, end: "clean", message: null }]))
      assert.deepStrictEqual(yield* openThreads, [waits.id])
    }).pipe(Effect.provide(store))
  )

  it.effect("a thread's row says when it was archived, and no longer once it is back", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { all, byIds } = yield* Threads
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const archived = next(thread, [{ type: "thread.archived" }])
      yield* submit(archived)
      yield* submit(next(thread, [{ type: "thread.updated", title: "New title", model: "large" }]))
      const [row] = yield* all
      assert.deepInclude(row, { archivedAt: archived.at, title: "New title", model: "large", version: 3 })
      yield* submit(next(thread, [{ type: "thread.unarchived" }, { type: "thread.deleted" }]))
      assert.deepStrictEqual(yield* all, [])
      const [gone] = yield* byIds([thread.id, threadId("nobody")])
      assert.isNull(gone?.archivedAt)
      assert.isNumber(gone?.deletedAt)
    }).pipe(Effect.provide(store))
  )

  it.effect("what went wrong beside the work is a notice in the thread", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(running(thread))
      yield* submit(
        next(thread, [
          { type: "turn.interrupt_failed", turnId: turnId("a"), reason: "not now" },
          { type: "session.stop_failed", message: "cannot stop" },
          { type: "session.stopped", generation: 1, end: "crash", message: "it crashed" }
        ])
      )
      const notices = (yield* snapshot(thread.id))?.entries.filter((entry) => entry.type === "item")
      assert.deepStrictEqual(
        notices?.map(({ kind, text, turnId }) => [kind, text, turnId]),
        [
          ["notice", "not now", "a"],
          ["notice", "cannot stop", null],
          ["notice", "it crashed", null]
        ]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("a project's state is read back with its version; a deleted one is in no list", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const projects = yield* Projects
      assert.isNull(yield* projects.load(project))
      yield* submit(projectChange(project, 0, [{ type: "project.created", title: "P", directory: "/p" }]))
      yield* submit(projectChange(project, 1, [{ type: "project.updated", title: "Q" }]))
      assert.deepStrictEqual(yield* projects.load(project), {
        state: { project: { title: "Q", directory: "/p" }, deleted: false },
        version: 2
      })
      assert.isFalse(yield* projects.hasThreads(project))
      yield* submit(next(author("t"), [created]))
      assert.isTrue(yield* projects.hasThreads(project))
      assert.deepStrictEqual(
        (yield* projects.all).map((row) => row.title),
        ["Q"]
      )
      yield* submit(projectChange(project, 2, [{ type: "project.deleted" }]))
      assert.deepStrictEqual(yield* projects.all, [])
      assert.isTrue((yield* projects.load(project))?.state.deleted)
    }).pipe(Effect.provide(store))
  )
})
