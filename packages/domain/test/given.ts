/**
 * What a law's test reads like: a thread, what happens to it, and what it is then.
 *
 * A `Story` walks the real rules, never a shortcut: its states are states that users reach.
 */
import { Result } from "effect"
import {
  CommandId,
  ItemId,
  MessageId,
  ProjectId,
  ProviderInstanceId,
  ProviderTurnId,
  RequestId,
  ThreadId,
  TurnId
} from "../src/ids.ts"
import type { Fault } from "../src/runtime/Fault.ts"
import type { Decision, ProviderEvent, TurnOutcome } from "../src/runtime/ProviderEvent.ts"
import type { Delivery, Facts, ThreadCommand, ThreadRejection } from "../src/thread/Command.ts"
import { decide } from "../src/thread/decide.ts"
import type { EventOf, ThreadEvent, ThreadEventType } from "../src/thread/Event.ts"
import { evolve } from "../src/thread/evolve.ts"
import type { DeadlineKind } from "../src/thread/lifecycle.ts"
import { observe } from "../src/thread/observe.ts"
import type { Evidence, Happening, Live, Outcome, OwedType } from "../src/thread/Owed.ts"
import { begin, pending } from "../src/thread/pending.ts"
import { reconcile } from "../src/thread/reconcile.ts"
import { initial } from "../src/thread/State.ts"
import type { OpenTurn, ThreadState } from "../src/thread/State.ts"

export const threadId = ThreadId.make("thread")
export const agent = ProviderInstanceId.make("agent")
export const other = ProviderInstanceId.make("other")
const commandId = CommandId.make("command")
export const turn = (id: string) => TurnId.make(id)
export const native = (id: string) => ProviderTurnId.make(id)
export const item = (id: string) => ItemId.make(id)
export const request = (id: string) => RequestId.make(id)

export const facts: Facts = { now: 0, turnIdTaken: false, retryOf: null }
export const unavailable: Fault = { reason: "Unavailable", message: "not reachable" }
export const sessionGone: Fault = { reason: "SessionGone", message: "no such session" }
export const unknownFault: Fault = { reason: "Unknown", message: "the transport broke" }

export const thread: EventOf<"thread.created"> = {
  type: "thread.created",
  projectId: ProjectId.make("project"),
  title: "A thread",
  provider: agent,
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  cwd: null
}

type Body<T> = T extends { readonly commandId: CommandId } ? Omit<T, "commandId" | "threadId"> : never

export class Story {
  state: ThreadState = evolve(initial, thread)
  /** The events of the last step. */
  events: ReadonlyArray<ThreadEvent> = []
  readonly log: Array<ThreadEvent> = [thread]

  private apply(events: ReadonlyArray<ThreadEvent>): this {
    this.events = events
    this.log.push(...events)
    this.state = events.reduce(evolve, this.state)
    return this
  }

  command(body: Body<ThreadCommand>, known: Partial<Facts> = {}): this {
    const decision = decide({ ...body, commandId, threadId } as ThreadCommand, this.state, {
      ...facts,
      ...known
    })
    if (Result.isFailure(decision)) throw new Error(`refused: ${decision.failure._tag}`)
    return this.apply(decision.success)
  }

  /** The refusal of a command, or null where it is accepted. Changes nothing. */
  refusal(body: Body<ThreadCommand>, known: Partial<Facts> = {}): ThreadRejection["_tag"] | null {
    const decision = decide({ ...body, commandId, threadId } as ThreadCommand, this.state, {
      ...facts,
      ...known
    })
    return Result.isFailure(decision) ? decision.failure._tag : null
  }

  ask(id: string, delivery: Delivery = "queue", provider?: ProviderInstanceId): this {
    const more = provider === undefined ? {} : { provider }
    return this.command({
      type: "thread.turn.start",
      turnId: turn(id),
      messageId: MessageId.make(`m-${id}`),
      text: `do ${id}`,
      delivery,
      ...more
    })
  }

  interrupt(id?: string): this {
    return this.command({ type: "thread.turn.interrupt", ...(id !== undefined && { turnId: turn(id) }) })
  }

  stop(force = false): this {
    return this.command({ type: "thread.session.stop", force })
  }

  answer(id: string): this {
    return this.command({ type: "thread.request.answer", requestId: request(id), decision: "accept" })
  }

  observe(happening: Happening): this {
    return this.apply(observe(happening, this.state))
  }

  says(event: ProviderEvent, at: { generation?: number; seq?: number } = {}): this {
    const { generation, seen } = this.state.session
    return this.observe({ type: "provider", generation, seq: seen + 1, ...at, event })
  }

  started(id: string, of: string | null = null): this {
    return this.says({
      type: "turn.started",
      providerTurnId: native(id),
      turnId: of === null ? null : turn(of)
    })
  }

  ended(id: string | null, outcome: TurnOutcome = "completed", message: string | null = null): this {
    const providerTurnId = id === null ? null : native(id)
    return this.says({ type: "turn.completed", providerTurnId, outcome, message })
  }

  exited(clean: boolean, message: string | null = null): this {
    return this.says({ type: "session.exited", clean, message })
  }

  itemStarted(id: string, name = "i1", kind: "assistant_message" | "command" = "assistant_message"): this {
    return this.says({
      type: "item.started",
      providerTurnId: native(id),
      providerItemId: name,
      kind,
      title: "",
      detail: {}
    })
  }

  text(id: string, text: string, name = "i1"): this {
    return this.says({ type: "text.delta", providerTurnId: native(id), providerItemId: name, text })
  }

  retrying(id: string): this {
    return this.says({
      type: "error.transient",
      providerTurnId: native(id),
      message: "Reconnecting... 1/5",
      attempt: 1,
      limit: 5
    })
  }

  finalError(id: string, message: string): this {
    return this.says({ type: "error.final", providerTurnId: native(id), message })
  }

  asks(id: string, key = "r1"): this {
    return this.says({
      type: "request.opened",
      providerTurnId: native(id),
      requestKey: key,
      kind: "command_approval",
      ask: { title: "Run it?", detail: {}, decisions: ["accept", "decline"], questions: [] }
    })
  }

  questions(id: string, decisions: ReadonlyArray<Decision>, key = "r1"): this {
    const questions = [
      { id: "q1", question: "Which?", options: [{ label: "a" }] },
      { id: "q2", question: "Where?", options: [] }
    ]
    return this.says({
      type: "request.opened",
      providerTurnId: native(id),
      requestKey: key,
      kind: "question",
      ask: { title: "Two things", detail: {}, decisions, questions }
    })
  }

  outcome(outcome: Outcome): this {
    return this.observe({ type: "outcome", outcome })
  }

  deadline(kind: DeadlineKind, id: string): this {
    return this.observe({ type: "deadline", kind, turnId: turn(id) })
  }

  /** Commits the marker of what is owed of this type. */
  begin(type: OwedType): this {
    const owed = pending(this.state).find((one) => one.type === type)
    if (owed === undefined) throw new Error(`not owed: ${type}`)
    const events = begin(owed, this.state)
    if (events === null) throw new Error(`begun already: ${type}`)
    return this.apply(events)
  }

  live(live: Live, intentLimitMs: number | null = null, now = 0): this {
    return this.apply(reconcile(live, this.state, { reason: "The server restarted", now, intentLimitMs }))
  }

  get generation(): number {
    return this.state.session.generation
  }

  /** A session that is ready. */
  ready(): this {
    return this.begin("session.start").outcome({
      type: "start.ok",
      generation: this.generation,
      resume: "cursor"
    })
  }

  accepted(id: string, providerTurnId = `p-${id}`): this {
    const { generation } = this
    return this.outcome({
      type: "send.accepted",
      turnId: turn(id),
      generation,
      providerTurnId: native(providerTurnId)
    })
  }

  rejected(id: string, fault: Fault = unavailable): this {
    return this.outcome({ type: "send.rejected", turnId: turn(id), generation: this.generation, fault })
  }

  unknown(id: string): this {
    const { generation } = this
    return this.outcome({ type: "send.unknown", turnId: turn(id), generation, fault: unknownFault })
  }

  evidence(id: string, evidence: Evidence, generation = this.generation): this {
    return this.outcome({ type: "evidence", turnId: turn(id), generation, evidence })
  }

  stopped(): this {
    return this.outcome({ type: "stop.ok", generation: this.generation })
  }

  stopFailed(step: "stop" | "kill" = "stop", fault: Fault = unavailable): this {
    return this.outcome({ type: "stop.failed", generation: this.generation, step, fault })
  }

  interruptAccepted(id: string): this {
    return this.outcome({ type: "interrupt.accepted", turnId: turn(id), generation: this.generation })
  }

  interruptFailed(id: string, fault: Fault = unavailable): this {
    return this.outcome({ type: "interrupt.failed", turnId: turn(id), generation: this.generation, fault })
  }

  open(id: string): OpenTurn | undefined {
    return this.state.turns.find((one) => one.id === id)
  }

  /** How the turn ended, in the whole story. */
  end(id: string): Pick<EventOf<"turn.settled">, "state" | "delivery" | "reason" | "into"> | undefined {
    return this.all("turn.settled").find((event) => event.turnId === id)
  }

  all<Type extends ThreadEventType>(type: Type): ReadonlyArray<EventOf<Type>> {
    return this.log.filter((event): event is EventOf<Type> => event.type === type)
  }

  get types(): ReadonlyArray<ThreadEventType> {
    return this.events.map((event) => event.type)
  }

  get owed(): ReadonlyArray<OwedType> {
    return pending(this.state).map((one) => one.type)
  }

  get status(): string {
    return this.state.session.status
  }

  get lastError(): string | null {
    return this.state.session.lastError
  }
}

export const aThread = () => new Story()
/** A first turn was asked for and its send has begun. */
export const sending = (id = "t1") => aThread().ask(id).ready().begin("turn.send")
/** A first turn runs as `p-t1`. */
export const running = (id = "t1") => sending(id).accepted(id)
/** The session is ready and idle: its first turn has completed. */
export const idle = () => running("t0").ended("p-t0")
