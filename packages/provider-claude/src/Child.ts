/**
 * Claude's process: the SDK says what is to be started, and everything else about it is kept here.
 *
 * Promises: the child leads its own process group and is on the ledger from its first moment; when it has
 * ended, by whatever cause, everything that it started is ended too. Its commands run in sessions of their
 * own and survive it: they are found by a mark in their environment. What it prints is handed on only as
 * fast as it is taken.
 *
 * This is node's child_process and not effect's, for the same reason as in the other adapters: a signal must
 * reach the group at once, also after the leader has ended, and the ledger's entry must be written in the
 * same tick as the spawn. The SDK wants node's streams anyway.
 */
import type { ProcessLedger } from "@turnkeeper/provider-kit/ProcessLedger"
import { descendantsOf, ensureGone, marked, signalGroup } from "@turnkeeper/provider-kit/processes"
import { Deferred, Effect, Option, Schema } from "effect"
import type { Duration } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcessWithoutNullStreams } from "node:child_process"
import { randomUUID } from "node:crypto"
import { Transform } from "node:stream"
import type { SpawnedProcess, SpawnOptions } from "./sdk.ts"

export interface ChildOptions {
  readonly ledger: Pick<ProcessLedger, "record" | "forget">
  /** Begins the mark of all that the child starts. */
  readonly owner: string
  /** How long it may take to end after its input was closed, and again after it was terminated. */
  readonly patience?: Duration.Input
}

export interface Gone {
  readonly how: "closed" | "killed" | "by itself"
  readonly message: string
}

export interface Child {
  /** For the SDK, which calls it once. */
  readonly spawn: (options: SpawnOptions) => SpawnedProcess
  readonly pid: () => number | null
  /** Resolves when the process has ended; fails when it was never there. */
  readonly gone: Effect.Effect<Gone, StartFailed>
  readonly isGone: () => boolean
  /** Why it could not be started; null where it could, or where that is not known yet. */
  readonly startFailed: () => StartFailed | null
  /** Closes its input, then terminates it, then kills it. Resolves when it is gone, with all below it. */
  readonly close: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  readonly gate: Gate
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
export const markName = "TURNKEEPER_CLAUDE_RUN"

export const make = (options: ChildOptions): Child => {
  const { patience = "2 seconds", ledger, owner } = options
  const mark = `${owner}${randomUUID()}`
  const gate = makeGate()
  const ended = Deferred.makeUnsafe<Gone, StartFailed>()
  let child: ChildProcessWithoutNullStreams | null = null
  let how: Gone["how"] = "by itself"
  let failed: StartFailed | null = null

  const start = ({ command, args, cwd, env }: SpawnOptions): SpawnedProcess => {
    const made = spawn(command, args, {
      cwd,
      env: { ...env, [markName]: mark },
      detached: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    child = made
    const stderr = tail(made.stderr)
    made.once("error", (error: NodeJS.ErrnoException) => {
      const missing = error.code === "ENOENT" || error.code === "EACCES"
      failed = new StartFailed({ missing, text: error.message })
      Deferred.doneUnsafe(ended, Effect.fail(failed))
    })
    // A write to a program that has ended is no news.
    made.stdin.on("error", () => {})
    if (made.pid !== undefined) watch(made, made.pid, `${command} ${args.join(" ")}`, stderr)
    return asSeenBySdk(made, made.stdout.pipe(gate.stream))
  }

  const watch = (
    made: ChildProcessWithoutNullStreams,
    pid: number,
    command: string,
    stderr: () => string
  ) => {
    ledger.record(pid, command)
    made.once("exit", (code, signal) => {
      signalGroup(pid, "SIGKILL")
      for (const left of marked(markName, mark)) signalProcess(left.pid)
      ledger.forget(pid)
      Deferred.doneUnsafe(ended, Effect.succeed({ how, message: describeEnd(code, signal, stderr()) }))
    })
  }

  const isGone = () => Deferred.isDoneUnsafe(ended)
  const gone = Deferred.await(ended)
  const goneWithin = Effect.exit(gone).pipe(Effect.timeoutOption(patience), Effect.map(Option.isSome))
  const signal = (name: NodeJS.Signals) =>
    Effect.sync(() => void (child?.pid !== undefined && signalGroup(child.pid, name)))

  const end = <A>(by: "closed" | "killed", effect: Effect.Effect<A>) =>
    Effect.suspend(() => {
      if (how === "by itself") how = by
      const pid = child?.pid
      const below = pid === undefined || isGone() ? [] : descendantsOf(pid)
      return (pid === undefined || isGone() ? Effect.void : effect).pipe(
        // Its commands are found by both: below it while it lives, by their mark when they have left it.
        Effect.andThen(Effect.suspend(() => ensureGone([...below, ...marked(markName, mark)]))),
        Effect.asVoid
      )
    })

  const kill = end("killed", signal("SIGKILL").pipe(Effect.andThen(goneWithin)))
  const close = end(
    "closed",
    Effect.gen(function* () {
      yield* Effect.sync(() => child?.stdin.end())
      if (yield* goneWithin) return
      yield* signal("SIGTERM")
      if (yield* goneWithin) return
      yield* kill
    })
  )
  const startFailed = () => failed
  return { spawn: start, pid: () => child?.pid ?? null, gone, isGone, startFailed, close, kill, gate }
}

const asSeenBySdk = (child: ChildProcessWithoutNullStreams, stdout: Transform): SpawnedProcess => ({
  stdin: child.stdin,
  stdout,
  get killed() {
    return child.killed
  },
  get exitCode() {
    return child.exitCode
  },
  get signalCode() {
    return child.signalCode
  },
  kill: (signal) => child.pid !== undefined && signalGroup(child.pid, signal),
  on: (event, listener) => void child.on(event, listener),
  once: (event, listener) => void child.once(event, listener),
  off: (event, listener) => void child.off(event, listener)
})

/** Between Claude's output and its reader: closed, nothing passes, and Claude is held up by its own pipe. */
export interface Gate {
  readonly stream: Transform
  readonly close: () => void
  readonly open: () => void
  /**
   * Lets Claude's answer to a call of ours through a closed gate, and with it what was printed before, at
   * most so much; beyond that the call fails by its own deadline.
   */
  readonly readAhead: <A, E>(call: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

const aheadBytesMax = 16 * 1024 * 1024

export const makeGate = (bytesMax = aheadBytesMax): Gate => {
  let closed = false
  let calls = 0
  let ahead = 0
  let waiting: (() => void) | null = null

  const isShut = () => closed && (calls === 0 || ahead >= bytesMax)
  const relieve = () => {
    if (isShut()) return
    waiting?.()
    waiting = null
  }
  const stream = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      const pass = () => {
        if (closed) ahead += chunk.length
        done(null, chunk)
      }
      if (isShut()) waiting = pass
      else pass()
    }
  })
  return {
    stream,
    close: () => {
      closed = true
    },
    open: () => {
      closed = false
      ahead = 0
      relieve()
    },
    readAhead: (call) =>
      Effect.suspend(() => {
        calls += 1
        relieve()
        return Effect.ensuring(
          call,
          Effect.sync(() => void (calls -= 1))
        )
      })
  }
}

const signalProcess = (pid: number) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}

const charactersKept = 4_000

/** Reads a stream to its end and keeps the last of it. */
const tail = (stream: NodeJS.ReadableStream): (() => string) => {
  let text = ""
  stream.setEncoding("utf8")
  stream.on("data", (chunk: string) => {
    text = (text + chunk).slice(-charactersKept)
  })
  return () => text
}

const describeEnd = (code: number | null, signal: NodeJS.Signals | null, stderr: string): string => {
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const lastLine = code === 0 || signal !== null ? "" : (stderr.trim().split("\n").at(-1) ?? "")
  return lastLine === "" ? `Claude ended ${how}.` : `Claude ended ${how}: ${lastLine.slice(0, 500)}`
}
