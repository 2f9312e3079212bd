/** Work on the database itself, which takes long and says how far it has come. */
import { Schema } from "effect"

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** How far the tables are made anew. The last one has `done`: they are in use. */
export const RebuildItem = Schema.Struct({
  done: Schema.Boolean,
  /** Read from the log so far. */
  events: count,
  /** Left out, because they could not be read. */
  unreadable: count,
  /** Of the log, 0 to 1. */
  share: Schema.Number
})
export type RebuildItem = typeof RebuildItem.Type
