/**
 * A random walk of the real kernel: commands, provider events, markers, outcomes, deadlines. What it
 * gives is what a mailbox would commit; the same seed gives the same walk.
 */
import type { MessageId, RequestId, TurnId } from "@turnkeeper/domain/ids"
import { CommandId, ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Fault } from "@turnkeeper/domain/runtime/Fault"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { ThreadCommand } from "@turnkeeper/domain/thread/Command"
import { decide } from "@turnkeeper/domain/thread/decide"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { observe } from "@turnkeeper/domain/thread/observe"
import type { Happening, Owed } from "@turnkeeper/domain/thread/Owed"
import { begin, pending } from "@turnkeeper/domain/thread/pending"
import { Result } from "effect"
import type { Author } from "../store/fixtures.ts"
import { project, provider } from "../store/fixtures.ts"

export interface Dice {
  readonly below: (limit: number) => number
  readonly of: <A>(choices: ReadonlyArray<A>) => A
}

export const dice = (seed: number): Dice => {
  let state = seed
  const below = (limit: number) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return { below, of: (choices) => choices[below(choices.length)]! }
}

/** The events of one step; often none, because what was asked for is refused or means nothing. */
export const step = (thread: Author, roll: Dice): ReadonlyArray<ThreadEvent> => {
  if (thread.state.info === null) return commanded(thread, { type: "thread.create", ...born }, roll)
  const kind = roll.below(12)
  if (kind < 2) return commanded(thread, command(thread, roll), roll)
  if (kind < 5) return owedStep(thread, roll)
  return observe(heard(thread, roll), thread.state)
}

const born = { projectId: project, title: "A walk", provider } as const

type Bare = ThreadCommand extends infer C
  ? C extends ThreadCommand
    ? Omit<C, "commandId" | "threadId">
    : never
  : never

const commanded = (thread: Author, bare: Bare, roll: Dice): ReadonlyArray<ThreadEvent> => {
  const command = {
    ...bare,
    commandId: CommandId.make(`c${roll.below(1e9)}`),
    threadId: thread.id
  } as ThreadCommand
  const decided = decide(command, thread.state, { now: 1_700_000_000_000, turnIdTaken: false, retryOf: null })
  return Result.isSuccess(decided) ? decided.success : []
}

const command = ({ state, version }: Author, roll: Dice): Bare => {
  const turnId = state.turns.length > 0 ? roll.of(state.turns).id : (`turn-${version}` as TurnId)
  const other = state.turns.length > 0 && roll.below(2) === 0 ? roll.of(state.turns).id : null
  const request = state.requests.at(-1)?.id ?? ("1/none" as RequestId)
  // Most do not wait for long, so that one that does is answered rather often.
  if (state.requests.length > 0 && roll.below(2) === 0) return answering(request, roll)
  return roll.of<Bare>([
    start(version, roll),
    start(version, roll),
    start(version, roll),
    { type: "thread.turn.interrupt" },
    { type: "thread.turn.interrupt", turnId },
    { type: "thread.turn.edit", turnId, text: `edited ${version}` },
    { type: "thread.turn.reorder", turnId, before: other },
    answering(request, roll),
    roll.below(4) === 0 ? { type: "thread.session.stop" } : start(version, roll),
    { type: "thread.archive" },
    { type: "thread.unarchive" },
    { type: "thread.update", title: `Title ${version}`, model: roll.of([null, "large"]) }
  ])
}

const answering = (requestId: RequestId, roll: Dice): Bare => ({
  type: "thread.request.answer",
  requestId,
  decision: roll.of(["accept", "decline"])
})

const start = (version: number, roll: Dice): Bare => ({
  type: "thread.turn.start",
  turnId: `turn-${version}` as TurnId,
  messageId: `message-${version}` as MessageId,
  text: `do ${version} "quoted" \u00fc`,
  delivery: roll.of(["queue", "queue", "steer", "interrupt"]),
  attachments: roll.below(4) === 0 ? [{ name: "a.png", mediaType: "image/png", source: "/a.png" }] : []
})

/** Begins something owed, or lets it turn out in one of its ways. */
const owedStep = ({ state }: Author, roll: Dice): ReadonlyArray<ThreadEvent> => {
  const owed = pending(state).filter((one) => one.type !== "deadline" || roll.below(4) === 0)
  if (owed.length === 0) return []
  const one = roll.of(owed)
  return ("begun" in one && !one.begun ? begin(one, state) : observe(outcome(one, roll), state)) ?? []
}

const outcome = (owed: Owed, roll: Dice): Happening => {
  const fault: Fault = {
    reason: roll.of(["Rejected", "Unknown", "SessionGone", "Unavailable"]),
    message: "no"
  }
  if (owed.type === "deadline") return owed
  return { type: "outcome", outcome: ways(owed, fault, roll) }
}

type OutcomeOf = Extract<Happening, { readonly type: "outcome" }>["outcome"]

const ways = (owed: Exclude<Owed, { type: "deadline" }>, fault: Fault, roll: Dice): OutcomeOf => {
  switch (owed.type) {
    case "session.start": {
      const { generation } = owed
      return roll.below(8) === 0
        ? { type: "start.failed", generation, fault }
        : { type: "start.ok", generation, resume: roll.of([null, "cursor"]) }
    }
    case "session.stop": {
      const { generation, step } = owed
      return roll.below(4) === 0
        ? { type: "stop.failed", generation, step, fault }
        : { type: "stop.ok", generation }
    }
    case "turn.send": {
      const { turnId, generation } = owed
      const providerTurnId = ProviderTurnId.make(`p${roll.below(6)}`)
      return roll.of<OutcomeOf>([
        { type: "send.accepted", turnId, generation, providerTurnId },
        { type: "send.accepted", turnId, generation, providerTurnId },
        { type: "send.accepted", turnId, generation, providerTurnId },
        { type: "send.rejected", turnId, generation, fault },
        { type: "send.unknown", turnId, generation, fault }
      ])
    }
    case "turn.steer": {
      const { turnId, generation } = owed
      return roll.of<OutcomeOf>([
        { type: "steer.accepted", turnId, generation },
        { type: "send.rejected", turnId, generation, fault }
      ])
    }
    case "turn.interrupt": {
      const { turnId, generation } = owed
      return roll.of<OutcomeOf>([
        { type: "interrupt.accepted", turnId, generation },
        { type: "interrupt.failed", turnId, generation, fault }
      ])
    }
    case "turn.probe": {
      const { turnId, generation } = owed
      return roll.of<OutcomeOf>([
        { type: "probe.alive", turnId, generation },
        { type: "probe.failed", turnId, generation },
        { type: "probe.gone", turnId, generation, ended: { outcome: "completed", message: null } }
      ])
    }
    case "turn.evidence": {
      const { turnId, generation } = owed
      return {
        type: "evidence",
        turnId,
        generation,
        evidence: roll.of([{ type: "absent" }, { type: "none", message: "?" }])
      }
    }
    case "request.answer": {
      const { requestId } = owed
      return roll.of<OutcomeOf>([
        { type: "answer.accepted", requestId },
        { type: "answer.gone", requestId },
        { type: "answer.failed", requestId, fault }
      ])
    }
  }
}

const heard = ({ state }: Author, roll: Dice): Happening => {
  const { session } = state
  const seq = session.seen + 1 + (roll.below(20) === 0 ? -1 : 0)
  return { type: "provider", generation: session.generation, seq, event: said(state, roll) }
}

const said = (state: Author["state"], roll: Dice): ProviderEvent => {
  const active = state.turns.find((turn) => turn.id === state.session.activeTurnId)
  const providerTurnId = active?.providerTurnId ?? ProviderTurnId.make(`p${roll.below(6)}`)
  const open = state.items.length > 0 ? roll.of(state.items) : null
  const providerItemId = open?.providerItemId ?? `i${roll.below(4)}`
  const kind = open?.kind ?? roll.of(["assistant_message", "reasoning", "command"] as const)
  const base = { providerTurnId, providerItemId }
  const delta: ProviderEvent = {
    type: "text.delta",
    ...base,
    text: roll.of(["one ", "zwei \u00fc ", "\ud83d", "\ude00"])
  }
  const started: ProviderEvent = {
    type: "item.started",
    ...base,
    kind,
    title: "work",
    detail: { n: roll.below(9) }
  }
  const rare = roll.below(12) === 0
  return roll.of<ProviderEvent>([
    delta,
    delta,
    delta,
    delta,
    started,
    { ...started, providerItemId: `i${roll.below(4)}` },
    { type: "item.updated", ...base, detail: { done: roll.below(9) } },
    {
      type: "item.completed",
      ...base,
      kind,
      title: "work",
      end: "completed",
      text: roll.of([null, "all"]),
      detail: {}
    },
    {
      type: "usage",
      providerTurnId,
      usage: {
        inputTokens: roll.below(99),
        cachedInputTokens: 1,
        outputTokens: 2,
        reasoningTokens: 3,
        costUsd: 0.1
      }
    },
    {
      type: "request.opened",
      providerTurnId,
      requestKey: `k${roll.below(3)}`,
      kind: "command_approval",
      ask: { title: "ok?", detail: {}, decisions: ["accept", "decline"], questions: [] }
    },
    { type: "request.resolved", requestKey: `k${roll.below(3)}` },
    { type: "error.transient", providerTurnId, message: "reconnecting", attempt: 1, limit: 5 },
    { type: "notice", message: "careful" },
    { type: "resume.changed", resume: `cursor-${roll.below(9)}` },
    { type: "turn.started", providerTurnId: ProviderTurnId.make(`p${roll.below(6)}`), turnId: null },
    rare ? { type: "session.exited", clean: roll.below(2) === 0, message: "gone" } : delta,
    rare ? { type: "error.final", providerTurnId, message: "broken" } : delta,
    {
      type: "turn.completed",
      providerTurnId,
      outcome: roll.of(["completed", "failed", "interrupted"]),
      message: null
    }
  ])
}
