/**
 * The agent as a child process that speaks in lines.
 *
 * Promises: it leads its own process group, is on the ledger before anything is written to it, and when it
 * has ended its group is killed. Ending it is bounded: its input is closed, then the group is killed.
 */
import type { ProcessLedger } from "@turnkeeper/provider-kit/ProcessLedger"
import { descendantsOf, ensureGone, signalGroup } from "@turnkeeper/provider-kit/processes"
import { Data, Deferred, Effect, Option, Stream } from "effect"
import type { Duration, Scope } from "effect"
import { spawn } from "node:child_process"

export interface ProcessOptions {
  readonly program: string
  readonly arguments: ReadonlyArray<string>
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly ledger: Pick<ProcessLedger, "record" | "forget">
  /** How long it may take to end after its input was closed. */
  readonly patience: Duration.Input
}

export interface AgentProcess {
  /** What it prints, read only as fast as it is taken. A line that is too long arrives cut. */
  readonly lines: Stream.Stream<string>
  readonly write: (line: string) => Effect.Effect<void, WriteFailed>
  /** Resolves with words for people when it has ended. */
  readonly gone: Effect.Effect<string>
  /** In order, if it lets us in time. Whether it is proven that nothing of it is left. */
  readonly close: Effect.Effect<boolean>
  readonly kill: Effect.Effect<boolean>
}

/** `delivered`: whether the agent can have read it. */
export class WriteFailed extends Data.TaggedError("WriteFailed")<{ readonly delivered: "no" | "unknown" }> {}

export class SpawnFailed extends Data.TaggedError("SpawnFailed")<{ readonly message: string }> {}

/** The scope owns the process: closing it ends everything it started. */
export const start = (options: ProcessOptions): Effect.Effect<AgentProcess, SpawnFailed, Scope.Scope> =>
  Effect.acquireRelease(spawned(options), ({ close }) => close)

const spawned = Effect.fnUntraced(function* (options: ProcessOptions) {
  const child = spawn(options.program, options.arguments, {
    cwd: options.cwd,
    env: { ...options.env },
    detached: true,
    stdio: ["pipe", "pipe", "ignore"]
  })
  const { pid } = child
  if (pid === undefined) {
    return yield* Effect.callback<never, SpawnFailed>((resume) => {
      child.once("error", ({ message }) => resume(new SpawnFailed({ message })))
    })
  }
  options.ledger.record(pid, [options.program, ...options.arguments].join(" "))

  const ended = yield* Deferred.make<string>()
  child.once("exit", (code, signal) => {
    signalGroup(pid, "SIGKILL")
    options.ledger.forget(pid)
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`
    Deferred.doneUnsafe(ended, Effect.succeed(`The agent ended ${how}.`))
  })
  // A write to a program that has ended is answered through its callback.
  child.stdin.on("error", () => {})

  const gone = Deferred.await(ended)
  const goneInTime = gone.pipe(Effect.timeoutOption(options.patience), Effect.map(Option.isSome))
  /** What it started is found before it ends, and is gone before this resolves. */
  const end = (how: Effect.Effect<unknown>) =>
    Effect.suspend(() => {
      const below = descendantsOf(pid)
      return Effect.gen(function* () {
        if (!Deferred.isDoneUnsafe(ended)) yield* how
        const left = yield* ensureGone(below)
        return Deferred.isDoneUnsafe(ended) && left.length === 0
      })
    })
  const killed = Effect.andThen(
    Effect.sync(() => signalGroup(pid, "SIGKILL")),
    goneInTime
  )

  return {
    lines: linesOf(child.stdout),
    write: (line) =>
      Effect.callback<void, WriteFailed>((resume) => {
        if (Deferred.isDoneUnsafe(ended)) return resume(new WriteFailed({ delivered: "no" }))
        child.stdin.write(`${line}\n`, (error) =>
          resume(error ? new WriteFailed({ delivered: "unknown" }) : Effect.void)
        )
      }),
    gone,
    close: end(
      Effect.gen(function* () {
        child.stdin.end()
        if (!(yield* goneInTime)) yield* killed
      })
    ),
    kill: end(killed)
  } satisfies AgentProcess
})

const lineMax = 1024 * 1024

const linesOf = (output: AsyncIterable<Uint8Array>): Stream.Stream<string> => {
  const decoder = new TextDecoder()
  let rest = ""
  return Stream.fromAsyncIterable(output, () => "broken" as const).pipe(
    Stream.catch(() => Stream.empty),
    Stream.flatMap((bytes) => {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n")
      rest = (lines.pop() ?? "").slice(0, lineMax)
      return Stream.fromIterable(lines)
    })
  )
}
