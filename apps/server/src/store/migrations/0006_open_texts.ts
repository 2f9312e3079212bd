/** Streamed text is found by a short number of its item, not by the names of thread and item in each piece. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const before = [
  `ALTER TABLE message_chunks RENAME TO named_chunks`,
  `CREATE TABLE open_texts (
    text_id INTEGER PRIMARY KEY NOT NULL,
    thread_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    UNIQUE (thread_id, item_id)
  )`,
  `CREATE TABLE message_chunks (
    text_id INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    text NOT NULL,
    seq INTEGER NOT NULL,
    after_version INTEGER NOT NULL
  )`,
  `CREATE INDEX message_chunks_text ON message_chunks (text_id)`
]

const takeOver = [
  `INSERT INTO open_texts (thread_id, item_id)
    SELECT thread_id, item_id FROM named_chunks GROUP BY thread_id, item_id`,
  `INSERT INTO message_chunks (text_id, offset, text, seq, after_version)
    SELECT text_id, offset, text, seq, after_version
    FROM named_chunks JOIN open_texts USING (thread_id, item_id) ORDER BY named_chunks.rowid`
]

const after = [`DROP TABLE named_chunks`]

export default Effect.gen(function* () {
  const sql = yield* SqlClient
  const some = yield* sql`SELECT 1 FROM message_chunks LIMIT 1`
  const statements = [...before, ...(some.length > 0 ? takeOver : []), ...after]
  yield* Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
})
