/** Looking for words in what was said. */
import { Millis, ProjectId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import { tolerant } from "./Tolerant.ts"

export const SearchInput = Schema.Struct({
  /** Words, in any order; each has to occur, the last one may be the beginning of a word. No syntax. */
  query: Schema.String.check(Schema.isMaxLength(500)),
  /** In this thread alone. */
  threadId: Schema.optionalKey(ThreadId),
  limit: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  /** The `before` of the page above. */
  before: Schema.optionalKey(Schema.Int)
})
export type SearchInput = typeof SearchInput.Type

/** A message with the words in it: a prompt or an answer. */
export const SearchHit = Schema.Struct({
  threadId: ThreadId,
  projectId: ProjectId,
  threadTitle: Schema.String,
  turnId: TurnId,
  /** The id of the thread's entry, and its place, for `orchestration.history`. */
  entryId: Schema.String,
  position: Schema.Int,
  role: tolerant(Schema.Literals(["user", "assistant"])),
  at: Millis,
  /** A few words around the first find. `marks`: where the found words begin and end in it, in UTF-16 units. */
  snippet: Schema.Struct({
    text: Schema.String,
    marks: Schema.Array(Schema.Struct({ start: Schema.Int, end: Schema.Int }))
  })
})
export type SearchHit = typeof SearchHit.Type

export const SearchPage = Schema.Struct({
  /** The newest first. */
  hits: Schema.Array(SearchHit),
  /** For what is older; null: there is nothing older. A page may have fewer hits than `limit`, and still more behind it. */
  before: Schema.NullOr(Schema.Int)
})
export type SearchPage = typeof SearchPage.Type
