/**
 * A provider's program as a child process of ours.
 *
 * Promises: it leads its own process group and is on the ledger before anything is written to it. When it has
 * ended, by whatever cause, everything that it started is ended too: its group, and by a mark in their
 * environment those that have left it, as commands in groups of their own do. Ending it is bounded: its input
 * is closed, which some do not mind, then it is terminated, then killed.
 *
 * This is node's child_process and not effect's: a signal must reach the group at once and from a finalizer,
 * also after the leader has ended; the ledger's entry must be written in the same tick as the spawn; and a
 * write must say whether it can have been read.
 */
import { spawn as spawnProcess } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import type { Readable, Writable } from "node:stream"
import { Deferred, Effect, Option, Schema } from "effect"
import type { Duration, Scope } from "effect"
import type { ProcessLedger } from "./ProcessLedger.ts"
import { descendantsOf, ensureGone, findProgram, marked, signalGroup, signalProcess } from "./processes.ts"

export type Environment = Readonly<Record<string, string | undefined>>

export interface ChildOptions {
  /** What people call it, to begin a sentence with. */
  readonly name: string
  readonly program: string
  readonly arguments: ReadonlyArray<string>
  /** Where it works; where we do, when absent. */
  readonly cwd?: string
  readonly env: Environment
  readonly ledger: Pick<ProcessLedger, "record" | "forget">
  readonly mark: Mark
  /** It reads its standard input, and ends with it. Else it is not asked to end before it is terminated. */
  readonly reads: boolean
  /** For one whose output is for people: it is read here, and this sees the last of it as it grows. */
  readonly look?: (printed: string) => void
  /** How long it may take to end after its input was closed, and again after it was terminated. */
  readonly patience?: Duration.Input
}

/** What stands in the environment of all that a child starts. */
export interface Mark {
  /** The variable's name: one for all children of a kind of provider. */
  readonly name: string
  /** The beginning of its value: `ownerMark`. */
  readonly owner: string
}

export interface Gone {
  readonly how: "closed" | "killed" | "by itself"
  /** For people. */
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

export interface Child {
  readonly pid: number
  /** Null where it does not read. */
  readonly stdin: Writable | null
  readonly stdout: Readable
  /** Resolves when it has ended. What it printed may still be on its way to whoever reads it. */
  readonly gone: Effect.Effect<Gone>
  readonly isGone: () => boolean
  /** Asks it to end, then insists. Gives whether it is proven that nothing of it is left. */
  readonly close: Effect.Effect<boolean>
  /** Does not ask. */
  readonly kill: Effect.Effect<boolean>
}

/** A child that may never have been there: then `pid` is null and `gone` fails. */
export interface Spawned extends Omit<Child, "pid" | "gone"> {
  readonly pid: number | null
  readonly gone: Effect.Effect<Gone, StartFailed>
  /** Why it could not be started; null where it could, or where that is not known yet. */
  readonly startFailed: () => StartFailed | null
  /** The native handle, for a library that wants one. */
  readonly process: ChildProcess
}

/** What a server of this data directory and this instance marks its children with. */
export const ownerMark = (ledgerDirectory: string, instanceId: string): string =>
  `${createHash("sha256").update(`${ledgerDirectory}\n${instanceId}`).digest("hex").slice(0, 24)}.`

/** The scope owns it. */
export const start = (options: ChildOptions): Effect.Effect<Child, StartFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => spawn(options),
      // What node refuses to try, such as an argument with a zero byte.
      catch: (error) => new StartFailed({ missing: false, text: String(error) })
    }),
    ({ close }) => close
  ).pipe(
    Effect.flatMap(({ close, gone, isGone, kill, pid, stdin, stdout }) =>
      pid === null
        ? // Then it fails.
          Effect.flatMap(gone, () => Effect.never)
        : Effect.succeed<Child>({ pid, stdin, stdout, gone: Effect.orDie(gone), isGone, close, kill })
    )
  )

/** In one tick; throws what node throws. Whoever calls it has to close it. */
export const spawn = (options: ChildOptions): Spawned => {
  const { arguments: args, ledger, mark, patience = "2 seconds", program } = options
  const markValue = `${mark.owner}${randomUUID()}`
  const child = spawnProcess(program, args, {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...options.env, [mark.name]: markValue },
    detached: true,
    stdio: [options.reads ? "pipe" : "ignore", "pipe", "pipe"]
  })
  // Both are piped.
  const stdout = child.stdout!
  const stderr = tail(child.stderr!)
  const printed = options.look === undefined ? () => "" : tail(stdout, options.look)
  const pid = child.pid ?? null
  const ended = Deferred.makeUnsafe<Gone, StartFailed>()
  let how: Gone["how"] = "by itself"
  let failed: StartFailed | null = null

  child.once("error", (error) => {
    failed = startFailed(options, error)
    Deferred.doneUnsafe(ended, Effect.fail(failed))
  })
  // A write to a program that has ended is answered through its callback; the event itself is no news.
  child.stdin?.on("error", () => {})
  if (pid !== null) {
    ledger.record(pid, [program, ...args].join(" "))
    child.once("exit", (code, signal) => {
      // What the program left behind goes with it; no pipe stays open because of it.
      signalGroup(pid, "SIGKILL")
      for (const left of marked(mark.name, markValue)) signalProcess(left.pid, "SIGKILL")
      ledger.forget(pid)
      const message = describeEnd(options.name, code, signal, stderr() || printed())
      Deferred.doneUnsafe(ended, Effect.succeed({ how, message }))
    })
  }

  const isGone = () => Deferred.isDoneUnsafe(ended)
  const gone = Deferred.await(ended)
  const goneInTime = Effect.exit(gone).pipe(Effect.timeoutOption(patience), Effect.map(Option.isSome))
  const signal = (name: NodeJS.Signals) => Effect.sync(() => void (pid !== null && signalGroup(pid, name)))
  /** What runs below it is found before it ends, and gone before we say so. */
  const end = (by: "closed" | "killed", effect: Effect.Effect<unknown>) =>
    Effect.suspend(() => {
      // Closing may come to killing; it is still the closing that was asked for.
      if (how === "by itself") how = by
      const below = pid === null || isGone() ? [] : descendantsOf(pid)
      return (isGone() ? Effect.void : effect).pipe(
        Effect.andThen(Effect.suspend(() => ensureGone([...below, ...marked(mark.name, markValue)]))),
        Effect.map((left) => isGone() && left.length === 0)
      )
    })

  const kill = end("killed", Effect.andThen(signal("SIGKILL"), goneInTime))
  const close = end(
    "closed",
    Effect.gen(function* () {
      child.stdin?.end()
      if (child.stdin !== null && (yield* goneInTime)) return
      yield* signal("SIGTERM")
      if (!(yield* goneInTime)) yield* kill
    })
  )

  const { stdin } = child
  return { pid, process: child, stdin, stdout, gone, isGone, startFailed: () => failed, close, kill }
}

/**
 * Ends what earlier servers have left running, with all that it started: two programs must never work on one
 * conversation. Gives those that did not go away.
 */
export const endLeftovers = Effect.fnUntraced(function* (
  ledger: Pick<ProcessLedger, "reap">,
  { name, owner }: Mark
): Effect.fn.Return<ReadonlyArray<number>> {
  const { survived } = yield* ledger.reap
  const orphans = yield* ensureGone(marked(name, owner))
  return [...survived, ...orphans.map(({ pid }) => pid)]
})

/** For the log, where some of an earlier run did not go away. */
export const warnOfLeftovers = (name: string, pids: ReadonlyArray<number>): Effect.Effect<void> =>
  pids.length === 0
    ? Effect.void
    : Effect.logWarning(`${name}: a process of an earlier run could not be ended`, { pids })

/** The program may be there and the directory not: that is told apart by looking, not by the error. */
const startFailed = ({ cwd, env, program }: ChildOptions, { message }: Error): StartFailed =>
  new StartFailed({
    missing: findProgram(program, env) === null,
    text: cwd === undefined ? message : `${message} (in ${cwd})`
  })

/** UTF-16 units. */
const tailMax = 4_000

/** Reads a stream to its end and keeps the last of it, which `look` sees as it grows. */
const tail = (stream: Readable, look: (text: string) => void = () => {}): (() => string) => {
  let text = ""
  stream.setEncoding("utf8")
  stream.on("data", (chunk: string) => {
    text = (text + chunk).slice(-tailMax)
    look(text)
  })
  return () => text
}

const describeEnd = (
  name: string,
  code: number | null,
  signal: NodeJS.Signals | null,
  said: string
): string => {
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const lastLine = code === 0 || signal !== null ? "" : lastLineOf(said)
  return lastLine === "" ? `${name} ended ${how}.` : `${name} ended ${how}: ${lastLine}`
}

/** UTF-16 units. */
const lastLineMax = 500

/** The last that a program said, for people; empty where it said nothing. */
export const lastLineOf = (printed: string): string =>
  (plain(printed).trim().split("\n").at(-1) ?? "").slice(0, lastLineMax)

/** Without the colours of a terminal. */
// oxlint-disable-next-line no-control-regex
export const plain = (text: string) => text.replaceAll(/\u001b\[[0-9;]*m/g, "")
