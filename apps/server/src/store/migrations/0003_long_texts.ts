/** Long outputs stand whole in the log alone: where their rows leave something out, and which event has it. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const columns = ["omitted_from", "omitted_length", "text_version"]

export default Effect.flatMap(SqlClient, (sql) =>
  Effect.forEach(columns, (column) => sql.unsafe(`ALTER TABLE items ADD COLUMN ${column} INTEGER`), {
    discard: true
  })
)
