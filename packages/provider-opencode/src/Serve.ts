/**
 * `opencode serve` as a child process.
 *
 * Promises: the child leads its own process group and is on the ledger from its first moment; it listens on
 * loopback only, behind a password that nobody else knows; when it has ended, by whatever cause, everything
 * that it started is ended too. Its commands run in groups of their own and survive it: they are found by a
 * mark in their environment.
 *
 * This is node's child_process and not effect's, for the same reason as in the other adapters: a signal must
 * reach the group at once, also after the leader has ended, and the ledger's entry must be written in the
 * same tick as the spawn.
 */
import type { ProcessLedger } from "@turnkeeper/provider-kit/ProcessLedger"
import { descendantsOf, ensureGone, marked, signalGroup } from "@turnkeeper/provider-kit/processes"
import { Deferred, Effect, Option, Schema } from "effect"
import type { Duration, Scope } from "effect"
import { spawn as spawnProcess } from "node:child_process"
import type { ChildProcessByStdio } from "node:child_process"
import { randomUUID } from "node:crypto"
import type { Readable } from "node:stream"

export interface ServeOptions {
  readonly binary: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly ledger: Pick<ProcessLedger, "record" | "forget">
  /** Begins the mark of all that the child starts. */
  readonly owner: string
  /** From the start to its word that it listens. */
  readonly deadline: Duration.Input
  /** How long it may take to end after it was terminated. */
  readonly patience?: Duration.Input
}

export interface Serving {
  readonly url: string
  readonly password: string
  readonly pid: number
  /** Resolves when the process has ended. */
  readonly gone: Effect.Effect<Gone>
  readonly isGone: () => boolean
  readonly close: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
}

export interface Gone {
  readonly how: "closed" | "killed" | "by itself"
  readonly message: string
}

/** The program could not be started. `missing`: there is no such program. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  missing: Schema.Boolean,
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

/** The environment variable that marks whatever a child of ours starts. */
export const markName = "TURNKEEPER_OPENCODE_RUN"

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

export const environment = (env: ServeOptions["env"], password: string): ServeOptions["env"] => ({
  ...env,
  OPENCODE_SERVER_USERNAME: undefined,
  OPENCODE_SERVER_PASSWORD: password,
  // A program that replaces itself in the middle of a turn is no server.
  OPENCODE_DISABLE_AUTOUPDATE: "1"
})

export const addressIn = (printed: string): string | null =>
  /listening on (http:\/\/\S+)/.exec(printed)?.[1] ?? null

export const serve = (options: ServeOptions): Effect.Effect<Serving, StartFailed, Scope.Scope> =>
  Effect.acquireRelease(start(options), ({ close }) => close).pipe(
    Effect.flatMap(({ listening, ...child }) =>
      listening.pipe(
        Effect.timeoutOrElse({
          duration: options.deadline,
          orElse: () =>
            Effect.fail(new StartFailed({ missing: false, text: "OpenCode did not start in time." }))
        }),
        Effect.map((url): Serving => ({ ...child, url }))
      )
    )
  )

const start = Effect.fn("Serve.start")(function* (options: ServeOptions) {
  const { patience = "2 seconds", ledger } = options
  const password = randomUUID()
  const mark = `${options.owner}${randomUUID()}`
  const child = yield* spawned(options, password, mark)
  const pid = child.pid!
  const ended = yield* Deferred.make<Gone>()
  const listening = yield* Deferred.make<string, StartFailed>()
  const stderr = lines(child.stderr, () => {})
  const stdout = lines(child.stdout, (text) => {
    // The program chooses its port; this line is the only place where it says which.
    const url = addressIn(text)
    if (url !== null) Deferred.doneUnsafe(listening, Effect.succeed(url))
  })
  let how: Gone["how"] = "by itself"

  child.once("exit", (code, signal) => {
    signalGroup(pid, "SIGKILL")
    for (const left of marked(markName, mark)) signalProcess(left.pid)
    ledger.forget(pid)
    const message = describeEnd(code, signal, stderr() || stdout())
    Deferred.doneUnsafe(listening, Effect.fail(new StartFailed({ missing: false, text: message })))
    Deferred.doneUnsafe(ended, Effect.succeed({ how, message }))
  })

  const gone = Deferred.await(ended)
  const goneWithin = gone.pipe(Effect.timeoutOption(patience), Effect.map(Option.isSome))
  const signal = (name: NodeJS.Signals) => Effect.sync(() => signalGroup(pid, name))
  const end = <A>(by: "closed" | "killed", effect: Effect.Effect<A>) =>
    Effect.suspend(() => {
      if (how === "by itself") how = by
      const below = Deferred.isDoneUnsafe(ended) ? [] : descendantsOf(pid)
      return effect.pipe(
        Effect.andThen(Effect.suspend(() => ensureGone([...below, ...marked(markName, mark)]))),
        Effect.asVoid
      )
    })
  const kill = end("killed", signal("SIGKILL").pipe(Effect.andThen(goneWithin)))
  const close = Effect.suspend(() =>
    Deferred.isDoneUnsafe(ended)
      ? Effect.void
      : end(
          "closed",
          Effect.gen(function* () {
            yield* signal("SIGTERM")
            if (!(yield* goneWithin)) yield* kill
          })
        )
  )
  return {
    listening: Deferred.await(listening),
    password,
    pid,
    gone,
    isGone: () => Deferred.isDoneUnsafe(ended),
    close,
    kill
  }
})

type Child = ChildProcessByStdio<null, Readable, Readable>

const spawned = (options: ServeOptions, password: string, mark: string) =>
  Effect.callback<Child, StartFailed>((resume) => {
    const child = spawnProcess(options.binary, commandLine, {
      cwd: options.cwd,
      env: { ...environment(options.env, password), [markName]: mark },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    })
    child.once("error", (error: NodeJS.ErrnoException) =>
      resume(
        new StartFailed({ missing: error.code === "ENOENT" || error.code === "EACCES", text: error.message })
      )
    )
    if (child.pid === undefined) return
    options.ledger.record(child.pid, `${options.binary} serve`)
    resume(Effect.succeed(child))
  })

const signalProcess = (pid: number) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}

const charactersKept = 4_000

/** Reads a stream to its end and keeps the last of it, which `look` sees as it grows. */
const lines = (stream: Readable, look: (text: string) => void): (() => string) => {
  let text = ""
  stream.setEncoding("utf8")
  stream.on("data", (chunk: string) => {
    text = (text + chunk).slice(-charactersKept)
    look(text)
  })
  return () => text
}

const describeEnd = (code: number | null, signal: NodeJS.Signals | null, said: string): string => {
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const lastLine = code === 0 || signal !== null ? "" : (said.trim().split("\n").at(-1) ?? "")
  return lastLine === "" ? `OpenCode ended ${how}.` : `OpenCode ended ${how}: ${lastLine.slice(0, 500)}`
}
