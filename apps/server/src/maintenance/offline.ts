/** Makes all tables anew from the log, with no server at work: the data directory is held as a server holds it. */
import { Effect, Layer } from "effect"
import { Commit } from "../engine/Commit.ts"
import { Feed } from "../engine/Feed.ts"
import { DataDirectory } from "../store/DataDirectory.ts"
import { migrated } from "../store/Migrations.ts"
import * as Sqlite from "../store/Sqlite.ts"
import type { Counts } from "./Rebuild.ts"
import { Rebuild } from "./Rebuild.ts"

export const rebuildOffline = (directory: string, told: (counts: Counts) => void) =>
  Effect.flatMap(Rebuild, ({ clear, run }) => Effect.tap(run(told), clear)).pipe(
    Effect.provide(alone(directory))
  )

const alone = (directory: string) =>
  Layer.unwrap(
    Effect.map(DataDirectory, ({ database }) =>
      Rebuild.layer.pipe(
        Layer.provide(Commit.layer),
        Layer.provide(Feed.layer),
        Layer.provide(migrated(Sqlite.layer({ filename: database })))
      )
    )
  ).pipe(Layer.provide(DataDirectory.layer(directory)))
