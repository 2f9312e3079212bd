/** The few facts about the database itself. */
import { Context, Effect, Layer } from "effect"
import { Reader } from "./Sqlite.ts"

export class Meta extends Context.Service<
  Meta,
  {
    /** Drawn once when the database was made: a client's version counts only in the epoch it came from. */
    readonly epoch: string
  }
>()("server/store/Meta") {
  static readonly layer = Layer.effect(
    Meta,
    Effect.gen(function* () {
      const sql = yield* Reader
      const [row] = yield* sql<{ value: string }>`SELECT value FROM meta WHERE key = 'epoch'`.pipe(
        Effect.orDie
      )
      if (row === undefined)
        return yield* Effect.die(new Error("The database has no epoch: it was not migrated"))
      return Meta.of({ epoch: row.value })
    })
  )
}
