/** The directories of the machine that the server runs on, as one looks through them to choose a project's. */
import { Schema } from "effect"

export const BrowseInput = Schema.Struct({
  /** Absolute, or begins with `~`. Default: the home directory. */
  path: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(4096)))
})
export type BrowseInput = typeof BrowseInput.Type

/** At most so many of a directory's folders are listed. */
export const foldersMax = 1_000

export const Folder = Schema.Struct({
  /** Absolute, with links resolved. */
  path: Schema.String,
  /** Null at the root. */
  parent: Schema.NullOr(Schema.String),
  home: Schema.String,
  /** A directory that is always there and holds nothing of anybody: for a first try. */
  playground: Schema.String,
  isGit: Schema.Boolean,
  /** Sorted by name; hidden ones come last. */
  directories: Schema.Array(
    Schema.Struct({ name: Schema.String, path: Schema.String, isGit: Schema.Boolean })
  ),
  /** There are more than are listed. */
  truncated: Schema.Boolean
})
export type Folder = typeof Folder.Type
