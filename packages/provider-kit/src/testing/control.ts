/**
 * A test's hand on the scripted provider: what was really called, and how each call turns out.
 *
 * Every call of the provider is noted when it arrives and then does what the provider really does,
 * unless a plan was laid for it. A plan gets the real call as an effect and decides whether, when and
 * how often it happens and what the caller hears: "delivered, but the answer got lost" is
 * `(real) => Effect.andThen(real, fail)`. The ways a test needs most are below by name.
 */
import type {
  Generation,
  MessageId,
  ProviderInstanceId,
  ProviderTurnId,
  ThreadId,
  TurnId
} from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { ProviderEvent, TurnOutcome } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import { Deferred, Effect } from "effect"
import type {
  EvidenceQuery,
  Health,
  LiveSession,
  OpenOptions,
  Prompt,
  ProviderSession,
  TurnTruth
} from "../Provider.ts"
import { ProviderError } from "../ProviderError.ts"

/** What each call is given … */
export interface Arguments {
  readonly open: OpenOptions
  readonly send: { readonly prompt: Prompt }
  readonly steer: { readonly prompt: Prompt; readonly into: ProviderTurnId | null }
  readonly interrupt: { readonly providerTurnId: ProviderTurnId | null }
  readonly answer: { readonly requestKey: string; readonly answer: Answer }
  readonly probe: { readonly providerTurnId: ProviderTurnId | null }
  readonly stop: { readonly step: "stop" | "kill" }
  readonly list: {}
  readonly evidence: EvidenceQuery
}

/** … and what it gives back. */
export interface Results {
  readonly open: ProviderSession
  readonly send: { readonly providerTurnId: ProviderTurnId }
  readonly steer: void
  readonly interrupt: void
  readonly answer: void
  readonly probe: TurnTruth
  readonly stop: void
  readonly list: ReadonlyArray<LiveSession>
  readonly evidence: Evidence
}

export type Operation = keyof Results

export interface CallOf<Op extends Operation> {
  readonly operation: Op
  readonly provider: ProviderInstanceId
  /** Null for a call that belongs to no thread. */
  readonly threadId: ThreadId | null
  readonly generation: Generation | null
  readonly arguments: Arguments[Op]
}
export type Call = { readonly [Op in Operation]: CallOf<Op> }[Operation]

export type Plan<Op extends Operation> = (
  real: Effect.Effect<Results[Op], ProviderError>,
  call: CallOf<Op>
) => Effect.Effect<Results[Op], ProviderError>

/** A prompt that the provider really took, in the order of arrival. */
export interface Received {
  readonly how: "send" | "steer"
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly conversation: string
  readonly turnId: TurnId
  readonly messageId: MessageId
  readonly text: string
  readonly providerTurnId: ProviderTurnId
}

export interface Control {
  /** The plan of the next call of this kind that has none yet; of this thread where one is named. Used once, in order. */
  readonly next: <Op extends Operation>(operation: Op, plan: Plan<Op>, threadId?: ThreadId) => void
  /** The plan of every call of this kind that has no other; null takes it away. */
  readonly always: <Op extends Operation>(operation: Op, plan: Plan<Op> | null) => void
  /** Every call in order of arrival, refused and hanging ones too; the newest 10,000. */
  readonly calls: () => ReadonlyArray<Call>
  /** The first call of this kind that `matches`, made already or still to come. */
  readonly called: <Op extends Operation>(
    operation: Op,
    matches?: (call: CallOf<Op>) => boolean
  ) => Effect.Effect<CallOf<Op>>
  /** The truth about delivery: which prompts arrived, and how often; the newest 10,000. */
  readonly received: () => ReadonlyArray<Received>
  /** Says anything at all on the thread's newest session, also what no provider should. Waits while nobody reads. */
  readonly emit: (threadId: ThreadId, event: ProviderEvent) => Effect.Effect<void>
  /** The provider's name for the turn that runs on the thread. */
  readonly activeTurn: (threadId: ThreadId) => ProviderTurnId | null
  /** Resolves when the provider is through with the turn that took this message. */
  readonly ended: (turnId: TurnId) => Effect.Effect<TurnOutcome>
  /** The provider's process dies: the thread's session ends at once, unclean. Without a thread: all of them. */
  readonly crash: (threadId?: ThreadId, message?: string) => Effect.Effect<void>
  /** The provider ends the session by itself, in order. */
  readonly exit: (threadId: ThreadId, message?: string) => Effect.Effect<void>
  /**
   * From now on closing a session's scope only lets go of it, as the end of our process does for a
   * provider that outlives it: it works on unheard, `listLive` names it, and opening with its resume
   * cursor takes it up again.
   */
  readonly outlive: (on: boolean) => void
  readonly live: () => ReadonlyArray<LiveSession>
  readonly setHealth: (health: Health) => void
  /** Resolves once the condition holds; it is looked at after every change inside the provider. */
  readonly until: (condition: () => boolean) => Effect.Effect<void>
}

/** Nothing happens, and the caller hears why. */
export const refuse =
  (reason: FaultReason, message = `told to answer ${reason}`) =>
  <A>(_real: Effect.Effect<A, ProviderError>, call: Call): Effect.Effect<A, ProviderError> =>
    Effect.fail(errorOf(call, reason, message))

/** It happens, and the answer gets lost on the way. */
export const lose =
  (message = "the answer got lost") =>
  <A>(real: Effect.Effect<A, ProviderError>, call: Call): Effect.Effect<A, ProviderError> =>
    Effect.andThen(real, Effect.fail(errorOf(call, "Unknown", message)))

/** Nothing happens, and no answer ever comes. */
export const hang = <A>(_real: Effect.Effect<A, ProviderError>): Effect.Effect<A, ProviderError> =>
  Effect.never

/** It happens, and no answer ever comes. */
export const deliverAndHang = <A>(real: Effect.Effect<A, ProviderError>): Effect.Effect<A, ProviderError> =>
  Effect.andThen(real, Effect.never)

/** It happens once the gate opens; a gate that fails refuses the call. */
export const hold =
  (gate: Deferred.Deferred<void, ProviderError>) =>
  <A>(real: Effect.Effect<A, ProviderError>): Effect.Effect<A, ProviderError> =>
    Effect.andThen(Deferred.await(gate), real)

/** It happens at once; the answer comes when the gate opens. */
export const holdAnswer =
  (gate: Deferred.Deferred<void, ProviderError>) =>
  <A>(real: Effect.Effect<A, ProviderError>): Effect.Effect<A, ProviderError> =>
    Effect.tap(real, () => Deferred.await(gate))

/** Nothing happens, and the caller hears this. */
export const pretend =
  <A>(result: A) =>
  (): Effect.Effect<A> =>
    Effect.succeed(result)

export const errorOf = (
  call: Pick<Call, "provider" | "operation">,
  reason: FaultReason,
  message: string
): ProviderError =>
  new ProviderError({ provider: call.provider, operation: call.operation, fault: { reason, message } })

/** Calls and plans of one provider. */
export interface Switchboard {
  /** Notes the call, then does it as planned, or really. */
  readonly perform: <Op extends Operation>(
    call: CallOf<Op> & Call,
    real: Effect.Effect<Results[Op], ProviderError>
  ) => Effect.Effect<Results[Op], ProviderError>
  /** Something changed: whoever waits for a condition looks again. */
  readonly changed: () => void
  readonly control: Pick<Control, "next" | "always" | "calls" | "called" | "until">
}

interface Planned<Op extends Operation> {
  readonly plan: Plan<Op>
  readonly threadId: ThreadId | undefined
}

export const makeSwitchboard = (): Switchboard => {
  const queued: { readonly [Op in Operation]: Array<Planned<Op>> } = {
    open: [],
    send: [],
    steer: [],
    interrupt: [],
    answer: [],
    probe: [],
    stop: [],
    list: [],
    evidence: []
  }
  const standing: { [Op in Operation]?: Plan<Op> | null } = {}
  const calls: Array<Call> = []
  const waiting = new Set<{ readonly holds: () => boolean; readonly done: Deferred.Deferred<void> }>()

  const changed = () => {
    for (const waiter of waiting) {
      if (!waiter.holds()) continue
      waiting.delete(waiter)
      // Woken a moment later: a fiber resumes on the spot, and would act in the middle of the change.
      queueMicrotask(() => Deferred.doneUnsafe(waiter.done, Effect.void))
    }
  }
  const until = (holds: () => boolean) =>
    Effect.suspend(() => {
      if (holds()) return Effect.void
      const waiter = { holds, done: Deferred.makeUnsafe<void>() }
      waiting.add(waiter)
      return Effect.ensuring(
        Deferred.await(waiter.done),
        Effect.sync(() => waiting.delete(waiter))
      )
    })

  const planOf = <Op extends Operation>(operation: Op, threadId: ThreadId | null): Plan<Op> | null => {
    const plans: Array<Planned<Op>> = queued[operation]
    const index = plans.findIndex(
      (planned) => planned.threadId === undefined || planned.threadId === threadId
    )
    const [planned] = index === -1 ? [] : plans.splice(index, 1)
    return planned?.plan ?? standing[operation] ?? null
  }

  const perform: Switchboard["perform"] = (call, real) =>
    Effect.suspend(() => {
      keep(calls, call)
      const plan = planOf(call.operation, call.threadId)
      changed()
      return plan === null ? real : plan(real, call)
    })

  const called: Control["called"] = <Op extends Operation>(
    operation: Op,
    matches: (call: CallOf<Op>) => boolean = () => true
  ) => {
    const isIt = (call: { readonly operation: Operation }): call is CallOf<Op> =>
      call.operation === operation && matches(call as CallOf<Op>)
    const found = () => calls.find(isIt) as CallOf<Op> | undefined
    return Effect.map(
      until(() => found() !== undefined),
      () => found()!
    )
  }

  return {
    perform,
    changed,
    control: {
      next: (operation, plan, threadId) => {
        queued[operation].push({ plan, threadId })
      },
      always: (operation, plan) => {
        Object.assign(standing, { [operation]: plan })
      },
      calls: () => [...calls],
      called,
      until
    }
  }
}

/** Adds to a list that keeps its newest 10,000. */
export const keep = <A>(list: Array<A>, value: A): void => {
  list.push(value)
  if (list.length > 10_000) list.shift()
}
