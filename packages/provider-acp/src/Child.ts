/**
 * An agent as a child process: the transport of a connection.
 *
 * Promises: the child leads its own process group, is on the ledger before anything is written to it, and
 * when it has ended, by whatever cause, everything that it started is ended too. Commands that run in groups
 * of their own survive it: they are found by a mark in their environment. Ending it is bounded: its input is
 * closed, which some agents do not mind, then it is terminated, then killed.
 *
 * This is node's child_process and not effect's, for the same reason as in the other adapters: a signal must
 * reach the group at once, also after the leader has ended; the ledger's entry must be written in the same
 * tick as the spawn; and a write must say whether it can have been read.
 */
import type { ProcessLedger } from "@turnkeeper/provider-kit/ProcessLedger"
import {
  descendantsOf,
  ensureGone,
  findProgram,
  marked,
  signalGroup
} from "@turnkeeper/provider-kit/processes"
import { Deferred, Effect, Option, Schema, Stream } from "effect"
import type { Duration, Scope } from "effect"
import { spawn as spawnProcess } from "node:child_process"
import type { ChildProcessWithoutNullStreams } from "node:child_process"
import { randomUUID } from "node:crypto"
import type { Gone, Transport } from "./Connection.ts"
import { TransportBroke } from "./Connection.ts"

export interface ChildOptions {
  /** A path, or a name on the path; null where none is configured. */
  readonly command: string | null
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly ledger: Pick<ProcessLedger, "record" | "forget">
  /** Begins the mark of all that the child starts. */
  readonly owner: string
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

/** The environment variable that marks whatever a child of ours starts. */
export const markName = "TURNKEEPER_ACP_RUN"

export const spawn = (options: ChildOptions): Effect.Effect<Transport, SpawnFailed, Scope.Scope> =>
  Effect.acquireRelease(start(options), ({ close }) => close)

const start = Effect.fn("Child.start")(function* (options: ChildOptions) {
  const { patience = "1 second", ledger } = options
  const mark = `${options.owner}${randomUUID()}`
  const child = yield* spawned(options, mark)
  const pid = child.pid!
  const ended = yield* Deferred.make<Gone>()
  const stderr = tail(child.stderr, stderrCharactersMax)
  let how: Gone["how"] = "by itself"

  child.once("exit", (code, signal) => {
    // What the program left behind goes with it; no pipe stays open because of it.
    signalGroup(pid, "SIGKILL")
    for (const left of marked(markName, mark)) signalProcess(left.pid)
    ledger.forget(pid)
    Deferred.doneUnsafe(ended, Effect.succeed({ how, message: describeEnd(code, signal, stderr()) }))
  })
  // A write to a program that has ended is answered through its callback; the event itself is no news.
  child.stdin.on("error", () => {})

  const gone = Deferred.await(ended)
  const goneWithin = gone.pipe(Effect.timeoutOption(patience), Effect.map(Option.isSome))
  const signal = (name: NodeJS.Signals) => Effect.sync(() => signalGroup(pid, name))
  /** What runs below it is found before it ends, and gone before we say so. */
  const end = <A>(by: "closed" | "killed", effect: Effect.Effect<A>) =>
    Effect.suspend(() => {
      // Closing may come to killing; it is still the closing that was asked for.
      if (how === "by itself") how = by
      if (Deferred.isDoneUnsafe(ended)) return Effect.asVoid(ensureGone(marked(markName, mark)))
      const below = descendantsOf(pid)
      return effect.pipe(
        Effect.andThen(Effect.suspend(() => ensureGone([...below, ...marked(markName, mark)]))),
        Effect.asVoid
      )
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
        return resume(Effect.fail(new TransportBroke({ delivered: "no", text: "The agent is not running." })))
      }
      child.stdin.write(`${line}\n`, (error) =>
        resume(
          error
            ? Effect.fail(new TransportBroke({ delivered: "unknown", text: "The agent stopped reading." }))
            : Effect.void
        )
      )
    })

  const input = Stream.fromAsyncIterable(child.stdout as AsyncIterable<Uint8Array>, () => null).pipe(
    Stream.catch(() => Stream.empty)
  )

  return { input, write, gone, close, kill } satisfies Transport
})

const spawned = (options: ChildOptions, mark: string) =>
  Effect.callback<ChildProcessWithoutNullStreams, SpawnFailed>((resume) => {
    const { command, args, cwd, env, ledger } = options
    const program = findCommand(command, env)
    if (program === null) {
      const text =
        command === null ? "No command is set for this agent." : `There is no program "${command}".`
      return resume(Effect.fail(new SpawnFailed({ missing: true, text })))
    }
    const child = spawnProcess(program, args, {
      cwd,
      env: { ...env, [markName]: mark },
      detached: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    // The program is there: what is missing now is something else, such as the directory.
    child.once("error", (error) =>
      resume(Effect.fail(new SpawnFailed({ missing: false, text: `${error.message} (in ${cwd})` })))
    )
    if (child.pid === undefined) return
    ledger.record(child.pid, [program, ...args].join(" "))
    resume(Effect.succeed(child))
  })

const signalProcess = (pid: number) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}

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
  return lastLine === "" ? `The agent ended ${how}.` : `The agent ended ${how}: ${lastLine.slice(0, 500)}`
}

/** Without the colours of a terminal. */
// oxlint-disable-next-line no-control-regex
const plain = (text: string) => text.replaceAll(/\u001b\[[0-9;]*m/g, "")

export const findCommand = (command: string | null, env: ChildOptions["env"]): string | null =>
  command === null || command === "" ? null : findProgram(command, env)
