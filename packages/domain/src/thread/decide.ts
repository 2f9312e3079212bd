/**
 * What a user may ask for, now: the events it causes, or a typed refusal.
 *
 * Pure: identities are in the command, the time and what only the tables know in `facts`. An accepted
 * command without events changed nothing because what it asks for is so already.
 */
import { Result } from "effect"
import type { ProviderInstanceId, ThreadId, TurnId } from "../ids.ts"
import {
  AnswerNotOffered,
  EmptyMessage,
  NothingToInterrupt,
  QueueFull,
  RequestNotOpen,
  ThreadAlreadyExists,
  ThreadArchived,
  ThreadNotFound,
  TurnIdTaken,
  TurnNotFound,
  TurnNotQueued,
  TurnNotRunning,
  TurnNotSettled
} from "./Command.ts"
import type {
  Facts,
  InteractionMode,
  NewThread,
  RuntimeMode,
  ThreadCommand,
  ThreadRejection
} from "./Command.ts"
import { activeTurn, add, cancelQueued, conclude, draft, sendingTurn, settle, turnOf } from "./draft.ts"
import type { Draft } from "./draft.ts"
import type { EventOf, ThreadEvent } from "./Event.ts"
import { limits } from "./lifecycle.ts"
import type { OpenTurn, ThreadInfo, ThreadState } from "./State.ts"

export type Decision = Result.Result<ReadonlyArray<ThreadEvent>, ThreadRejection>

type CommandOf<Type extends ThreadCommand["type"]> = Extract<ThreadCommand, { readonly type: Type }>

export const decide = (command: ThreadCommand, state: ThreadState, facts: Facts): Decision => {
  const { threadId } = command
  if (command.type === "thread.create") return create(command, state, threadId)
  if (command.type === "thread.turn.start") return startTurn(command, state, facts)
  const { info } = state
  if (info === null || info.deleted) return refuse(new ThreadNotFound({ threadId }))
  switch (command.type) {
    case "thread.update":
      return update(command)
    case "thread.archive":
      return info.archived ? nothing : accept({ type: "thread.archived" })
    case "thread.unarchive":
      return info.archived ? accept({ type: "thread.unarchived" }) : nothing
    case "thread.delete":
      return remove(state)
    case "thread.turn.interrupt":
      return interrupt(command, state)
    case "thread.turn.check":
      return check(command, state)
    case "thread.turn.retry":
      return retry(command, state, info, facts)
    case "thread.turn.edit":
      return edit(command, state)
    case "thread.turn.reorder":
      return reorder(command, state)
    case "thread.request.answer":
      return answer(command, state)
    case "thread.session.stop":
      return stopSession(state, command.force === true ? "kill" : "stop")
  }
}

const nothing: Decision = Result.succeed([])
const accept = (...events: ReadonlyArray<ThreadEvent>): Decision => Result.succeed(events)
const refuse = (rejection: ThreadRejection): Decision => Result.fail(rejection)
const accepted = (change: Draft): Decision => Result.succeed(conclude(change))

// The thread

const createdBy = (thread: NewThread): EventOf<"thread.created"> => ({
  type: "thread.created",
  projectId: thread.projectId,
  title: thread.title,
  provider: thread.provider,
  model: thread.model ?? null,
  runtimeMode: thread.runtimeMode ?? "approval_required",
  interactionMode: thread.interactionMode ?? "default",
  cwd: thread.cwd ?? null
})

const create = (command: CommandOf<"thread.create">, state: ThreadState, threadId: ThreadId): Decision =>
  state.info === null ? accept(createdBy(command)) : refuse(new ThreadAlreadyExists({ threadId }))

const update = (command: CommandOf<"thread.update">): Decision => {
  const { type: _type, commandId: _command, threadId: _thread, ...given } = command
  return Object.keys(given).length === 0 ? nothing : accept({ type: "thread.updated", ...given })
}

/** Deleting ends the work first: nothing goes on for a thread that nobody sees. */
const remove = (state: ThreadState): Decision => {
  const change = draft(state)
  cancelQueued(change, "Not sent: the thread was deleted", () => true)
  withdrawSending(change)
  const { open, stopAsked } = state.session
  // The user's own stop may fail and leave the session as it is (L9); nobody could stop this one later.
  if (open && (stopAsked === null || stopAsked.by === "user")) {
    add(change, { type: "session.stop_asked", by: "deleted", step: stopAsked?.step ?? "stop" })
  }
  add(change, { type: "thread.deleted" })
  return accepted(change)
}

// Turns

const startTurn = (command: CommandOf<"thread.turn.start">, state: ThreadState, facts: Facts): Decision => {
  const { threadId, turnId, createThread } = command
  const change = draft(state)
  if (state.info === null) {
    if (createThread === undefined) return refuse(new ThreadNotFound({ threadId }))
    add(change, createdBy(createThread))
  }
  const info = change.state.info!
  const refused = refusedTurn(threadId, turnId, info, state, facts)
  if (refused !== null) return refuse(refused)
  const attachments = command.attachments ?? []
  if (command.text.trim() === "" && attachments.length === 0) return refuse(new EmptyMessage({ turnId }))

  const ongoing = activeTurn(state) ?? sendingTurn(state)
  const interrupts = command.delivery === "interrupt" && ongoing !== undefined ? ongoing.id : null
  add(change, {
    type: "turn.queued",
    turnId,
    messageId: command.messageId,
    text: command.text,
    attachments,
    delivery: command.delivery ?? "queue",
    ...settingsOf(command, info),
    interrupts,
    retryOf: null,
    at: facts.now
  })
  if (ongoing !== undefined && interrupts !== null && ongoing.interrupt === null) {
    add(change, { type: "turn.interrupt_requested", turnId: ongoing.id, by: turnId })
  }
  return accepted(change)
}

const refusedTurn = (
  threadId: ThreadId,
  turnId: TurnId,
  info: ThreadInfo,
  state: ThreadState,
  facts: Facts
): ThreadRejection | null => {
  if (info.deleted) return new ThreadNotFound({ threadId })
  if (info.archived) return new ThreadArchived({ threadId })
  if (facts.turnIdTaken || turnOf(state, turnId) !== undefined) return new TurnIdTaken({ turnId })
  const queued = state.turns.filter((turn) => turn.state === "queued").length
  return queued >= limits.queuedTurns ? new QueueFull({ limit: limits.queuedTurns }) : null
}

interface Settings {
  readonly provider: ProviderInstanceId
  readonly model: string | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
}

/** A model is a name of one provider: with another provider than the thread's, the thread's model says nothing. */
const settingsOf = (asked: CommandOf<"thread.turn.start">, info: ThreadInfo): Settings => {
  const provider = asked.provider ?? info.provider
  const ownModel = provider === info.provider ? info.model : null
  return {
    provider,
    model: asked.model === undefined ? ownModel : asked.model,
    runtimeMode: asked.runtimeMode ?? info.runtimeMode,
    interactionMode: asked.interactionMode ?? info.interactionMode
  }
}

const retry = (
  command: CommandOf<"thread.turn.retry">,
  state: ThreadState,
  info: ThreadInfo,
  facts: Facts
): Decision => {
  const { threadId, turnId, newTurnId } = command
  if (turnOf(state, turnId) !== undefined) return refuse(new TurnNotSettled({ turnId }))
  const refused = refusedTurn(threadId, newTurnId, info, state, facts)
  if (refused !== null) return refuse(refused)
  const source = facts.retryOf
  if (source === null) return refuse(new TurnNotFound({ turnId }))
  const { text, attachments, provider, model, runtimeMode, interactionMode } = source
  return accept({
    type: "turn.queued",
    turnId: newTurnId,
    messageId: command.newMessageId,
    text,
    attachments,
    delivery: "queue",
    provider,
    model,
    runtimeMode,
    interactionMode,
    interrupts: null,
    retryOf: turnId,
    at: facts.now
  })
}

const interrupt = (command: CommandOf<"thread.turn.interrupt">, state: ThreadState): Decision => {
  const turn =
    command.turnId === undefined ? (activeTurn(state) ?? sendingTurn(state)) : turnOf(state, command.turnId)
  if (turn === undefined) return refuse(new NothingToInterrupt({ threadId: command.threadId }))
  if (turn.state !== "queued") {
    // Asked already: what it asks for is under way.
    return turn.interrupt === null
      ? accept({ type: "turn.interrupt_requested", turnId: turn.id, by: null })
      : nothing
  }
  const change = draft(state)
  settle(change, turn.id, {
    state: "cancelled",
    reason: "Withdrawn before it was sent",
    delivery: "not_delivered"
  })
  return accepted(change)
}

/** The same question as after a long silence, asked now; it judges as little (L7). */
const check = ({ turnId }: CommandOf<"thread.turn.check">, state: ThreadState): Decision => {
  const turn = activeTurn(state)
  if (turn?.id !== turnId) return refuse(new TurnNotRunning({ turnId }))
  const waitsForUser = state.requests.some((request) => request.turnId === turnId && request.answer === null)
  const ends = turn.interrupt !== null || turn.finalError !== null
  // Asked already, about to end, or known to wait: there is nothing to learn.
  return turn.quiet === "asking" || ends || waitsForUser
    ? nothing
    : accept({ type: "turn.quiet", turnId, quiet: "asking" })
}

const queuedTurn = (state: ThreadState, turnId: TurnId): OpenTurn | undefined => {
  const turn = turnOf(state, turnId)
  return turn?.state === "queued" ? turn : undefined
}

const edit = (command: CommandOf<"thread.turn.edit">, state: ThreadState): Decision => {
  const { turnId, text } = command
  if (queuedTurn(state, turnId) === undefined) return refuse(new TurnNotQueued({ turnId }))
  return text.trim() === ""
    ? refuse(new EmptyMessage({ turnId }))
    : accept({ type: "turn.edited", turnId, text })
}

const reorder = (command: CommandOf<"thread.turn.reorder">, state: ThreadState): Decision => {
  const { turnId, before } = command
  if (queuedTurn(state, turnId) === undefined) return refuse(new TurnNotQueued({ turnId }))
  if (before === turnId) return nothing
  if (before !== null && queuedTurn(state, before) === undefined)
    return refuse(new TurnNotQueued({ turnId: before }))
  return accept({ type: "turn.reordered", turnId, before })
}

// Requests

const answer = (command: CommandOf<"thread.request.answer">, state: ThreadState): Decision => {
  const { requestId } = command
  const request = state.requests.find((open) => open.id === requestId)
  if (request === undefined || request.answer !== null) return refuse(new RequestNotOpen({ requestId }))
  const decision = command.decision ?? null
  const answers = command.answers ?? {}
  const { decisions, questions } = request.ask
  // Where questions are asked their answers are the decision; to turn them down needs no answers.
  const decided =
    decision === null ? decisions.length === 0 || questions.length > 0 : decisions.includes(decision)
  const turnedDown = decision === "decline" || decision === "cancel"
  const answered = turnedDown || questions.every((question) => (answers[question.id]?.length ?? 0) > 0)
  if (!decided || !answered) return refuse(new AnswerNotOffered({ requestId }))
  return accept({ type: "request.answered", requestId, answer: { decision, answers } })
}

// The session

/** Stop means stop: what waits is withdrawn now (L13), what runs ends with the session. */
const stopSession = (state: ThreadState, step: "stop" | "kill"): Decision => {
  const { session } = state
  const change = draft(state)
  cancelQueued(change, "Not sent: you stopped the session", () => true)
  withdrawSending(change)
  const asked = session.stopAsked
  if (!session.open) {
    if (session.status === "error") {
      add(change, { type: "session.stopped", generation: session.generation, end: "asked", message: null })
    }
  } else if (asked === null || asked.by !== "user" || (asked.step === "stop" && step === "kill")) {
    add(change, { type: "session.stop_asked", by: "user", step: asked?.step === "kill" ? "kill" : step })
  }
  return accepted(change)
}

/** A send whose outcome is not known: recorded, so that it is never sent again by itself. */
const withdrawSending = (change: Draft): void => {
  const sending = sendingTurn(change.state)
  if (sending !== undefined && sending.interrupt === null) {
    add(change, { type: "turn.interrupt_requested", turnId: sending.id, by: null })
  }
}
