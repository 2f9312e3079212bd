/**
 * The only way a thread's state changes: one event at a time.
 *
 * Total: an event that does not fit changes nothing, so that a log can always be read again.
 */
import type { ProviderTurnId, TurnId } from "../ids.ts"
import type { EventOf, ThreadEvent } from "./Event.ts"
import { limits } from "./lifecycle.ts"
import type { HeardTurn, OpenItem, OpenRequest, OpenTurn, Session, ThreadInfo, ThreadState } from "./State.ts"

export const evolve = (state: ThreadState, event: ThreadEvent): ThreadState => {
  const next = apply(state, event)
  if (event.seq === undefined || event.seq <= next.session.seen) return next
  return { ...next, session: { ...next.session, seen: event.seq } }
}

const apply = (state: ThreadState, event: ThreadEvent): ThreadState => {
  switch (event.type) {
    case "thread.created":
      return { ...state, info: created(event) }
    case "thread.updated":
      return withInfo(state, updated(event))
    case "thread.archived":
      return withInfo(state, { archived: true })
    case "thread.unarchived":
      return withInfo(state, { archived: false })
    case "thread.deleted":
      return withInfo(state, { deleted: true })

    case "turn.queued":
      return { ...state, turns: enqueue(state.turns, queued(event)) }
    case "turn.edited":
      return state
    case "turn.reordered":
      return { ...state, turns: reorder(state.turns, event.turnId, event.before) }
    case "turn.send_started":
      return sendStarted(state, event)
    case "turn.send_doubted":
      return withTurn(state, event.turnId, (turn) => ({
        ...turn,
        send: turn.send === null ? null : { ...turn.send, doubt: event.reason }
      }))
    case "turn.requeued":
      return forgetEnded(
        withTurn(state, event.turnId, (turn) => ({ ...turn, state: "queued", send: null, delivery: "queue" }))
      )
    case "turn.started":
      return started(state, event)
    case "turn.adopted":
      return adopted(state, event)
    case "turn.referenced":
      return withTurn(state, event.turnId, (turn) => ({ ...turn, providerTurnId: event.providerTurnId }))
    case "turn.interrupt_requested":
      return withTurn(state, event.turnId, (turn) => ({
        ...turn,
        interrupt: { by: event.by, step: "asked" }
      }))
    case "turn.interrupt_accepted":
      return interruptStep(state, event.turnId, "accepted")
    case "turn.interrupt_escalated":
      return interruptStep(state, event.turnId, "escalated")
    case "turn.interrupt_failed":
      return withSession(
        withTurn(state, event.turnId, (turn) => ({ ...turn, interrupt: null })),
        { lastError: clip(event.reason) }
      )
    case "turn.error_noted":
      return withTurn(state, event.turnId, (turn) => ({ ...turn, finalError: event.message }))
    case "turn.quiet":
      return withTurn(state, event.turnId, (turn) => ({ ...turn, quiet: event.quiet }))
    case "turn.settled":
      return settled(state, event)
    case "provider_turn.heard":
      return heard(state, event)

    case "session.starting":
      return starting(state, event)
    case "session.started":
      return withSession(forgetEnded(withSession(state, { status: "ready" })), {
        resumes: event.resume === null ? state.session.resumes : withResume(state.session, event.resume)
      })
    case "session.resume_changed":
      return withSession(state, { resumes: withResume(state.session, event.resume) })
    case "session.recovering":
      return {
        ...withSession(state, {
          recovering: { message: event.message, attempt: event.attempt, limit: event.limit }
        }),
        items: state.items.map((item) => (isText(item) && !item.cut ? { ...item, cut: true } : item))
      }
    case "session.recovered":
      return withSession(state, { recovering: null })
    case "session.stop_asked":
      return withSession(state, {
        stopAsked: { by: event.by, step: event.step },
        retire: state.session.retire || event.by === "doubt"
      })
    case "session.stop_failed":
      return withSession(state, { stopAsked: null, lastError: clip(event.message) })
    case "session.stopped":
      return stopped(state, event)

    case "item.started":
      return {
        ...withTurn(state, event.turnId, (turn) => ({ ...turn, items: turn.items + 1 })),
        items: [...state.items, openItem(event)]
      }
    case "item.updated":
      return state
    case "text.appended":
      return {
        ...state,
        items: state.items.map((item) => (item.id === event.itemId ? appended(item, event) : item))
      }
    case "item.completed":
      return { ...state, items: state.items.filter((item) => item.id !== event.itemId) }

    case "request.opened":
      return { ...state, requests: [...state.requests, openRequest(state, event)] }
    case "request.answered":
      return withRequest(state, event.requestId, { answer: event.answer })
    case "request.answer_failed":
      return withSession(withRequest(state, event.requestId, { answer: null }), {
        lastError: clip(event.message)
      })
    case "request.closed":
      return { ...state, requests: state.requests.filter((request) => request.id !== event.requestId) }

    case "usage.reported":
    case "notice.recorded":
      return state
  }
}

// The thread

const created = (event: EventOf<"thread.created">): ThreadInfo => {
  const { projectId, title, provider, model, runtimeMode, interactionMode, cwd } = event
  return {
    projectId,
    title,
    provider,
    model,
    runtimeMode,
    interactionMode,
    cwd,
    archived: false,
    deleted: false
  }
}

const updated = (event: EventOf<"thread.updated">): Partial<ThreadInfo> => {
  const { type: _type, seq: _seq, ...given } = event
  return given
}

const withInfo = (state: ThreadState, change: Partial<ThreadInfo>): ThreadState =>
  state.info === null ? state : { ...state, info: { ...state.info, ...change } }

// Turns

/** What is true of every turn when it enters the state. */
const fresh = {
  providerTurnId: null,
  tries: 0,
  restarts: 0,
  send: null,
  interrupt: null,
  quiet: null,
  finalError: null,
  items: 0
} as const

const queued = (event: EventOf<"turn.queued">): OpenTurn => ({
  ...fresh,
  id: event.turnId,
  messageId: event.messageId,
  origin: "user",
  state: "queued",
  delivery: event.delivery,
  provider: event.provider,
  model: event.model,
  runtimeMode: event.runtimeMode,
  interactionMode: event.interactionMode,
  interrupts: event.interrupts,
  queuedAt: event.at
})

/** A turn that interrupts goes before those that merely wait, behind others that interrupt. */
const enqueue = (turns: ReadonlyArray<OpenTurn>, turn: OpenTurn): ReadonlyArray<OpenTurn> => {
  if (turn.interrupts === null) return [...turns, turn]
  const at = turns.findIndex((other) => other.state === "queued" && other.interrupts === null)
  return at === -1 ? [...turns, turn] : [...turns.slice(0, at), turn, ...turns.slice(at)]
}

const reorder = (
  turns: ReadonlyArray<OpenTurn>,
  turnId: TurnId,
  before: TurnId | null
): ReadonlyArray<OpenTurn> => {
  const moved = turns.find((turn) => turn.id === turnId)
  if (moved === undefined) return turns
  const rest = turns.filter((turn) => turn.id !== turnId)
  const at = rest.findIndex((turn) => turn.id === before)
  return at === -1 ? [...rest, moved] : [...rest.slice(0, at), moved, ...rest.slice(at)]
}

const sendStarted = (state: ThreadState, event: EventOf<"turn.send_started">): ThreadState => {
  const into = state.turns.find((turn) => turn.id === event.into)
  return withTurn(state, event.turnId, (turn) => ({
    ...turn,
    state: "sending",
    tries: turn.tries + 1,
    send: {
      generation: event.generation,
      into: event.into,
      intoProviderTurnId: into?.providerTurnId ?? null,
      doubt: null
    }
  }))
}

const started = (state: ThreadState, event: EventOf<"turn.started">): ThreadState => {
  const running = withTurn(state, event.turnId, (turn) => ({
    ...turn,
    state: "running",
    providerTurnId: event.providerTurnId,
    send: null
  }))
  return forgetEnded(
    withSession(running, {
      status: "running",
      activeTurnId: event.turnId,
      lastError: null,
      recovering: null,
      heard: without(state.session.heard, event.providerTurnId)
    })
  )
}

const adopted = (state: ThreadState, event: EventOf<"turn.adopted">): ThreadState => {
  const { info, session } = state
  if (info === null) return state
  const turn: OpenTurn = {
    ...fresh,
    id: event.turnId,
    messageId: null,
    origin: "provider",
    state: "running",
    providerTurnId: event.providerTurnId,
    delivery: "queue",
    provider: session.provider ?? info.provider,
    model: info.model,
    runtimeMode: info.runtimeMode,
    interactionMode: info.interactionMode,
    interrupts: null,
    queuedAt: 0
  }
  return withSession(
    { ...state, turns: [turn, ...state.turns] },
    {
      status: "running",
      activeTurnId: turn.id,
      recovering: null,
      adopted: session.adopted + 1,
      heard: without(session.heard, event.providerTurnId)
    }
  )
}

const interruptStep = (state: ThreadState, turnId: TurnId, step: "accepted" | "escalated"): ThreadState =>
  withTurn(state, turnId, (turn) => ({
    ...turn,
    interrupt: turn.interrupt === null ? null : { ...turn.interrupt, step }
  }))

/** Takes the turn out, and with it everything open inside it (L5): a breach cannot be expressed. */
const settled = (state: ThreadState, event: EventOf<"turn.settled">): ThreadState => {
  const { session } = state
  const wasActive = session.activeTurnId === event.turnId
  const activeTurnId = wasActive ? null : session.activeTurnId
  const rest: ThreadState = {
    ...state,
    turns: state.turns.filter((turn) => turn.id !== event.turnId),
    items: state.items.filter((item) => item.turnId !== event.turnId),
    requests: state.requests.filter((request) => request.turnId !== event.turnId)
  }
  return forgetEnded(
    withSession(rest, {
      activeTurnId,
      status: statusAfter(session, activeTurnId, wasActive, event.state === "error"),
      ...(event.state === "error" && { lastError: clip(event.reason ?? "The turn failed") }),
      ...(wasActive && { recovering: null })
    })
  )
}

/** L8 and the end of a running turn: an error shows on the session when it has a live binding. */
const statusAfter = (session: Session, activeTurnId: TurnId | null, wasActive: boolean, failed: boolean) => {
  if (activeTurnId !== null || session.status === "starting") return session.status
  if (!session.open) return session.status
  if (failed) return "error"
  return wasActive ? "ready" : session.status
}

// Provider turns that are not ours to settle

const heard = (state: ThreadState, event: EventOf<"provider_turn.heard">): ThreadState => {
  const { providerTurnId, ended } = event
  const others = without(state.session.heard, providerTurnId)
  const bounded = [...others, { providerTurnId, ended }].slice(-limits.heardTurns)
  return forgetEnded(withSession(state, { heard: bounded }))
}

/** The end of a foreign turn matters only while a send (or start) may yet turn out to be that turn. */
const forgetEnded = (state: ThreadState): ThreadState => {
  const { heard, status } = state.session
  if (heard.every((turn) => turn.ended === null)) return state
  if (status === "starting" || state.turns.some((turn) => turn.state === "sending")) return state
  return withSession(state, { heard: heard.filter((turn) => turn.ended === null) })
}

const without = (heard: ReadonlyArray<HeardTurn>, id: ProviderTurnId | null): ReadonlyArray<HeardTurn> =>
  heard.some((turn) => turn.providerTurnId === id)
    ? heard.filter((turn) => turn.providerTurnId !== id)
    : heard

// The session

const starting = (state: ThreadState, event: EventOf<"session.starting">): ThreadState =>
  withSession(
    event.turnId === null
      ? state
      : withTurn(state, event.turnId, (turn) => ({ ...turn, tries: turn.tries + 1 })),
    {
      status: "starting",
      generation: event.generation,
      provider: event.provider,
      open: true,
      seen: 0,
      heard: [],
      retire: false,
      recovering: null
    }
  )

/** A cursor belongs to the provider that gave it; going back to that provider goes on from it. */
const withResume = ({ provider, resumes }: Session, cursor: string): Session["resumes"] =>
  provider === null
    ? resumes
    : [...resumes.filter((resume) => resume.provider !== provider), { provider, cursor }].slice(
        -limits.resumes
      )

const stopped = (state: ThreadState, event: EventOf<"session.stopped">): ThreadState =>
  withSession(event.end === "lost" ? { ...state, turns: state.turns.map(cutShort) } : state, {
    status: event.end === "crash" ? "error" : "stopped",
    open: false,
    activeTurnId: null,
    stopAsked: null,
    retire: false,
    recovering: null,
    heard: state.session.heard.filter((turn) => turn.ended !== null),
    ...(event.message !== null && { lastError: clip(event.message) })
  })

const cutShort = (turn: OpenTurn): OpenTurn =>
  turn.tries === 0 ? turn : { ...turn, tries: 0, restarts: turn.restarts + 1 }

// Items and requests

const openItem = (event: EventOf<"item.started">): OpenItem => ({
  id: event.itemId,
  turnId: event.turnId,
  providerItemId: event.providerItemId,
  kind: event.kind,
  text: "",
  cut: false
})

const appended = (item: OpenItem, event: EventOf<"text.appended">): OpenItem => ({
  ...item,
  text:
    event.offset === item.text.length
      ? item.text + event.text
      : item.text.slice(0, event.offset) + event.text,
  cut: false
})

const openRequest = (state: ThreadState, event: EventOf<"request.opened">): OpenRequest => ({
  id: event.requestId,
  key: event.requestId.slice(event.requestId.indexOf("/") + 1),
  turnId: event.turnId,
  generation: state.session.generation,
  kind: event.kind,
  ask: event.ask,
  answer: null
})

/** Text that a retry begins anew; a tool's output is not. */
export const isText = (item: Pick<OpenItem, "kind">) =>
  item.kind === "assistant_message" || item.kind === "reasoning"

// Plumbing

const clip = (text: string) => text.slice(0, limits.lastErrorLength)

const withSession = (state: ThreadState, change: Partial<Session>): ThreadState => ({
  ...state,
  session: { ...state.session, ...change }
})

const withTurn = (state: ThreadState, turnId: TurnId, change: (turn: OpenTurn) => OpenTurn): ThreadState => ({
  ...state,
  turns: state.turns.map((turn) => (turn.id === turnId ? change(turn) : turn))
})

const withRequest = (
  state: ThreadState,
  requestId: OpenRequest["id"],
  change: Pick<OpenRequest, "answer">
): ThreadState => ({
  ...state,
  requests: state.requests.map((request) => (request.id === requestId ? { ...request, ...change } : request))
})
