/** What a thread's mailbox is sent: what it means to the thread as it stands, and who hears what became of it. */
import type { CommandIdReused, Overloaded, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { Facts, ThreadCommand, ThreadRejection } from "@turnkeeper/domain/thread/Command"
import { decide } from "@turnkeeper/domain/thread/decide"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import { observed } from "@turnkeeper/domain/thread/observe"
import type { Happening, Live, Owed } from "@turnkeeper/domain/thread/Owed"
import { keyOf } from "@turnkeeper/domain/thread/Owed"
import { begin } from "@turnkeeper/domain/thread/pending"
import { reconcile } from "@turnkeeper/domain/thread/reconcile"
import type { Occasion } from "@turnkeeper/domain/thread/reconcile"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { Cause as CauseOf, Clock, Effect, Exit, Result } from "effect"
import type { Cause, Committed, Receipt } from "./Change.ts"
import type { Commit } from "./Commit.ts"

export type CommandFailure = ThreadRejection | CommandIdReused | StorageUnavailable | Overloaded

/** The committed state of a thread. */
export interface Standing {
  readonly state: ThreadState
  readonly version: number
}

export interface Letter {
  /** What it means to the thread as it stands; null: nothing any more. */
  readonly rule: Rule
  /** Hears once how that ended. */
  readonly done: (settled: Settled) => void
  /**
   * A command is refused when the storage fails. Everything else waits for it, at most a second between
   * two tries: an outcome or a provider's word that is lost here would leave a turn hanging. What the
   * tables refuse for good is left out.
   */
  readonly patient: boolean
  /** What it says, one by one, for when the tables refuse it: one poisoned event harms only itself. null: it is one. */
  readonly parts: (() => ReadonlyArray<Letter>) | null
  readonly lane: "control" | "provider"
}

export type Rule = (standing: Standing) => Ruling

/** Known at once, as an `Exit`, where nothing has to be read first. */
export type Ruling = Effect.Effect<Verdict | null, CommandFailure>

export type Settled = Exit.Exit<Committed | null, CommandFailure>

export interface Verdict {
  readonly events: ReadonlyArray<ThreadEvent>
  /** The state after the events. */
  readonly after: ThreadState
  readonly cause: Cause
  readonly receipt: Receipt | null
}

/** Nothing was committed, and nothing is owed to whoever wrote the letter. */
export const nothing = Exit.succeed(null)

export const storageTrouble = (exit: Exit.Exit<unknown, CommandFailure>): StorageUnavailable | null => {
  if (Exit.isSuccess(exit)) return null
  const failure = CauseOf.findError(exit.cause)
  return Result.isSuccess(failure) && failure.success._tag === "StorageUnavailable" ? failure.success : null
}

/** A rule that throws breaks its letter, not the mailbox. */
export const ruled = (rule: Rule, standing: Standing): Ruling => {
  try {
    return rule(standing)
  } catch (defect) {
    return Exit.die(defect)
  }
}

/** What a command has to know of the rest of the server. */
export interface Sources {
  readonly commit: Commit["Service"]
  readonly facts: (command: ThreadCommand) => Effect.Effect<Omit<Facts, "now">, StorageUnavailable>
}

export const commanded =
  (command: ThreadCommand, receipt: Receipt, actor: string, { commit, facts }: Sources): Rule =>
  ({ state }) =>
    Effect.gen(function* () {
      const cause: Cause = { type: "command", commandId: command.commandId, actor }
      // The rules would call a repeated command a mistake; its own receipt answers it.
      const stored = yield* commit.receiptOf(command.commandId)
      if (stored !== null) return yield* verdict(state, [], cause, receipt)
      const now = yield* Clock.currentTimeMillis
      const decision = decide(command, state, { ...(yield* facts(command)), now })
      if (Result.isFailure(decision)) return yield* Effect.fail(decision.failure)
      return yield* verdict(state, decision.success, cause, receipt)
    })

export const happened =
  (happenings: ReadonlyArray<Happening>, cause: Cause): Rule =>
  (standing) => {
    const events: Array<ThreadEvent> = []
    let after = standing.state
    for (const happening of happenings) {
      const caused = observed(happening, after)
      events.push(...caused.events)
      after = caused.state
    }
    return Exit.succeed({ events, after, cause, receipt: null })
  }

/** `told` hears what stands before it is committed: the events of the marker; null: it is not owed any more. */
export const begun =
  (owed: Owed, told: (events: ReadonlyArray<ThreadEvent> | null) => void): Rule =>
  ({ state }) => {
    const events = begin(owed, state)
    told(events)
    return events === null ? nothing : verdict(state, events, { type: "effect", key: keyOf(owed) })
  }

export const repaired =
  (live: Live, occasion: Occasion, version: number | null): Rule =>
  (standing) => {
    if (version !== null && version !== standing.version) return nothing
    const events = reconcile(live, standing.state, occasion)
    return verdict(standing.state, events, { type: "reconciler", reason: occasion.reason })
  }

const verdict = (
  state: ThreadState,
  events: ReadonlyArray<ThreadEvent>,
  cause: Cause,
  receipt: Receipt | null = null
): Exit.Exit<Verdict> => Exit.succeed({ events, after: events.reduce(evolve, state), cause, receipt })
