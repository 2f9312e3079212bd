/** The words of messages. The index holds no text of its own: it reads the rows behind `searchable`. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const statements = [
  // Sequence of the event that completed the message, so that newer ones have higher ones; null: not searched.
  `ALTER TABLE messages ADD COLUMN search_id INTEGER`,
  `CREATE UNIQUE INDEX messages_search ON messages (search_id) WHERE search_id IS NOT NULL`,
  `CREATE VIEW searchable AS SELECT search_id, text FROM messages WHERE search_id IS NOT NULL`,
  `CREATE VIRTUAL TABLE message_search USING fts5(
    text, content = 'searchable', content_rowid = 'search_id', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
  )`
]

export default Effect.flatMap(SqlClient, (sql) =>
  Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
)
