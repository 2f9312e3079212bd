/** `turnkeeper verify`, `backup` and `rebuild`: the database itself, whether or not a server works on it. */
import { Effect, References, Stream } from "effect"
import { existsSync } from "node:fs"
import type { CopyFailed } from "../maintenance/backup.ts"
import type { Verdict } from "../maintenance/verify.ts"
import { visit } from "./follow.ts"
import { codes, CommandFailed, failed } from "./Outcome.ts"
import { printJson, terminal } from "./print.ts"
import type { Progress } from "./progress.ts"
import { makeProgress } from "./progress.ts"
import { Stop } from "./Stop.ts"

interface Options {
  readonly data: string
  readonly json: boolean
}

/**
 * With a line on the screen that shows how far it is; the line goes with the work. Whoever wants it to stop takes
 * it back: what it had made goes, too.
 */
const watched = <A, E, R>(json: boolean, work: (progress: Progress) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const progress = makeProgress(process.stderr, { quiet: json })
    const { asked } = yield* Stop
    const stopped = new CommandFailed({
      code: codes.stopped,
      message: "Stopped: nothing was changed.",
      rule: null
    })
    return yield* Effect.raceFirst(work(progress), Effect.andThen(asked, Effect.fail(stopped))).pipe(
      Effect.ensuring(Effect.sync(progress.end))
    )
  })

/** Ends with an error where the tables are not what the log says. */
export const verifyData = ({ data, json }: Options) =>
  Effect.gen(function* () {
    const { verify } = yield* Effect.promise(() => import("../maintenance/verify.ts"))
    if (!json) terminal.note("Making the tables anew from a copy of the log, to compare …")
    const database = yield* databaseOf(data)
    const verdict = yield* watched(json, ({ show }) =>
      verify(database, data, (stage, share) => show(stages[stage], share)).pipe(Effect.mapError(cannot))
    )
    if (json) printJson(verdict)
    const wrong = findings(verdict)
    if (!json) {
      for (const finding of wrong) terminal.text(`${finding}\n`)
      terminal.text(`${verdict.events} events\n`)
    }
    if (wrong.length > 0) return yield* failed("The database is not what its log says.")
    if (!json) terminal.text(verdict.outdated ? outdated : "The tables are what the log says.\n")
  })

const stages = {
  copying: "copying the database",
  inspecting: "looking at the file",
  reading: "reading the log",
  comparing: "comparing"
} as const

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

/** By the server where one works on the directory, else by itself. */
export const rebuildData = ({ data, json }: Options) =>
  Effect.gen(function* () {
    const { rebuildOffline } = yield* Effect.promise(() => import("../maintenance/offline.ts"))
    const database = yield* databaseOf(data)
    if (!existsSync(database)) return yield* failed(`There is no database in ${data}.`)
    if (!json) terminal.note("Making the tables anew …")
    const { events, unreadable } = yield* watched(json, ({ show }) => {
      const told = ({ events, share }: { readonly events: number; readonly share: number }) =>
        show(`${events} events`, share)
      return rebuildOffline(data, told).pipe(
        // What is said of the end is said below; trouble goes where it does not mix with the answer.
        Effect.provideService(References.MinimumLogLevel, "Warn"),
        Effect.provideService(References.LogToStderr, true),
        Effect.catchTag("DataDirectoryInUse", () => rebuildByServer(data, told)),
        Effect.catch((error) => Effect.fail(error._tag === "CommandFailed" ? error : cannot(error)))
      )
    })
    if (json) printJson({ events, unreadable })
    else terminal.text(`${events} events, ${unreadable} unreadable\n`)
  })

const rebuildByServer = (
  data: string,
  told: (counts: { readonly events: number; readonly share: number }) => void
) =>
  visit(data, (client) =>
    client["maintenance.rebuild"]({}).pipe(
      Stream.tap((item) => Effect.sync(() => told(item))),
      Stream.filter(({ done }) => done),
      Stream.runHead
    )
  ).pipe(
    Effect.flatMap(
      (last): Effect.Effect<{ readonly events: number; readonly unreadable: number }, CommandFailed> =>
        last._tag === "Some"
          ? Effect.succeed(last.value)
          : Effect.fail(failed("The server ended before the tables were made anew. The old ones are in use."))
    )
  )

const databaseOf = (data: string) =>
  Effect.map(
    Effect.promise(() => import("../store/DataDirectory.ts")),
    ({ databaseIn }) => databaseIn(data)
  )

const cannot = (error: CopyFailed | { readonly _tag: string; readonly message: string }) =>
  failed(`The database cannot be read: ${"reason" in error ? String(error.reason) : error.message}`)
