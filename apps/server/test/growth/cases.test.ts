/** What grows, and what is too large: the cases of load and of data that have no better place. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { DatabaseSync } from "node:sqlite"
import { Commit } from "../../src/engine/Commit.ts"
import { textBytesOf } from "../../src/projection/rowText.ts"
import { EventLog, eventBytes } from "../../src/store/EventLog.ts"
import { migrated } from "../../src/store/Migrations.ts"
import { Reader, Writer } from "../../src/store/Sqlite.ts"
import * as Sqlite from "../../src/store/Sqlite.ts"
import type { App } from "../lifecycle/harness.ts"
import { answers, isSettled, scenario } from "../lifecycle/harness.ts"
import { begunItem, end, manual, tell, words } from "../lifecycle/speech.ts"
import * as Rpc from "../rpc/harness.ts"
import {
  author,
  created,
  next,
  project,
  projectChange,
  queued,
  storeAt,
  temporaryDirectory,
  undone
} from "../store/fixtures.ts"

/** Rows and bytes of the thread's log, and the bytes of text that its readers see. */
const sizes = (app: App) =>
  app.use(
    Effect.gen(function* () {
      const sql = yield* Reader
      const [log] = yield* sql<{ events: number; bytes: number }>`SELECT count(*) AS events,
        sum(${sql.literal(eventBytes)}) AS bytes FROM events WHERE stream LIKE 'thread:%'`
      const [seen] = yield* sql<{
        bytes: number
      }>`SELECT (SELECT sum(${sql.literal(textBytesOf("messages"))}) FROM messages)
        + (SELECT coalesce(sum(${sql.literal(textBytesOf("items"))}), 0) FROM items) AS bytes`
      return { events: log?.events ?? 0, log: log?.bytes ?? 0, seen: seen?.bytes ?? 0 }
    })
  )

describe("D1: the log is as long as what was said, not as the number of its pieces", () => {
  scenario("D1: an answer of thousands of pieces beside a command of hundreds is at most 20 events", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t0")
      yield* tell(app, end("completed"))
      yield* app.until(isSettled("t0"))
      const before = yield* sizes(app)
      yield* manual(app, "t1")
      yield* tell(app, begunItem("command", "command"))
      for (let n = 0; n < 300; n++) yield* tell(app, words("command", `line ${n} of an output\n`))
      yield* tell(app, (providerTurnId) => ({
        type: "item.completed",
        providerTurnId,
        providerItemId: "command",
        kind: "command",
        title: "make",
        end: "completed",
        text: null,
        detail: {}
      }))
      yield* tell(app, begunItem("answer"))
      for (let n = 0; n < 3_610; n++) yield* tell(app, words("answer", `word ${n} `))
      yield* tell(app, end("completed"))
      const view = yield* app.until(isSettled("t1"))
      assert.deepStrictEqual(
        answers(view, "t1").map(({ text }) => text.length > 30_000),
        [true]
      )
      const after = yield* sizes(app)
      assert.isAtMost(after.events - before.events, 20)
      assert.isAtMost((after.log - before.log) / (after.seen - before.seen), 1.3)
    })
  )
})

describe("E4: what was written is never written again", () => {
  const logOf = (filename: string) => {
    const database = new DatabaseSync(filename, { readOnly: true })
    try {
      return database
        .prepare(
          `SELECT sequence, stream, version, type, event_version, payload, cause, command_id, at
            FROM events ORDER BY sequence`
        )
        .all()
    } finally {
      database.close()
    }
  }

  it.effect("E4: no migration changes an event, from the first schema to the newest", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/test.db`
      yield* Effect.gen(function* () {
        const { submit } = yield* Commit
        yield* submit(projectChange(project, 0, [{ type: "project.created", title: "P", directory: "/p" }]))
        yield* submit(next(author("t"), [created, queued("a", "one"), { type: "thread.deleted" }]))
        const sql = yield* Writer
        for (const statement of undone) yield* sql.unsafe(statement)
        // Of another program's: no migration knows better than its author what it means.
        yield* sql`UPDATE events SET payload = '{"type":"some.thing" }', event_version = 7 WHERE sequence = 3`
      }).pipe(Effect.provide(storeAt(filename), { local: true }))
      const before = logOf(filename)
      assert.lengthOf(before, 4)
      yield* Effect.void.pipe(Effect.provide(migrated(Sqlite.layer({ filename })), { local: true }))
      assert.deepStrictEqual(logOf(filename), before)
      // Opened, migrated and made anew from it.
      yield* Effect.gen(function* () {
        const log = yield* EventLog
        const page = yield* log.read(0, { rows: 10, bytes: 1e6 })
        assert.deepStrictEqual([page.records.length, page.unreadable], [3, 1])
      }).pipe(Effect.provide(storeAt(filename), { local: true }))
      assert.deepStrictEqual(logOf(filename), before)
    }).pipe(Effect.scoped)
  )
})

layer(Rpc.server(), { excludeTestServices: true })("E9: what is too large", (it) => {
  const message = (n: number, source: string) => ({
    command: {
      type: "thread.turn.start",
      commandId: `c${n}`,
      threadId: "t",
      turnId: `turn-${n}`,
      messageId: `message-${n}`,
      text: "look",
      attachments: [{ name: "a.png", mediaType: "image/png", source }],
      createThread: { projectId: project, title: "T", provider: "scripted" }
    }
  })

  it.effect(
    "E9: an attachment of megabytes is a typed refusal or the end of its connection, and of nothing else",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        yield* submit(projectChange(project, 0, [{ type: "project.created", title: "P", directory: "/p" }]))
        const { call } = yield* Rpc.jsonRpc
        // Within a frame: the schema says no, and says where.
        const inFrame = yield* call(
          "orchestration.dispatch",
          message(1, `data:image/png;base64,${"A".repeat(3_000_000)}`)
        )
        assert.strictEqual(inFrame.error?.data?._tag, "InvalidRequest")
        assert.isBelow(JSON.stringify(inFrame).length, 10_000)
        // Beyond one: nothing is read of it.
        const large = yield* Rpc.jsonRpc
        yield* large.send({
          jsonrpc: "2.0",
          id: 1,
          method: "orchestration.dispatch",
          params: message(2, `data:image/png;base64,${"A".repeat(6_000_000)}`)
        })
        assert.strictEqual(yield* large.closed, 1009)
        // The first connection works on, and so does a fitting attachment.
        const fitting = yield* call("orchestration.dispatch", message(3, "/pictures/a.png"))
        assert.strictEqual(fitting.result?.status, "accepted")
        const sql = yield* Reader
        const turns = yield* sql`SELECT turn_id AS id FROM turns`
        assert.deepStrictEqual(turns, [{ id: "turn-3" }])
      }),
    30_000
  )
})
