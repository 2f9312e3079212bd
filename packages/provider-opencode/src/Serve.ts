/**
 * `opencode serve` as a child process: it listens on loopback only, behind a password that nobody else knows.
 */
import type { ChildOptions, Environment, Gone } from "@turnkeeper/provider-kit/Child"
import { start, StartFailed } from "@turnkeeper/provider-kit/Child"
import { Deferred, Effect } from "effect"
import type { Duration, Scope } from "effect"
import { randomUUID } from "node:crypto"

export interface ServeOptions extends Pick<ChildOptions, "cwd" | "env" | "ledger" | "mark"> {
  readonly binary: string
  /** From the start to its word that it listens. */
  readonly deadline: Duration.Input
}

export interface Serving {
  readonly url: string
  readonly password: string
  readonly pid: number
  /** Resolves when the process has ended. */
  readonly gone: Effect.Effect<Gone>
  readonly close: Effect.Effect<unknown>
  readonly kill: Effect.Effect<unknown>
}

/** It chooses its port itself. */
export const commandLine = [
  "serve",
  "--hostname",
  "127.0.0.1",
  "--port",
  "0",
  "--print-logs",
  "--log-level",
  "WARN"
]

export const environment = (env: Environment, password: string): Environment => ({
  ...env,
  OPENCODE_SERVER_USERNAME: undefined,
  OPENCODE_SERVER_PASSWORD: password,
  // A program that replaces itself in the middle of a turn is no server.
  OPENCODE_DISABLE_AUTOUPDATE: "1"
})

export const addressIn = (printed: string): string | null =>
  /listening on (http:\/\/\S+)/.exec(printed)?.[1] ?? null

/** Resolves when it listens. */
export const serve = ({
  binary,
  deadline,
  ...options
}: ServeOptions): Effect.Effect<Serving, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const password = randomUUID()
    const listening = yield* Deferred.make<string>()
    const child = yield* start({
      ...options,
      name: "OpenCode",
      program: binary,
      arguments: commandLine,
      env: environment(options.env, password),
      reads: false,
      // The program chooses its port; what it prints is the only place where it says which.
      look: (printed) => {
        const url = addressIn(printed)
        if (url !== null) Deferred.doneUnsafe(listening, Effect.succeed(url))
      }
    })
    const { close, gone, kill, pid } = child
    const url = yield* Deferred.await(listening).pipe(
      Effect.raceFirst(Effect.flatMap(gone, ({ message }) => notStarted(message))),
      Effect.timeoutOrElse({
        duration: deadline,
        orElse: () => notStarted("OpenCode did not start in time.")
      })
    )
    return { url, password, pid, gone, close, kill }
  })

const notStarted = (text: string) => Effect.fail(new StartFailed({ missing: false, text }))
