/** `turnkeeper verify` and `turnkeeper backup`: the database itself, whether or not a server works on it. */
import { Effect } from "effect"
import { existsSync } from "node:fs"
import type { CopyFailed } from "../maintenance/backup.ts"
import type { Verdict } from "../maintenance/verify.ts"
import { failed } from "./Outcome.ts"
import { printJson, terminal } from "./print.ts"

interface Options {
  readonly data: string
  readonly json: boolean
}

/** Ends with an error where the tables are not what the log says. */
export const verifyData = ({ data, json }: Options) =>
  Effect.gen(function* () {
    const { verify } = yield* Effect.promise(() => import("../maintenance/verify.ts"))
    if (!json) terminal.note("Making the tables anew from a copy of the log, to compare …")
    const verdict = yield* verify(yield* databaseOf(data), data).pipe(Effect.mapError(cannot))
    if (json) printJson(verdict)
    const wrong = findings(verdict)
    if (!json) {
      for (const finding of wrong) terminal.text(`${finding}\n`)
      terminal.text(`${verdict.events} events\n`)
    }
    if (wrong.length > 0) return yield* failed("The database is not what its log says.")
    if (!json) terminal.text(verdict.outdated ? outdated : "The tables are what the log says.\n")
  })

const outdated =
  "The tables are of another version of this program; its next start makes them anew, so they were not compared.\n"

const findings = ({ damage, differences, unreadable }: Verdict): ReadonlyArray<string> => [
  ...damage,
  ...(unreadable > 0 ? [`${unreadable} events cannot be read`] : []),
  ...differences.map(
    ({ extra, missing, table }) =>
      `${table}: ${missing} rows are missing or other, ${extra} are too many or other`
  )
]

export const backupData = ({ data, json }: Options, file: string) =>
  Effect.gen(function* () {
    const { backup } = yield* Effect.promise(() => import("../maintenance/backup.ts"))
    yield* backup(yield* databaseOf(data), file).pipe(Effect.mapError(cannot))
    if (json) printJson({ event: "backup", file })
    else
      terminal.note(`The database is in ${file}. To use it, put it into a data directory as turnkeeper.db.`)
  })

export const rebuildData = ({ data, json }: Options) =>
  Effect.gen(function* () {
    const { rebuild } = yield* Effect.promise(() => import("../maintenance/rebuild.ts"))
    const database = yield* databaseOf(data)
    if (!existsSync(database)) return yield* failed(`There is no database in ${data}.`)
    if (!json) terminal.note("Making the tables anew …")
    const rebuilt = yield* rebuild(data).pipe(
      Effect.catchTag("DataDirectoryInUse", ({ address, pid }) =>
        Effect.fail(
          failed(`A server works on ${data} (${address ?? `process ${pid ?? "unknown"}`}). Stop it first.`)
        )
      ),
      Effect.catch((error) => Effect.fail(error._tag === "CommandFailed" ? error : cannot(error)))
    )
    if (json) printJson(rebuilt)
    else terminal.text(`${rebuilt.events} events, ${rebuilt.unreadable} unreadable\n`)
  })

const databaseOf = (data: string) =>
  Effect.map(
    Effect.promise(() => import("../store/DataDirectory.ts")),
    ({ databaseIn }) => databaseIn(data)
  )

const cannot = (error: CopyFailed | { readonly _tag: string; readonly message: string }) =>
  failed(`The database cannot be read: ${"reason" in error ? String(error.reason) : error.message}`)
