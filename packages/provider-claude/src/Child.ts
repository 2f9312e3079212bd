/**
 * Claude's process: the SDK says what is to be started and when; what is promised of a child of ours is
 * provider-kit's. What it prints is handed on only as fast as it is taken.
 */
import type { ChildOptions, Gone, Spawned, StartFailed } from "@turnkeeper/provider-kit/Child"
import { spawn } from "@turnkeeper/provider-kit/Child"
import { signalGroup } from "@turnkeeper/provider-kit/processes"
import { Deferred, Effect } from "effect"
import type { Transform } from "node:stream"
import { makeGate } from "./gate.ts"
import type { Gate } from "./gate.ts"
import type { SpawnedProcess, SpawnOptions } from "./sdk.ts"

export interface Child {
  /** For the SDK, which calls it once. */
  readonly spawn: (options: SpawnOptions) => SpawnedProcess
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

export const make = (options: Pick<ChildOptions, "ledger" | "mark">): Child => {
  const gate = makeGate()
  const begun = Deferred.makeUnsafe<Spawned>()
  let child: Spawned | null = null

  const start = ({ args, command, cwd, env }: SpawnOptions): SpawnedProcess => {
    const made = spawn({
      ...options,
      name: "Claude",
      program: command,
      arguments: args,
      ...(cwd !== undefined && { cwd }),
      env,
      reads: true
    })
    child = made
    Deferred.doneUnsafe(begun, Effect.succeed(made))
    return asSeenBySdk(made, made.stdout.pipe(gate.stream))
  }
  const ending = (how: "close" | "kill") =>
    Effect.suspend(() => (child === null ? Effect.void : Effect.asVoid(child[how])))
  return {
    spawn: start,
    gone: Effect.flatMap(Deferred.await(begun), (spawned) => spawned.gone),
    isGone: () => child?.isGone() === true,
    startFailed: () => child?.startFailed() ?? null,
    close: ending("close"),
    kill: ending("kill"),
    gate
  }
}

const asSeenBySdk = ({ pid, process: child, stdin }: Spawned, stdout: Transform): SpawnedProcess => ({
  stdin: stdin!,
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
  kill: (signal) => pid !== null && signalGroup(pid, signal),
  on: (event, listener) => void child.on(event, listener),
  once: (event, listener) => void child.once(event, listener),
  off: (event, listener) => void child.off(event, listener)
})
