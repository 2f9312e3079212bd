/** Each text stands once, beside its event; the rows that show it say which event has it. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const statements = [
  `DROP VIEW searchable`,
  // Null: the event has none, or it was logged before and has it in its payload.
  `ALTER TABLE events ADD COLUMN text TEXT`,
  `ALTER TABLE messages ADD COLUMN text_at INTEGER`,
  // It counted in versions. No row is read before the tables are made anew, which this version of them asks for.
  `ALTER TABLE items RENAME COLUMN text_version TO text_at`,
  `CREATE VIEW searchable AS SELECT search_id, coalesce(nullif(text, ''), (
      SELECT coalesce(events.text, events.payload ->> '$.text') FROM events WHERE sequence = text_at
    ), '') AS text
    FROM messages WHERE search_id IS NOT NULL`
]

export default Effect.flatMap(SqlClient, (sql) =>
  Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
)
