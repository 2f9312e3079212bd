/** `turnkeeper serve`: the server itself, until it is asked to stop. */
import { accessLimits } from "@turnkeeper/contracts/Access"
import type { PairingLink } from "@turnkeeper/contracts/Access"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { Effect } from "effect"
import type { Redacted } from "effect"
import type { HttpServerError } from "effect/http"
import type { ProviderConfigInvalid } from "../provider/configured.ts"
import type { TokenUnreadable } from "../rpc/Token.ts"
import type { DataDirectoryInUse, DataDirectoryUnusable } from "../store/DataDirectory.ts"
import type { DatabaseTooNew, MigrationFailed } from "../store/Migrations.ts"
import type { DatabaseUnusable } from "../store/Sqlite.ts"
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { failed, notAllowed, wrongUsage } from "./Outcome.ts"
import type { CommandFailed } from "./Outcome.ts"
import { printJson } from "./print.ts"
import { Stop } from "./Stop.ts"

export interface ServeOptions {
  readonly dataDirectory: string
  readonly host: string
  readonly port: number
  readonly providerConfig: string | null
  readonly json: boolean
  /** A bearer token beside the one in the data directory, with all rights: that of a desktop app. */
  readonly secret?: Redacted.Redacted
  /** Origins of web clients beside our own. */
  readonly origins?: ReadonlyArray<string>
}

/** What a server says of itself when it answers. */
export interface Ready {
  readonly url: string
  readonly port: number
  /** Makes a link that signs one browser in. */
  readonly newLink: (scope: Scope) => Effect.Effect<PairingLink>
}

/** Why the server did not start. */
export type StartError =
  | DataDirectoryInUse
  | DataDirectoryUnusable
  | DatabaseTooNew
  | DatabaseUnusable
  | MigrationFailed
  | ProviderConfigInvalid
  | HttpServerError.ServeError
  | StorageUnavailable
  | TokenUnreadable

/** The server: runs until it is interrupted, says when it answers. */
export type Serve = (
  options: ServeOptions,
  onReady: (info: Ready) => Effect.Effect<void>
) => Effect.Effect<never, StartError>

/** `run` is handed in, so that the other commands start without loading the server. */
export const serve = Effect.fn("cli.serve")(function* (options: ServeOptions, run: Serve) {
  const stop = yield* Stop
  const ready = Effect.fnUntraced(function* ({ url, newLink }: Ready) {
    if (options.json) return printJson({ event: "ready", url, pid: process.pid, data: options.dataDirectory })
    const link = yield* newLink("operate")
    process.stdout.write(
      `Turnkeeper answers at ${url}\nIn a browser: ${link.url}\n${linkWords}\n` +
        `Data: ${options.dataDirectory}\nStop with Ctrl-C.\n`
    )
  })
  const running = Effect.mapError(run(options, ready), (error) => notStarted(options, error))
  yield* Effect.raceFirst(running, stop.asked)
  if (options.json) printJson({ event: "stopped" })
})

/** Behind a pairing link. */
export const linkWords = `(This link works once, within ${accessLimits.linkMillis / 60_000} minutes. Another one: turnkeeper pair)`

/** What is in the way, and what to do about it. */
export const notStarted = (options: ServeOptions, error: StartError): CommandFailed => {
  switch (error._tag) {
    case "DataDirectoryInUse": {
      const who = error.pid === null ? "Another server" : `Another server (process ${error.pid})`
      const where = error.address === null ? "" : `, at ${error.address}`
      return failed(
        `${who} works on ${error.directory} already${where}. Use that one, stop it, or give another directory with --data.`
      )
    }
    case "DataDirectoryUnusable":
      return failed(`The data directory ${error.directory} cannot be used: ${error.reason}`)
    case "DatabaseTooNew":
      return failed(
        `The database was written by a newer Turnkeeper (schema ${error.found}; this one knows ${error.known}). ` +
          "Nothing was changed: update this program."
      )
    case "DatabaseUnusable":
      return failed(`The database ${error.filename} cannot be opened: ${error.reason}`)
    case "MigrationFailed":
      return failed(
        `The database could not be brought to the newest schema; nothing was changed: ${error.reason}`
      )
    case "ProviderConfigInvalid":
      return wrongUsage(error.message)
    case "ServeError":
      return isInUse(error.cause)
        ? failed(`Port ${options.port} is taken. Give another one with --port, or 0 for any that is free.`)
        : failed(`Cannot listen on ${options.host}, port ${options.port}.`)
    case "StorageUnavailable":
      return failed(
        error.retryable
          ? "The database cannot be read or written. Is the disk full?"
          : "The database is damaged. Nothing was changed: put a copy of it back, or move it away to begin anew."
      )
    case "TokenUnreadable":
      return notAllowed(`The token file ${error.path} cannot be read, or holds no token.`)
  }
}

const isInUse = (cause: unknown) =>
  typeof cause === "object" && cause !== null && "code" in cause && cause.code === "EADDRINUSE"
