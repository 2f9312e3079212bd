/**
 * One thread's mailbox: the only place where its state is decided on, one letter at a time.
 *
 *     control  ──▶ ┐
 *     (commands, outcomes, deadlines)   worker ──▶ rule ──▶ Commit ──▶ new state ──▶ doorbell
 *     provider ──▶ ┘
 *
 * Control letters overtake the provider's. Nothing here is memory that a crash would lose: the state is the
 * committed one, and a letter that was not committed is still owed by whoever wrote it. When the storage is in trouble a command is
 * refused with a type, and what the provider said waits: nothing is dropped.
 */
import { Overloaded } from "@turnkeeper/contracts/Errors"
import type { CommandIdReused, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Facts, ThreadCommand, ThreadRejection } from "@turnkeeper/domain/thread/Command"
import { decide } from "@turnkeeper/domain/thread/decide"
import { isStreamed } from "@turnkeeper/domain/thread/Event"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import { observe } from "@turnkeeper/domain/thread/observe"
import type { Happening, Live, Owed } from "@turnkeeper/domain/thread/Owed"
import { keyOf } from "@turnkeeper/domain/thread/Owed"
import { begin } from "@turnkeeper/domain/thread/pending"
import { reconcile } from "@turnkeeper/domain/thread/reconcile"
import type { Occasion } from "@turnkeeper/domain/thread/reconcile"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { Cause as CauseOf, Clock, Deferred, Effect, Exit, Latch, Result } from "effect"
import type { Cause, Committed, Receipt } from "./Change.ts"
import type { Commit } from "./Commit.ts"

export type CommandFailure = ThreadRejection | CommandIdReused | StorageUnavailable | Overloaded

export interface Mailbox {
  readonly threadId: ThreadId
  /** The committed state and its version. */
  readonly current: () => Standing
  /** A user's command: resolves after its commit, with the earlier answer where it was answered before (L11). */
  readonly command: (
    command: ThreadCommand,
    receipt: Receipt,
    actor: string
  ) => Effect.Effect<Committed, CommandFailure>
  /** What happened: resolves when it is committed, or meant nothing. Overtakes what the provider says. */
  readonly tell: (happening: Happening, cause: Cause) => Effect.Effect<void>
  /** What the provider said, in order: resolves when it is committed. */
  readonly hear: (happenings: ReadonlyArray<Happening>, cause: Cause) => Effect.Effect<void>
  /** Commits the marker of what is owed. False: it is not owed any more, and must not be performed. */
  readonly begin: (owed: Owed) => Effect.Effect<boolean>
  /** Repairs the thread by the truth; only if it is still at `version`, where one is given. */
  readonly reconcile: (live: Live, occasion: Occasion, version: number | null) => Effect.Effect<void>
  readonly isIdle: () => boolean
}

export interface Standing {
  readonly state: ThreadState
  readonly version: number
}

/** What a mailbox needs of the rest of the server. */
export interface Surroundings {
  readonly commit: Commit["Service"]
  readonly facts: (command: ThreadCommand) => Effect.Effect<Omit<Facts, "now">, StorageUnavailable>
  readonly load: (threadId: ThreadId) => Effect.Effect<Standing, StorageUnavailable>
  /** Rings after each commit of events, when `current` shows them. Streamed text does not ring: nothing is owed for it. */
  readonly changed: (threadId: ThreadId) => void
  /** The thread has a commit that nobody was told of. */
  readonly missed: (threadId: ThreadId) => void
}

/** Commands of one thread that may wait. */
const commandsMax = 200
/** Control letters that overtake the provider's at a time: who asks without end must not silence it. */
const overtakeMax = 64
/** Provider happenings of one commit. */
const batchMax = 512

interface Letter {
  /** Null: what it says has no meaning any more. */
  readonly rule: (standing: Standing) => Effect.Effect<Verdict | null, CommandFailure>
  readonly done: Deferred.Deferred<Committed | null, CommandFailure>
  /**
   * A command is refused when the storage fails. Everything else waits for it, at most a second between
   * two tries: an outcome or a provider's word that is lost here would leave a turn hanging. What the
   * tables refuse for good is left out, so that one poisoned event harms only itself.
   */
  readonly patient: boolean
  readonly lane: Array<Letter>
}

type Settled = Exit.Exit<Committed | null, CommandFailure>

/** The storage refused a letter that must not be lost. */
interface Stalled {
  readonly delayMs: number
}

interface Verdict {
  readonly events: ReadonlyArray<ThreadEvent>
  readonly cause: Cause
  readonly receipt: Receipt | null
  /** The state after the events, where the rule has come to it anyway. */
  readonly after?: ThreadState
}

export const make = (
  threadId: ThreadId,
  first: Standing,
  around: Surroundings
): { readonly mailbox: Mailbox; readonly worker: Effect.Effect<never> } => {
  let standing = first
  const control: Array<Letter> = []
  const provider: Array<Letter> = []
  const waiting = Latch.makeUnsafe()
  let commands = 0
  let working = false
  /** Control letters taken in a row while the provider's wait. */
  let overtaken = 0
  let stalled: Stalled | null = null
  let lastDelayMs = 0

  const post = (lane: Array<Letter>, letter: Omit<Letter, "done" | "lane">) =>
    Effect.suspend(() => {
      const done = Deferred.makeUnsafe<Committed | null, CommandFailure>()
      lane.push({ ...letter, done, lane })
      waiting.openUnsafe()
      return Deferred.await(done)
    })

  /** While the storage is in trouble only letters that may be refused are taken; the others keep their places. */
  const take = (): Letter | undefined => {
    if (stalled === null) {
      const providersTurn = overtaken >= overtakeMax && provider.length > 0
      const letter = providersTurn ? undefined : control.shift()
      overtaken = letter === undefined || provider.length === 0 ? 0 : overtaken + 1
      return letter ?? provider.shift()
    }
    const at = control.findIndex((letter) => !letter.patient)
    return at === -1 ? undefined : control.splice(at, 1)[0]
  }

  const next: Effect.Effect<Letter> = Effect.suspend(() => {
    const letter = take()
    working = letter !== undefined
    if (letter !== undefined) return Effect.succeed(letter)
    waiting.closeUnsafe()
    return Effect.andThen(stalled === null ? waiting.await : patience(stalled), next)
  })

  /** Until a letter comes or it is time to try again. */
  const patience = (trouble: Stalled) =>
    Effect.raceFirst(
      waiting.await,
      Effect.andThen(
        Effect.sleep(trouble.delayMs),
        Effect.sync(() => (stalled = null))
      )
    )

  const settle = (letter: Letter, exit: Settled) =>
    Effect.sync(() => {
      working = false
      if (letter === look) look = null
      Deferred.doneUnsafe(letter.done, exit)
    })

  const carryOut = (letter: Letter): Effect.Effect<Committed | null, CommandFailure> =>
    // Suspended: a rule that throws breaks its letter, not the mailbox.
    Effect.flatMap(
      Effect.suspend(() => letter.rule(standing)),
      (verdict) =>
        verdict === null || (verdict.events.length === 0 && verdict.receipt === null)
          ? Effect.succeed(null)
          : written(letter, verdict)
    )

  const written = (letter: Letter, verdict: Verdict): Effect.Effect<Committed | null, CommandFailure> =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      const after = verdict.after ?? verdict.events.reduce(evolve, standing.state)
      const change = {
        stream: "thread",
        threadId,
        expected: standing.version,
        after,
        at,
        ...verdict
      } as const
      return around.commit.submit(change).pipe(
        Effect.catchTag("VersionConflict", () => reload),
        Effect.flatMap((committed) =>
          committed === null ? carryOut(letter) : taken(verdict, after, committed)
        )
      )
    })

  const taken = (
    { events }: Verdict,
    after: ThreadState,
    committed: Committed
  ): Effect.Effect<Committed, StorageUnavailable> => {
    const version = standing.version + events.filter((event) => !isStreamed(event)).length
    if (committed.version === version) {
      standing = { state: after, version }
      if (!events.every(isStreamed)) around.changed(threadId)
    }
    // A repeated command is answered with what was committed then; the state is not touched by it. What lies
    // ahead of us was committed although we were told that it failed.
    if (committed.version > version) return Effect.as(reload, committed)
    return Effect.succeed(committed)
  }

  /**
   * The thread has a commit that is not ours: one that the storage denied, or, against all rules, somebody
   * else's. The truth is in the tables, and nobody has looked yet at what it owes.
   */
  const adopt = (found: Standing) =>
    Effect.gen(function* () {
      yield* Effect.logWarning(`Thread ${threadId} was changed from outside; its state is read anew`)
      standing = found
      around.missed(threadId)
      around.changed(threadId)
      return null
    })

  const reload = Effect.flatMap(around.load(threadId), adopt)

  const comparedWithTables = () =>
    Effect.flatMap(around.load(threadId), (found) =>
      found.version > standing.version ? adopt(found) : Effect.succeed(null)
    )

  /** Waits to be carried out; gone when it is settled, however that went. */
  let look: Letter | null = null

  /**
   * What the storage refused may be there all the same (its commit was denied, not undone). Its author may never
   * ask again, so the thread looks by itself: else what was committed is owed and nobody does it (L14).
   */
  const lookLater = () => {
    if (look !== null) return
    look = { rule: comparedWithTables, patient: true, lane: control, done: Deferred.makeUnsafe() }
    control.push(look)
  }

  /** What became of a letter: it is settled, or takes its place again until the storage may be better. */
  const concluded = (letter: Letter, exit: Settled): Effect.Effect<void> => {
    const trouble = letter.patient ? storageTrouble(exit) : null
    if (trouble === null) {
      if (Exit.isSuccess(exit)) lastDelayMs = 0
      else if (storageTrouble(exit) !== null) lookLater()
      return settle(letter, exit)
    }
    if (!trouble.retryable) {
      return Effect.andThen(
        Effect.logError(`The tables refused what happened to thread ${threadId}; it was left out`),
        settle(letter, Exit.succeed(null))
      )
    }
    letter.lane.unshift(letter)
    lastDelayMs = Math.min(Math.max(20, lastDelayMs * 2), 1_000)
    stalled = { delayMs: lastDelayMs }
    return Effect.void
  }

  const worker = Effect.flatMap(next, (letter) =>
    Effect.flatMap(Effect.exit(carryOut(letter)), (exit) => concluded(letter, exit))
  ).pipe(Effect.forever)

  const said = (happenings: ReadonlyArray<Happening>, cause: Cause) =>
    Effect.asVoid(ordinary(post(provider, { rule: happened(happenings, cause), patient: true })))

  const mailbox: Mailbox = {
    threadId,
    current: () => standing,
    isIdle: () => !working && control.length === 0 && provider.length === 0,
    command: (command, receipt, actor) =>
      Effect.suspend((): Effect.Effect<Committed | null, CommandFailure> => {
        if (commands >= commandsMax) {
          return Effect.fail(new Overloaded({ what: "commands waiting in the thread", limit: commandsMax }))
        }
        commands++
        const rule = commandRule(command, receipt, actor, around)
        return Effect.ensuring(
          post(control, { rule, patient: false }),
          Effect.sync(() => void commands--)
        )
      }).pipe(Effect.map((committed) => committed!)),
    tell: (happening, cause) =>
      Effect.asVoid(ordinary(post(control, { rule: happened([happening], cause), patient: true }))),
    hear: (happenings, cause) =>
      happenings.length <= batchMax
        ? said(happenings, cause)
        : Effect.forEach(chunks(happenings), (chunk) => said(chunk, cause), { discard: true }),
    begin: (owed) =>
      Effect.suspend(() => {
        let owes = false
        let marked = true
        const rule: Letter["rule"] = ({ state }) => {
          const events = begin(owed, state)
          owes = events !== null
          marked = events === null || events.length === 0
          return Effect.succeed(
            events === null ? null : { events, cause: { type: "effect", key: keyOf(owed) }, receipt: null }
          )
        }
        // A marker that the tables refused is not there: what it stands before must not happen.
        return Effect.map(
          ordinary(post(control, { rule, patient: true })),
          (committed) => owes && (marked || committed !== null)
        )
      }),
    reconcile: (live, occasion, version) =>
      Effect.asVoid(ordinary(post(control, { rule: repaired(live, occasion, version), patient: true })))
  }
  return { mailbox, worker }
}

// What the letters say

const commandRule =
  (command: ThreadCommand, receipt: Receipt, actor: string, around: Surroundings): Letter["rule"] =>
  ({ state }) =>
    Effect.gen(function* () {
      const cause: Cause = { type: "command", commandId: command.commandId, actor }
      // The rules would call a repeated command a mistake; its own receipt answers it.
      const stored = yield* around.commit.receiptOf(command.commandId)
      if (stored !== null) return { events: [], cause, receipt }
      const now = yield* Clock.currentTimeMillis
      const facts = yield* around.facts(command)
      const decision = decide(command, state, { ...facts, now })
      if (Result.isFailure(decision)) return yield* Effect.fail(decision.failure)
      return { events: decision.success, cause, receipt }
    })

const happened =
  (happenings: ReadonlyArray<Happening>, cause: Cause): Letter["rule"] =>
  (standing) => {
    const events: Array<ThreadEvent> = []
    let state = standing.state
    for (const happening of happenings) {
      for (const event of observe(happening, state)) {
        state = evolve(state, event)
        events.push(event)
      }
    }
    return Effect.succeed({ events, cause, receipt: null, after: state })
  }

const repaired =
  (live: Live, occasion: Occasion, version: number | null): Letter["rule"] =>
  (standing) =>
    Effect.sync(() => {
      if (version !== null && version !== standing.version) return null
      const events = reconcile(live, standing.state, occasion)
      return { events, cause: { type: "reconciler", reason: occasion.reason }, receipt: null }
    })

const chunks = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / batchMax) }, (_, n) =>
    all.slice(n * batchMax, (n + 1) * batchMax)
  )

const storageTrouble = (exit: Exit.Exit<unknown, CommandFailure>): StorageUnavailable | null => {
  if (Exit.isSuccess(exit)) return null
  const failure = CauseOf.findError(exit.cause)
  return Result.isSuccess(failure) && failure.success._tag === "StorageUnavailable" ? failure.success : null
}

/** The rules refuse commands only. */
const ordinary = <A>(effect: Effect.Effect<A, CommandFailure>): Effect.Effect<A> => Effect.orDie(effect)
