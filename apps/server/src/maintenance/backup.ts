/** A copy of the database as it is at one moment, whole by itself, while whoever writes goes on writing. */
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"

/** There is no database, it is damaged, or the copy has no place. Nothing is left of a copy that was begun. */
export class CopyFailed extends Schema.TaggedError<CopyFailed>()("CopyFailed", { reason: Schema.String }) {}

/** Makes the file, for its owner alone; one that is there already is left alone. */
export const backup = (database: string, to: string): Effect.Effect<void, CopyFailed> =>
  Effect.try({
    try: () => {
      // Refuses to open what is not there, and to write over what is.
      const source = new DatabaseSync(database, { readOnly: true })
      try {
        fs.closeSync(fs.openSync(to, "wx", 0o600))
        copy(source, to)
      } finally {
        source.close()
      }
    },
    catch: (cause) => new CopyFailed({ reason: cause instanceof Error ? cause.message : String(cause) })
  })

const copy = (source: DatabaseSync, to: string) => {
  try {
    source.exec("PRAGMA busy_timeout = 5000")
    source.prepare("VACUUM INTO ?").run(to)
  } catch (cause) {
    fs.rmSync(to, { force: true })
    throw cause
  }
}
