/**
 * `turnkeeper serve --desktop`: the server as the child of a desktop app.
 *
 * The parent writes a secret as the first line of a pipe and keeps the pipe open. It gets exactly one line of
 * JSON on standard output: where the server answers, where the one answers that has the directory already, or
 * why there is none. When the pipe closes the server ends, however the parent ended.
 */
import { Effect } from "effect"
import { join } from "node:path"
import { notStarted } from "./serve.ts"
import type { Serve, ServeOptions, StartError } from "./serve.ts"
import { codes, CommandFailed } from "./Outcome.ts"
import { meetParent } from "./Parent.ts"
import type { SecretMissing } from "./Parent.ts"
import { printJson } from "./print.ts"
import { openRotated } from "./RotatedFile.ts"
import { Stop } from "./Stop.ts"

export type DesktopOptions = Omit<ServeOptions, "json" | "secret"> & {
  /** The descriptor that the secret comes on. */
  readonly secretFd: number
}

/** Three files of 5 MiB. */
const logBounds = { bytesMax: 5 * 1024 * 1024, files: 3 } as const

/** Longer than any provider takes to stop; what then still holds on is given up. */
const stopMillis = 20_000

export const desktop = Effect.fn("cli.desktop")(function* (
  { secretFd, ...options }: DesktopOptions,
  run: Serve
) {
  const stop = yield* Stop
  const { secret, gone } = yield* Effect.mapError(meetParent(secretFd), noSecret)
  const log = keepLog(join(options.dataDirectory, "logs", "server.log"))
  const running = run({ ...options, json: true, secret }, ({ url }) =>
    Effect.tap(Effect.logInfo(`Answers at ${url}`), () =>
      Effect.sync(() => printJson({ event: "ready", url, pid: process.pid }))
    )
  ).pipe(
    Effect.mapError((error) => {
      // The directory, and so the file, is another server's.
      if (error._tag === "DataDirectoryInUse") log.leave()
      return refused(options, error)
    })
  )
  // Asked to end, it gets so long and no longer: nobody is left who could end it by force.
  const asked = Effect.tap(Effect.raceFirst(stop.asked, gone), () => Effect.sync(endInTime))
  yield* Effect.raceFirst(running, asked)
})

const endInTime = () => {
  setTimeout(() => process.exit(codes.failed), stopMillis).unref()
}

/**
 * What goes to standard error goes to the file too, the last words of a crash included. The parent may have
 * closed its side: that is no reason to fail.
 */
const keepLog = (path: string) => {
  const file = openRotated(path, logBounds)
  const write = process.stderr.write.bind(process.stderr)
  process.stderr.on("error", () => {})
  process.stderr.write = ((chunk: string | Uint8Array, ...rest: ReadonlyArray<never>) => {
    file.write(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString())
    return write(chunk, ...rest)
  }) as typeof process.stderr.write
  process.on("uncaughtExceptionMonitor", (error) => file.write(`${error.stack ?? String(error)}\n`))
  return {
    leave: () => {
      process.stderr.write = write
    }
  }
}

/** The one line, and the way out. */
const refused = (options: Omit<DesktopOptions, "secretFd">, error: StartError): CommandFailed => {
  const failure = notStarted({ ...options, json: true }, error)
  if (error._tag !== "DataDirectoryInUse") return told(failure)
  printJson({ event: "in_use", url: error.address, pid: error.pid })
  return new CommandFailed({ code: codes.inUse, message: failure.message, rule: null })
}

const told = (failure: CommandFailed): CommandFailed => {
  const { code, message } = failure
  printJson({ event: "failed", code, message })
  return failure
}

const noSecret = ({ reason }: SecretMissing): CommandFailed =>
  told(
    new CommandFailed({
      code: codes.usage,
      message: `The secret has to come as the first line of the pipe, 32 to 1024 characters long (${reason}).`,
      rule: null
    })
  )
