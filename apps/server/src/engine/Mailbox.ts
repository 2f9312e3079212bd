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
 */
import { Overloaded } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import type { Happening, Live, Owed } from "@turnkeeper/domain/thread/Owed"
import type { Occasion } from "@turnkeeper/domain/thread/reconcile"
import { Cause as CauseOf, Effect, Exit, Result } from "effect"
import { carrying } from "./carrying.ts"
import type { Carrier } from "./carrying.ts"
import type { Cause, Committed, Receipt } from "./Change.ts"
import { begun, commanded, happened, repaired } from "./Letter.ts"
import type { CommandFailure, Letter, Rule, Settled, Sources, Standing } from "./Letter.ts"
import { holding } from "./standing.ts"
import type { Surroundings as Around } from "./standing.ts"

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

/** What a mailbox needs of the rest of the server. */
export interface Surroundings extends Around, Sources {}

/** Commands of one thread that may wait. */
const commandsMax = 200
/** Provider happenings of one commit. */
const batchMax = 512

export const make = (threadId: ThreadId, first: Standing, around: Surroundings): Mailbox => {
  const holder = holding(threadId, first, around)
  const { isIdle, post } = carrying(threadId, holder, around)
  const note = noting(post)
  /** Overtakes, and waits for a storage in trouble. */
  const patiently = (rule: Rule) => ordinary(posted(post, rule, true))
  return {
    threadId,
    current: holder.current,
    isIdle,
    command: commanding(post, around),
    tell: (happening, cause) => Effect.asVoid(patiently(happened([happening], cause))),
    hear: (happenings, cause) => Effect.callback((resume) => note(happenings, cause, resume)),
    note,
    begin: (owed) =>
      Effect.suspend(() => {
        let owes = false
        let marked = true
        const rule = begun(owed, (events) => {
          owes = events !== null
          marked = events === null || events.length === 0
        })
        // A marker that the tables refused is not there: what it stands before must not happen.
        return Effect.map(patiently(rule), (committed) => owes && (marked || committed !== null))
      }),
    reconcile: (live, occasion, version) => Effect.asVoid(patiently(repaired(live, occasion, version)))
  }
}

const posted = (post: Carrier["post"], rule: Rule, patient: boolean) =>
  Effect.callback<Committed | null, CommandFailure>((resume) =>
    post({ rule, patient, parts: null, lane: "control", done: resume })
  )

const commanding = (post: Carrier["post"], sources: Sources): Mailbox["command"] => {
  let waiting = 0
  return (command, receipt, actor) =>
    Effect.suspend((): Effect.Effect<Committed | null, CommandFailure> => {
      if (waiting >= commandsMax) {
        return Effect.fail(new Overloaded({ what: "commands waiting in the thread", limit: commandsMax }))
      }
      waiting++
      return Effect.ensuring(
        posted(post, commanded(command, receipt, actor, sources), false),
        Effect.sync(() => void waiting--)
      )
    }).pipe(Effect.map((committed) => committed!))
}

/** Much at once is several letters, one after the other; what follows on one that broke is not heard. */
const noting = (post: Carrier["post"]): Mailbox["note"] => {
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
  return note
}

const spoken = (happenings: ReadonlyArray<Happening>, cause: Cause, done: Letter["done"]): Letter => ({
  rule: happened(happenings, cause),
  patient: true,
  parts: happenings.length > 1 ? () => oneByOne(happenings, cause, done) : null,
  lane: "provider",
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

/** The rules refuse commands only. */
const ordinary = <A>(effect: Effect.Effect<A, CommandFailure>): Effect.Effect<A> => Effect.orDie(effect)

const broken = ({ cause }: Exit.Failure<unknown, CommandFailure>): Exit.Exit<never> => {
  const failure = CauseOf.findError(cause)
  return Result.isSuccess(failure) ? Exit.die(failure.success) : Exit.failCause(failure.failure)
}
