/**
 * `codex app-server` as a child process: the transport of a connection.
 *
 * Promises: the child leads its own process group, is on the ledger before anything is written to it, and
 * when it has ended its whole group is killed; when we end it, everything below it is gone too. Ending it
 * is bounded: its input is closed, then it is terminated, then killed.
 *
 * This is node's child_process and not effect's: a signal must reach the group at once and from a
 * finalizer, also after the leader has ended; the ledger's entry must be written in the same tick as the
 * spawn; and a write must say whether it can have been read.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import { spawn as spawnProcess } from "node:child_process"
import type { ChildProcessWithoutNullStreams } from "node:child_process"
import { Deferred, Effect, Option, Schema, Stream } from "effect"
import type { Duration, Scope } from "effect"
import type { Gone, Transport } from "./Connection.ts"
import { TransportBroke } from "./Connection.ts"
import type { ProcessLedger } from "@turnkeeper/provider-kit/ProcessLedger"
import { descendantsOf, ensureGone, findProgram, signalGroup } from "@turnkeeper/provider-kit/processes"

export interface ChildOptions {
  readonly binary: string
  readonly arguments: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly ledger: Pick<ProcessLedger, "record" | "forget">
  /** How long it may take to end after its input was closed, and again after it was terminated. */
  readonly patience?: Duration.Input
}

/** The program could not be started. `missing`: there is no such program. */
export class SpawnFailed extends Schema.TaggedError<SpawnFailed>()("SpawnFailed", {
  missing: Schema.Boolean,
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

export const spawn = (options: ChildOptions): Effect.Effect<Transport, SpawnFailed, Scope.Scope> =>
  Effect.acquireRelease(start(options), ({ close }) => close)

const start = Effect.fn("Child.start")(function* (options: ChildOptions) {
  const { patience = "2 seconds", ledger } = options
  const child = yield* spawned(options)
  const pid = child.pid!
  const ended = yield* Deferred.make<Gone>()
  const stderr = tail(child.stderr, stderrCharactersMax)
  let how: Gone["how"] = "by itself"

  child.once("exit", (code, signal) => {
    // What the program left behind in its group goes with it; no pipe stays open because of it.
    signalGroup(pid, "SIGKILL")
    ledger.forget(pid)
    Deferred.doneUnsafe(ended, Effect.succeed({ how, message: describeEnd(code, signal, stderr()) }))
  })
  // A write to a program that has ended is answered through its callback; the event itself is no news.
  child.stdin.on("error", () => {})

  const gone = Deferred.await(ended)
  const goneWithin = gone.pipe(Effect.timeoutOption(patience), Effect.map(Option.isSome))
  const signal = (name: NodeJS.Signals) => Effect.sync(() => signalGroup(pid, name))
  /** Its commands run in groups of their own: they are found before it ends, and gone before we say so. */
  const end = <A>(by: "closed" | "killed", effect: Effect.Effect<A>) =>
    Effect.suspend(() => {
      // Closing may come to killing; it is still the closing that was asked for.
      if (how === "by itself") how = by
      if (Deferred.isDoneUnsafe(ended)) return Effect.void
      const below = descendantsOf(pid)
      return Effect.andThen(effect, Effect.asVoid(ensureGone(below)))
    })

  const kill = end("killed", signal("SIGKILL").pipe(Effect.andThen(goneWithin)))
  const close = end(
    "closed",
    Effect.gen(function* () {
      child.stdin.end()
      if (yield* goneWithin) return
      yield* signal("SIGTERM")
      if (yield* goneWithin) return
      yield* kill
    })
  )

  const write = (line: string) =>
    Effect.callback<void, TransportBroke>((resume) => {
      if (Deferred.isDoneUnsafe(ended) || !child.stdin.writable) {
        return resume(new TransportBroke({ delivered: "no", text: "Codex is not running." }))
      }
      child.stdin.write(`${line}\n`, (error) =>
        resume(
          error ? new TransportBroke({ delivered: "unknown", text: "Codex stopped reading." }) : Effect.void
        )
      )
    })

  const input = NodeStream.fromReadable<Uint8Array, null>({
    evaluate: () => child.stdout,
    onError: () => null
  }).pipe(Stream.catch(() => Stream.empty))

  return { input, write, gone, close, kill } satisfies Transport
})

const spawned = (options: ChildOptions) =>
  Effect.callback<ChildProcessWithoutNullStreams, SpawnFailed>((resume) => {
    const child = spawnProcess(options.binary, options.arguments, {
      env: { ...options.env },
      detached: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    child.once("error", (error: NodeJS.ErrnoException) =>
      resume(
        new SpawnFailed({ missing: error.code === "ENOENT" || error.code === "EACCES", text: error.message })
      )
    )
    if (child.pid === undefined) return
    options.ledger.record(child.pid, [options.binary, ...options.arguments].join(" "))
    resume(Effect.succeed(child))
  })

const stderrCharactersMax = 4_000

/** Reads a stream to its end and keeps the last of it. */
const tail = (stream: NodeJS.ReadableStream, charactersMax: number): (() => string) => {
  let text = ""
  stream.setEncoding("utf8")
  stream.on("data", (chunk: string) => {
    text = (text + chunk).slice(-charactersMax)
  })
  return () => text
}

const describeEnd = (code: number | null, signal: NodeJS.Signals | null, stderr: string): string => {
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const lastLine = code === 0 || signal !== null ? "" : (plain(stderr).trim().split("\n").at(-1) ?? "")
  return lastLine === "" ? `Codex ended ${how}.` : `Codex ended ${how}: ${lastLine.slice(0, 500)}`
}

/** Without the colours of a terminal. */
// oxlint-disable-next-line no-control-regex
const plain = (text: string) => text.replaceAll(/\u001b\[[0-9;]*m/g, "")

/** The program to run: the one named, else the one of the environment, else the first on the path. */
export const findBinary = (
  named: string | undefined,
  env: Readonly<Record<string, string | undefined>>
): string | null => findProgram(named ?? (env["TURNKEEPER_CODEX_BIN"] || "codex"), env)
