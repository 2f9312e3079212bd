/**
 * One thread's mailbox: the only place where its state is decided on, one letter at a time.
 *
 *     control  ──▶ ┐
 *     (commands, outcomes, deadlines)   take ──▶ rule ──▶ Commit ──▶ new state ──▶ doorbell
 *     provider ──▶ ┘                     ▲                   │
 *                                        └──── concluded ◀───┘
 *
 * Control letters overtake the provider's. Nothing here is memory that a crash would lose: the state is the
 * committed one, and a letter that was not committed is still owed by whoever wrote it. When the storage is
 * in trouble a command is refused with a type, and what the provider said waits: nothing is dropped.
 *
 * It has no fiber of its own. Whoever posts a letter to a mailbox at rest carries it as far as the commit, and
 * the commit's answer carries on from there: of the many pieces of a streamed text each wakes its author alone.
 */
import { Overloaded } from "@turnkeeper/contracts/Errors"
import type { CommandIdReused, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Facts, ThreadCommand, ThreadRejection } from "@turnkeeper/domain/thread/Command"
import { decide } from "@turnkeeper/domain/thread/decide"
import { isStreamed } from "@turnkeeper/domain/thread/Event"
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
import type { Commit, CommitError } from "./Commit.ts"

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
  /** The same as a plain call: a session that speaks needs no fiber for each of its portions. */
  readonly note: (happenings: ReadonlyArray<Happening>, cause: Cause, noted: Noted) => void
  /** Commits the marker of what is owed. False: it is not owed any more, and must not be performed. */
  readonly begin: (owed: Owed) => Effect.Effect<boolean>
  /** Repairs the thread by the truth; only if it is still at `version`, where one is given. */
  readonly reconcile: (live: Live, occasion: Occasion, version: number | null) => Effect.Effect<void>
  readonly isIdle: () => boolean
}

/** Hears once that it is committed, or that it broke the rules' own code. It must be short. */
export type Noted = (exit: Exit.Exit<void>) => void

export interface Standing {
  readonly state: ThreadState
  readonly version: number
}

/** What a mailbox needs of the rest of the server. */
export interface Surroundings {
  readonly commit: Commit["Service"]
  readonly clock: Clock.Clock
  /** Runs what a letter has to wait for and tells how it ended; of what is interrupted by the server's end, too. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void) => void
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
  /** What it means to the thread as it stands; null: nothing any more. */
  readonly rule: (standing: Standing) => Ruling
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
  readonly lane: Array<Letter>
}

/** Known at once, as an `Exit`, where nothing has to be read first. */
type Ruling = Effect.Effect<Verdict | null, CommandFailure>

type Settled = Exit.Exit<Committed | null, CommandFailure>

interface Verdict {
  readonly events: ReadonlyArray<ThreadEvent>
  /** The state after the events. */
  readonly after: ThreadState
  readonly cause: Cause
  readonly receipt: Receipt | null
}

export const make = (threadId: ThreadId, first: Standing, around: Surroundings): Mailbox => {
  let standing = first
  const control: Array<Letter> = []
  const provider: Array<Letter> = []
  let commands = 0
  /** A letter is being carried out. */
  let working = false
  /** `takeNext` is under way. */
  let going = false
  /** Control letters taken in a row while the provider's wait. */
  let overtaken = 0
  /** The storage refused a letter that must not be lost; it is tried again after a while. */
  let stalled = false
  let lastDelayMs = 0

  const post = (letter: Letter) => {
    letter.lane.push(letter)
    takeNext()
  }

  /**
   * Takes letters until one has to wait for its end, which takes the next one. Not inside itself: letters that
   * end at once are a loop, however many wait, and no tower of calls.
   */
  const takeNext = (): void => {
    if (going) return
    going = true
    for (let letter = next(); letter !== undefined; letter = next()) {
      working = true
      carryOut(letter)
    }
    going = false
  }

  const next = () => (working ? undefined : take())

  /** While the storage is in trouble only letters that may be refused are taken; the others keep their places. */
  const take = (): Letter | undefined => {
    if (!stalled) {
      const providersTurn = overtaken >= overtakeMax && provider.length > 0
      const letter = providersTurn ? undefined : control.shift()
      overtaken = letter === undefined || provider.length === 0 ? 0 : overtaken + 1
      return letter ?? provider.shift()
    }
    const at = control.findIndex((letter) => !letter.patient)
    return at === -1 ? undefined : control.splice(at, 1)[0]
  }

  const carryOut = (letter: Letter) =>
    known(ruled(letter.rule, standing), (ruling) => {
      if (Exit.isFailure(ruling)) return concluded(letter, Exit.failCause(ruling.cause))
      const verdict = ruling.value
      if (verdict === null || (verdict.events.length === 0 && verdict.receipt === null))
        return concluded(letter, nothing)
      write(letter, verdict)
    })

  /** Goes on at once with what is known already: an effect that is an exit needs no fiber. */
  const known = <A, E>(effect: Effect.Effect<A, E>, then: (exit: Exit.Exit<A, E>) => void) =>
    isKnown(effect) ? then(effect) : around.run(effect, then)

  const write = (letter: Letter, { events, after, cause, receipt }: Verdict) => {
    const { version: expected } = standing
    const at = around.clock.currentTimeMillisUnsafe()
    const change = { stream: "thread", threadId, expected, events, after, at, cause, receipt } as const
    around.commit.take(change, (exit) => {
      if (Exit.isSuccess(exit)) return taken(letter, change, exit.value)
      const refusal = refusalOf(exit)
      if (refusal === "conflict") reread(letter, () => carryOut(letter))
      else concluded(letter, refusal)
    })
  }

  const taken = (
    letter: Letter,
    { events, after }: Pick<Verdict, "events" | "after">,
    committed: Committed
  ) => {
    const logged = loggedOf(events)
    const version = standing.version + logged
    const answer = Exit.succeed(committed)
    if (committed.version === version) {
      standing = { state: after, version }
      if (logged > 0) around.changed(threadId)
    }
    // A repeated command is answered with what was committed then; the state is not touched by it. What lies
    // ahead of us was committed although we were told that it failed.
    if (committed.version > version) return reread(letter, () => concluded(letter, answer))
    concluded(letter, answer)
  }

  /**
   * The thread has a commit that is not ours: one that the storage denied, or, against all rules, somebody
   * else's. The truth is in the tables, and nobody has looked yet at what it owes.
   */
  const adopt = (found: Standing) =>
    Effect.map(
      Effect.logWarning(`Thread ${threadId} was changed from outside; its state is read anew`),
      () => {
        standing = found
        around.missed(threadId)
        around.changed(threadId)
      }
    )

  const reload = Effect.flatMap(around.load(threadId), adopt)

  /** Where the state cannot be read, the letter shares its fate. */
  const reread = (letter: Letter, then: () => void) =>
    around.run(reload, (exit) =>
      Exit.isSuccess(exit) ? then() : concluded(letter, Exit.failCause(exit.cause))
    )

  const comparedWithTables = (): Ruling =>
    Effect.flatMap(around.load(threadId), (found) =>
      found.version > standing.version ? Effect.as(adopt(found), null) : Effect.succeed(null)
    )

  /** A look is waiting or being carried out. */
  let looking = false

  /**
   * What the storage refused may be there all the same (its commit was denied, not undone). Its author may never
   * ask again, so the thread looks by itself: else what was committed is owed and nobody does it (L14).
   */
  const lookLater = () => {
    if (looking) return
    looking = true
    const done = () => void (looking = false)
    control.push({ rule: comparedWithTables, patient: true, parts: null, lane: control, done })
  }

  /** What became of a letter: it is settled, or takes its place again until the storage may be better. */
  const concluded = (letter: Letter, exit: Settled): void => {
    const trouble = letter.patient ? storageTrouble(exit) : null
    if (trouble === null) {
      if (Exit.isSuccess(exit)) lastDelayMs = 0
      else if (storageTrouble(exit) !== null) lookLater()
      settle(letter, exit)
    } else if (trouble.retryable) {
      letter.lane.unshift(letter)
      stall()
    } else if (letter.parts !== null) {
      letter.lane.unshift(...letter.parts())
      working = false
      takeNext()
    } else {
      around.run(
        Effect.logError(`The tables refused what happened to thread ${threadId}; it was left out`),
        () => settle(letter, nothing)
      )
    }
  }

  const settle = (letter: Letter, exit: Settled) => {
    working = false
    letter.done(exit)
    takeNext()
  }

  const stall = () => {
    working = false
    stalled = true
    lastDelayMs = Math.min(Math.max(20, lastDelayMs * 2), 1_000)
    around.run(Effect.sleep(lastDelayMs), (slept) => {
      // Interrupted: the server ends, and what waits is still owed by whoever wrote it.
      if (Exit.isFailure(slept)) return
      stalled = false
      takeNext()
    })
    // Those that may be refused do not wait for that.
    takeNext()
  }

  const posted = (lane: Array<Letter>, rule: Letter["rule"], patient: boolean) =>
    Effect.callback<Committed | null, CommandFailure>((resume) =>
      post({ rule, patient, parts: null, lane, done: resume })
    )

  /** Much at once is several letters, one after the other; what follows on one that broke is not heard. */
  const note: Mailbox["note"] = (happenings, cause, noted) => {
    const rest = happenings.slice(batchMax)
    const first = rest.length === 0 ? happenings : happenings.slice(0, batchMax)
    const done = (exit: Settled) => {
      if (Exit.isFailure(exit)) noted(broken(exit))
      else if (rest.length === 0) noted(Exit.void)
      else note(rest, cause, noted)
    }
    post(spoken(first, cause, done))
  }

  const spoken = (happenings: ReadonlyArray<Happening>, cause: Cause, done: Letter["done"]): Letter => ({
    rule: happened(happenings, cause),
    patient: true,
    parts: happenings.length > 1 ? () => oneByOne(happenings, cause, done) : null,
    lane: provider,
    done
  })

  /** The last one tells, and of the first that broke, if one did. */
  const oneByOne = (happenings: ReadonlyArray<Happening>, cause: Cause, done: Letter["done"]) => {
    let failed: Settled | null = null
    return happenings.map((happening, index) =>
      spoken([happening], cause, (exit) => {
        if (Exit.isFailure(exit)) failed ??= exit
        if (index === happenings.length - 1) done(failed ?? exit)
      })
    )
  }

  return {
    threadId,
    current: () => standing,
    isIdle: () => !working && control.length === 0 && provider.length === 0,
    command: (command, receipt, actor) =>
      Effect.suspend((): Effect.Effect<Committed | null, CommandFailure> => {
        if (commands >= commandsMax) {
          return Effect.fail(new Overloaded({ what: "commands waiting in the thread", limit: commandsMax }))
        }
        commands++
        return Effect.ensuring(
          posted(control, commandRule(command, receipt, actor, around), false),
          Effect.sync(() => void commands--)
        )
      }).pipe(Effect.map((committed) => committed!)),
    tell: (happening, cause) => Effect.asVoid(ordinary(posted(control, happened([happening], cause), true))),
    hear: (happenings, cause) => Effect.callback((resume) => note(happenings, cause, resume)),
    note,
    begin: (owed) =>
      Effect.suspend(() => {
        let owes = false
        let marked = true
        const rule: Letter["rule"] = ({ state }) => {
          const events = begin(owed, state)
          owes = events !== null
          marked = events === null || events.length === 0
          return events === null
            ? Exit.succeed(null)
            : verdict(state, events, { type: "effect", key: keyOf(owed) })
        }
        // A marker that the tables refused is not there: what it stands before must not happen.
        return Effect.map(
          ordinary(posted(control, rule, true)),
          (committed) => owes && (marked || committed !== null)
        )
      }),
    reconcile: (live, occasion, version) =>
      Effect.asVoid(ordinary(posted(control, repaired(live, occasion, version), true)))
  }
}

// What the letters say

/** A rule that throws breaks its letter, not the mailbox. */
const ruled = (rule: Letter["rule"], standing: Standing): Ruling => {
  try {
    return rule(standing)
  } catch (defect) {
    return Exit.die(defect)
  }
}

const verdict = (
  state: ThreadState,
  events: ReadonlyArray<ThreadEvent>,
  cause: Cause,
  receipt: Receipt | null = null
): Exit.Exit<Verdict> => Exit.succeed({ events, after: events.reduce(evolve, state), cause, receipt })

const commandRule =
  (command: ThreadCommand, receipt: Receipt, actor: string, around: Surroundings): Letter["rule"] =>
  ({ state }) =>
    Effect.gen(function* () {
      const cause: Cause = { type: "command", commandId: command.commandId, actor }
      // The rules would call a repeated command a mistake; its own receipt answers it.
      const stored = yield* around.commit.receiptOf(command.commandId)
      if (stored !== null) return yield* verdict(state, [], cause, receipt)
      const now = yield* Clock.currentTimeMillis
      const facts = yield* around.facts(command)
      const decision = decide(command, state, { ...facts, now })
      if (Result.isFailure(decision)) return yield* Effect.fail(decision.failure)
      return yield* verdict(state, decision.success, cause, receipt)
    })

const happened =
  (happenings: ReadonlyArray<Happening>, cause: Cause): Letter["rule"] =>
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

const repaired =
  (live: Live, occasion: Occasion, version: number | null): Letter["rule"] =>
  (standing) => {
    if (version !== null && version !== standing.version) return Exit.succeed(null)
    const events = reconcile(live, standing.state, occasion)
    return verdict(standing.state, events, { type: "reconciler", reason: occasion.reason })
  }

/** Those that take a version in the log. */
const loggedOf = (events: ReadonlyArray<ThreadEvent>): number => {
  let count = 0
  for (const event of events) if (!isStreamed(event)) count += 1
  return count
}

const nothing = Exit.succeed(null)

const storageTrouble = (exit: Exit.Exit<unknown, CommandFailure>): StorageUnavailable | null => {
  if (Exit.isSuccess(exit)) return null
  const failure = CauseOf.findError(exit.cause)
  return Result.isSuccess(failure) && failure.success._tag === "StorageUnavailable" ? failure.success : null
}

const refusalOf = (exit: Exit.Failure<unknown, CommitError>): "conflict" | Settled => {
  const failure = CauseOf.findError(exit.cause)
  if (Result.isFailure(failure)) return Exit.failCause(failure.failure)
  return failure.success._tag === "VersionConflict" ? "conflict" : Exit.fail(failure.success)
}

const isKnown = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

/** The rules refuse commands only. */
const ordinary = <A>(effect: Effect.Effect<A, CommandFailure>): Effect.Effect<A> => Effect.orDie(effect)

const broken = ({ cause }: Exit.Failure<unknown, CommandFailure>): Exit.Exit<never> => {
  const failure = CauseOf.findError(cause)
  return Result.isSuccess(failure) ? Exit.die(failure.success) : Exit.failCause(failure.failure)
}
