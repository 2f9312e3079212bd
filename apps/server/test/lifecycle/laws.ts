/**
 * What must be true of every database at any moment, read from its tables and its log.
 */
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { DatabaseSync } from "node:sqlite"
import { join } from "node:path"
import { Commit } from "../../src/engine/Commit.ts"
import { Feed } from "../../src/engine/Feed.ts"
import { storeLayer } from "../../src/server.ts"
import { Reader } from "../../src/store/Sqlite.ts"
import { dump, temporaryDirectory } from "../store/fixtures.ts"

export const heldLaws = (database: string) =>
  Effect.gen(function* () {
    const sql = yield* Reader
    for (const [law, breach] of Object.entries(breaches)) {
      assert.deepStrictEqual(yield* sql.unsafe(breach), [], law)
    }
    yield* oneEnd(sql)
    const { kept, rebuilt } = yield* ofOneMoment(database)
    assert.strictEqual(rebuilt, kept, "L15: the tables are the fold of the log")
  })

const terminal = "t.state NOT IN ('queued', 'sending', 'running')"

/** Each gives the rows that break its law. */
const breaches = {
  "L1: at most one turn of a thread runs and at most one is being sent": `SELECT thread_id, state, count(*) AS turns
    FROM turns WHERE state IN ('running', 'sending') GROUP BY thread_id, state HAVING count(*) > 1`,
  "L2: the session runs exactly when its active turn does": `SELECT s.thread_id, s.status, s.active_turn_id, t.state
    FROM sessions s LEFT JOIN turns t ON t.thread_id = s.thread_id AND t.turn_id = s.active_turn_id
    WHERE (s.status = 'running') <> (s.active_turn_id IS NOT NULL)
      OR (s.active_turn_id IS NOT NULL AND t.state IS NOT 'running')`,
  "L2: a running turn is the active one": `SELECT t.thread_id, t.turn_id FROM turns t JOIN sessions s USING (thread_id)
    WHERE t.state = 'running' AND s.active_turn_id IS NOT t.turn_id`,
  "L5: nothing inside a settled turn is open": `SELECT t.turn_id, i.item_id AS inside FROM turns t
      JOIN items i USING (thread_id, turn_id) WHERE ${terminal} AND i.status = 'open'
    UNION ALL SELECT t.turn_id, m.message_id FROM turns t
      JOIN messages m USING (thread_id, turn_id) WHERE ${terminal} AND m.status = 'open'
    UNION ALL SELECT t.turn_id, r.request_id FROM turns t
      JOIN requests r USING (thread_id, turn_id) WHERE ${terminal} AND r.status IN ('open', 'answering')`,
  "A8: a settled turn has its end and its reason": `SELECT t.turn_id, t.state, t.settled_at, t.reason FROM turns t
    WHERE ${terminal} AND (t.settled_at IS NULL OR (t.reason IS NULL AND t.state NOT IN ('completed', 'steered')))`,
  "L12: a message's text is kept": `SELECT t.turn_id FROM turns t WHERE t.message_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.thread_id = t.thread_id AND m.message_id = t.message_id)`
}

/** L3: the log holds at most one end per turn, and nothing of a turn behind its end. */
const oneEnd = (sql: SqlClient) =>
  Effect.gen(function* () {
    const rows = yield* sql<{ readonly stream: string; readonly payload: string }>`
      SELECT stream, payload FROM events WHERE stream LIKE 'thread:%' ORDER BY stream, version`
    const ended = new Set<string>()
    for (const { stream, payload } of rows) {
      const event = JSON.parse(payload) as { readonly type: string; readonly turnId?: string | null }
      if (event.turnId == null) continue
      const turn = `${stream} ${event.turnId}`
      const says = event.type.startsWith("turn.") || event.type.startsWith("item.")
      assert.isFalse(says && ended.has(turn), `L3: ${event.type} comes after the end of ${turn}`)
      if (event.type === "turn.settled") ended.add(turn)
    }
  })

/** The tables as they were kept until now, and as they are when made anew from the log, in a copy of the database. */
const ofOneMoment = (database: string) =>
  Effect.gen(function* () {
    const copy = join(yield* temporaryDirectory, "copy.db")
    yield* Effect.sync(() => {
      const source = new DatabaseSync(database, { readOnly: true })
      source.exec(`VACUUM INTO '${copy}'`)
      source.close()
    })
    const layer = Commit.layer.pipe(Layer.provideMerge(Feed.layer), Layer.provideMerge(storeLayer(copy)))
    const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), yield* Effect.scope)
    return yield* Effect.gen(function* () {
      const { rebuild } = yield* Commit
      const kept = yield* dump
      yield* rebuild
      return { kept, rebuilt: yield* dump }
    }).pipe(Effect.provideContext(context))
  })
