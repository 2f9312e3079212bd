/** Threads whose history goes because they were deleted. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const statements = [
  // newest_version: set as soon as the first of its rows has gone.
  `CREATE TABLE forgetting (
    thread_id TEXT PRIMARY KEY NOT NULL,
    deleted_version INTEGER NOT NULL,
    newest_version INTEGER
  ) WITHOUT ROWID`,
  `INSERT INTO forgetting (thread_id, deleted_version)
    SELECT substr(stream, 8), max(version) FROM events WHERE type = 'thread.deleted' GROUP BY stream`
]

export default Effect.flatMap(SqlClient, (sql) =>
  Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
)
