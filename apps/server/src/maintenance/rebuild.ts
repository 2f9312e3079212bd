/**
 * Makes all tables anew from the log, with no server at work: the data directory is held as a server holds it.
 * A crash in the middle leaves the tables as they were.
 */
import { Effect, Layer } from "effect"
import { Commit } from "../engine/Commit.ts"
import { Feed } from "../engine/Feed.ts"
import { DataDirectory } from "../store/DataDirectory.ts"
import { migrated } from "../store/Migrations.ts"
import * as Sqlite from "../store/Sqlite.ts"

export const rebuild = (directory: string) =>
  Effect.flatMap(Commit, (commit) => commit.rebuild).pipe(Effect.provide(alone(directory)))

const alone = (directory: string) =>
  Layer.unwrap(
    Effect.map(DataDirectory, ({ database }) =>
      Commit.layer.pipe(
        Layer.provide(Feed.layer),
        Layer.provide(migrated(Sqlite.layer({ filename: database })))
      )
    )
  ).pipe(Layer.provide(DataDirectory.layer(directory)))
