/** Since when a turn is quiet, and who answered a request. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const statements = [
  `ALTER TABLE turns ADD COLUMN quiet_since INTEGER`,
  `ALTER TABLE requests ADD COLUMN answered_by TEXT`
]

export default Effect.flatMap(SqlClient, (sql) =>
  Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
)
