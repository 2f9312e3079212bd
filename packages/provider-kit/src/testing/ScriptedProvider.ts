/**
 * A provider that does what it is told: by directives in the prompt (`script.ts`), or by a test
 * through its control handle (`control.ts`). It is a real adapter and passes the conformance suite;
 * what the server's tests show with it, they show of the server.
 *
 *     send ──▶ record ──▶ answer
 *                └─▶ play the steps ──▶ say ──▶ bounded queue ──▶ events
 *                        ▲ interrupt, answer, steer, stop
 *
 * Time passes only on Effect's clock, one `tickMs` per streamed word. What it received and how turns
 * ended is its record (`record.ts`): in memory with this object, or in files that survive the process.
 *
 * As Codex does, it leaves the items of a failed or interrupted turn, and the cut half of a retried
 * message, open: closing them is the kernel's.
 */
import {
  type Generation,
  type ProviderInstanceId,
  ProviderTurnId,
  type ThreadId,
  type TurnId
} from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { ItemKind, ProviderEvent, TurnOutcome } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import { type Cause, Deferred, Effect, Queue, Scope, Stream } from "effect"
import type {
  Capabilities,
  EvidenceQuery,
  Example,
  Health,
  LiveSession,
  OpenOptions,
  Prompt,
  Provider,
  ProviderSession,
  TurnTruth
} from "../Provider.ts"
import type { ProviderError } from "../ProviderError.ts"
import { recent } from "../recent.ts"
import {
  type Arguments,
  type Control,
  errorOf,
  keep,
  makeSwitchboard,
  type Operation,
  type Received
} from "./control.ts"
import { type Conversation, inDirectory, inMemory, turnOf } from "./record.ts"
import { retryLimit, type Step, stepsOf, wordsOf } from "./script.ts"

export interface ScriptedOptions {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  readonly capabilities?: Partial<Capabilities>
  /** The steps of a prompt; the directives in its text when absent. `[{ type: "manual" }]` leaves the turn to the test. */
  readonly script?: (prompt: Prompt) => ReadonlyArray<Step>
  /** Time between two words. 0: none passes. Default 40. */
  readonly tickMs?: number
  /** Where the record is kept; in memory, for as long as this object lives, when absent. */
  readonly recordDirectory?: string
  /** Events that wait for a reader before the provider is slowed. Default 64. */
  readonly bufferSize?: number
  /** A prompt sent while a turn of the provider's own runs goes into that turn instead of being refused. */
  readonly joinsOwnTurns?: boolean
}

export interface Scripted {
  readonly provider: Provider
  readonly control: Control
}

/** Ends of turns that a test may still ask for. */
const outcomesKept = 10_000

export const makeScripted = (options: ScriptedOptions): Scripted => {
  const {
    instanceId,
    recordDirectory,
    tickMs = 40,
    bufferSize = 64,
    script = (prompt) => stepsOf(prompt.text)
  } = options
  const capabilities = { ...defaultCapabilities, ...options.capabilities }
  const history =
    recordDirectory === undefined ? inMemory(instanceId) : inDirectory(instanceId, recordDirectory)
  const { perform, changed, control } = makeSwitchboard()
  const sessions = new Set<Session>()
  const received: Array<Received> = []
  const outcomes = recent<TurnOutcome>(outcomesKept)
  let health = healthy
  let outlives = false

  const world: World = {
    tick: tickMs === 0 ? Effect.yieldNow : Effect.sleep(tickMs),
    capabilities,
    turnEnded: (active, outcome) => {
      for (const turnId of active.turnIds) outcomes.set(turnId, outcome)
    },
    sessionEnded: (session) => sessions.delete(session),
    changed
  }

  /** Every call goes through here: it is noted, and done as a test planned it, or really. */
  const failWith = (
    operation: Operation,
    reason: FaultReason,
    message: string
  ): Effect.Effect<never, ProviderError> =>
    Effect.fail(errorOf({ provider: instanceId, operation }, reason, message))

  const callOf = <Op extends Operation>(operation: Op, session: Session | null, args: Arguments[Op]) => ({
    operation,
    provider: instanceId,
    threadId: session?.threadId ?? null,
    generation: session?.generation ?? null,
    arguments: args
  })

  const receive = (session: Session, active: Active, prompt: Prompt, how: Received["how"]) => {
    const { providerTurnId } = active
    const { turnId, messageId, text } = prompt
    session.conversation.append({ type: "prompt", providerTurnId, turnId, messageId, text })
    active.turnIds.push(turnId)
    const { threadId, generation, conversation } = session
    keep(received, {
      how,
      threadId,
      generation,
      conversation: conversation.id,
      turnId,
      messageId,
      text,
      providerTurnId
    })
    changed()
  }

  const send = (session: Session, prompt: Prompt) =>
    Effect.suspend(() => {
      if (session.exit !== null) return failWith("send", "SessionGone", "The session has ended.")
      const steps = script(prompt)
      const refusal = steps.find((step) => step.type === "reject")
      if (refusal !== undefined) return failWith("send", "Rejected", refusal.message)
      const { active: busy } = session
      if (busy !== null) {
        const joins = options.joinsOwnTurns === true && busy.own && !busy.closing
        if (!joins) return failWith("send", "Rejected", "A turn is running already.")
        receive(session, busy, prompt, "send")
        busy.steered.push(steps)
        return Effect.succeed({ providerTurnId: busy.providerTurnId })
      }
      const active = begin(session, prompt.turnId)
      receive(session, active, prompt, "send")
      // What the turn says carries our turn id, so it may be heard before this call has answered.
      const playing = steps.some((step) => step.type === "manual")
        ? Effect.void
        : Effect.forkDetach(lived(session, play(world, session, active, steps)))
      return Effect.as(playing, { providerTurnId: active.providerTurnId })
    })

  const steer = (session: Session, prompt: Prompt, into: ProviderTurnId | null) =>
    Effect.suspend(() => {
      if (!capabilities.steer) return failWith("steer", "Unsupported", "This provider cannot steer.")
      if (session.exit !== null) return failWith("steer", "SessionGone", "The session has ended.")
      const { active } = session
      if (active === null || active.closing || (into !== null && into !== active.providerTurnId)) {
        return failWith("steer", "TurnMismatch", "That turn is not running.")
      }
      const steps = script(prompt)
      const refusal = steps.find((step) => step.type === "reject")
      if (refusal !== undefined) return failWith("steer", "Rejected", refusal.message)
      receive(session, active, prompt, "steer")
      active.steered.push(steps)
      return Effect.void
    })

  const interrupt = (session: Session, providerTurnId: ProviderTurnId | null) =>
    Effect.suspend(() => {
      if (session.exit !== null) return failWith("interrupt", "SessionGone", "The session has ended.")
      const { active } = session
      if (active === null || (providerTurnId !== null && providerTurnId !== active.providerTurnId)) {
        return failWith("interrupt", "TurnMismatch", "That turn is not running.")
      }
      if (active.refusesInterrupt)
        return failWith("interrupt", "Rejected", "The turn refuses to be interrupted.")
      // A turn that a test plays by hand has nobody else to end it.
      const ended: ProviderEvent = {
        type: "turn.completed",
        providerTurnId: active.providerTurnId,
        outcome: "interrupted",
        message: null
      }
      if (!active.played) return Effect.asVoid(Effect.forkDetach(lived(session, say(world, session, ended))))
      Deferred.doneUnsafe(active.interrupted, Effect.void)
      return Effect.void
    })

  const answer = (session: Session, requestKey: string, given: Answer) =>
    Effect.suspend(() => {
      const request = session.requests.get(requestKey)
      if (session.exit !== null || request === undefined) {
        return failWith("answer", "RequestGone", "Nobody waits for this request.")
      }
      session.requests.delete(requestKey)
      const resolved = Effect.andThen(
        say(world, session, { type: "request.resolved", requestKey }),
        Deferred.succeed(request.answered, given)
      )
      return Effect.asVoid(Effect.forkDetach(lived(session, resolved)))
    })

  const stop = (session: Session, step: "stop" | "kill") =>
    Effect.suspend(() => {
      if (session.exit !== null) return failWith("stop", "SessionGone", "The session has ended.")
      if (step === "stop" && session.refusesStop)
        return failWith("stop", "Rejected", "The session refuses to stop.")
      end(world, session, { clean: true, message: null })
      return Effect.void
    })

  const open = (wanted: OpenOptions): Effect.Effect<ProviderSession, ProviderError, Scope.Scope> =>
    Effect.gen(function* () {
      const resumes = wanted.resume !== null && capabilities.resume
      const live = resumes
        ? [...sessions].find((session) => session.conversation.id === wanted.resume)
        : undefined
      const conversation = resumes
        ? (live?.conversation ?? history.find(wanted.resume ?? ""))
        : history.create(wanted.threadId)
      if (conversation === undefined) {
        return yield* failWith("open", "SessionGone", "There is no conversation with this resume cursor.")
      }
      const session = live !== undefined && live.out === null ? live : newSession(wanted, conversation)
      if (live !== undefined && live !== session) {
        end(world, live, { clean: false, message: "Another session took the conversation over." })
      }
      session.generation = wanted.generation
      const out = yield* Queue.bounded<ProviderEvent, Cause.Done>(bufferSize)
      session.out = out
      // The set is in the order of opening: the thread's newest session is its last.
      sessions.delete(session)
      sessions.add(session)
      yield* Effect.addFinalizer(() => close(session, out))
      changed()
      return {
        resume: capabilities.resume ? conversation.id : null,
        notice:
          wanted.resume === null || resumes
            ? null
            : "This provider cannot resume: the earlier context is lost.",
        events: eventsOf(session, out, capabilities.reasksRequests),
        send: (prompt) => perform(callOf("send", session, { prompt }), send(session, prompt)),
        steer: (prompt, into) =>
          perform(callOf("steer", session, { prompt, into }), steer(session, prompt, into)),
        interrupt: (providerTurnId) =>
          perform(callOf("interrupt", session, { providerTurnId }), interrupt(session, providerTurnId)),
        answer: (requestKey, given) =>
          perform(
            callOf("answer", session, { requestKey, answer: given }),
            answer(session, requestKey, given)
          ),
        probe: (providerTurnId) =>
          perform(
            callOf("probe", session, { providerTurnId }),
            Effect.sync(() => truthOf(session, providerTurnId))
          ),
        stop: (step) => perform(callOf("stop", session, { step }), stop(session, step))
      }
    })

  const close = (session: Session, out: Session["out"]) =>
    Effect.suspend(() => {
      // Taken up again by another opening meanwhile: no longer ours to end.
      if (session.out !== out || out === null) return Effect.void
      if (!outlives) return Effect.sync(() => end(world, session, { clean: true, message: null }))
      session.out = null
      changed()
      return Effect.asVoid(Queue.shutdown(out))
    })

  const evidence = (query: EvidenceQuery) =>
    Effect.sync((): Evidence => {
      if (!capabilities.history) return { type: "none", message: "This provider keeps no history." }
      if (query.resume === null) return { type: "absent" }
      const live = [...sessions].find((session) => session.conversation.id === query.resume)
      const conversation = live?.conversation ?? history.find(query.resume)
      if (conversation === undefined)
        return { type: "none", message: "The history of this conversation is gone." }
      const turn = turnOf(conversation, query.turnId)
      if (turn === undefined) return { type: "absent" }
      const { providerTurnId } = turn
      if (live?.active?.providerTurnId === providerTurnId)
        return { type: "found", providerTurnId, running: true }
      const { outcome, message } = turn.end ?? lost
      const texts = turn.texts.map(({ kind, providerItemId, text }) => ({ kind, providerItemId, text }))
      return { type: "found", providerTurnId, running: false, outcome, message, texts }
    })

  const live = () => [...sessions].map(liveOf)
  const newestOf = (threadId: ThreadId) => [...sessions].findLast((session) => session.threadId === threadId)

  return {
    provider: {
      instanceId,
      kind: "scripted",
      displayName: options.displayName ?? "Scripted",
      examples,
      capabilities,
      probe: Effect.sync(() => health),
      open: (wanted) =>
        Effect.flatMap(Effect.scope, (scope) =>
          perform(
            {
              operation: "open",
              provider: instanceId,
              threadId: wanted.threadId,
              generation: wanted.generation,
              arguments: wanted
            },
            Scope.provide(open(wanted), scope)
          )
        ),
      listLive: perform(callOf("list", null, {}), Effect.sync(live)),
      evidence: (query) => perform(callOf("evidence", null, query), evidence(query))
    },
    control: {
      ...control,
      received: () => [...received],
      emit: (threadId, event) =>
        Effect.suspend(() => {
          const session = newestOf(threadId)
          if (session === undefined) return Effect.die(new Error(`The thread ${threadId} has no session.`))
          return say(world, session, event)
        }),
      activeTurn: (threadId) => newestOf(threadId)?.active?.providerTurnId ?? null,
      ended: (turnId) =>
        Effect.map(
          control.until(() => outcomes.has(turnId)),
          () => outcomes.get(turnId)!
        ),
      crash: (threadId, message = "The scripted provider crashed.") =>
        Effect.sync(() => {
          for (const session of sessions) {
            if (threadId === undefined || session.threadId === threadId) {
              end(world, session, { clean: false, message })
            }
          }
        }),
      exit: (threadId, message) =>
        Effect.sync(() => {
          const session = newestOf(threadId)
          if (session !== undefined) end(world, session, { clean: true, message: message ?? null })
        }),
      outlive: (on) => {
        outlives = on
      },
      live,
      setHealth: (found) => {
        health = found
      }
    }
  }
}

export const defaultCapabilities: Capabilities = {
  steer: true,
  resume: true,
  history: true,
  outlivesServer: false,
  reasksRequests: false,
  modelSwitch: "in_session",
  approvals: true,
  questions: true,
  attachments: true,
  planMode: false,
  usage: true,
  rollback: false,
  fork: false
}

/** Each shows one thing that a chat has to handle. */
const examples: ReadonlyArray<Example> = [
  { title: "Say hello", prompt: "Hello" },
  { title: "A long answer", prompt: "Tell me a long story. [[slow:120]]" },
  { title: "Run a command", prompt: "What is in this folder? [[think]] [[shell:ls -l]]" },
  { title: "Ask before a command", prompt: "Push my work. [[ask:git push]]" },
  { title: "Ask me something", prompt: "Paint the shed. [[question:Which colour?|Red|Blue|Green]]" },
  { title: "A bad connection", prompt: "Answer in spite of it all. [[drop:2]]" },
  { title: "A failure", prompt: "Try the impossible. [[fail:The model service is out of order.]]" }
]

const healthy: Health = {
  status: "ready",
  version: "1",
  models: [{ id: "scripted", name: "Scripted", isDefault: true }],
  advice: null
}

/** How a turn ended that was begun, is not live, and whose end nobody wrote down. */
const lost = { outcome: "interrupted", message: "The provider ended while it worked on this." } as const

/** What a session needs from the provider it belongs to. */
interface World {
  readonly tick: Effect.Effect<void>
  readonly capabilities: Capabilities
  readonly turnEnded: (active: Active, outcome: TurnOutcome) => void
  readonly sessionEnded: (session: Session) => void
  readonly changed: () => void
}

/** A session of the provider. Everything in it changes in one synchronous step, before it is said. */
interface Session {
  readonly threadId: ThreadId
  readonly conversation: Conversation
  readonly cwd: string
  generation: Generation
  /** Where it speaks to; null while nobody is attached and what it says is heard by no one. */
  out: Queue.Queue<ProviderEvent, Cause.Done> | null
  /** Set once, at its end; nothing is said after it. */
  exit: { readonly clean: boolean; readonly message: string | null } | null
  readonly over: Deferred.Deferred<void>
  active: Active | null
  readonly requests: Map<string, Waiting>
  /** Requests opened so far: the ordinal in their keys. */
  asked: number
  readonly approved: Set<string>
  refusesStop: boolean
}

interface Active {
  readonly providerTurnId: ProviderTurnId
  /** The turn that it was begun for, and those whose messages joined it. */
  readonly turnIds: Array<TurnId>
  readonly own: boolean
  readonly interrupted: Deferred.Deferred<void>
  readonly over: Deferred.Deferred<void>
  readonly items: Map<string, OpenItem>
  readonly steered: Array<ReadonlyArray<Step>>
  /** A player is at work; otherwise a test says what happens. */
  played: boolean
  /** Takes no further message: its end is on the way. */
  closing: boolean
  refusesInterrupt: boolean
  /** Items begun so far: the ordinal in their ids. They repeat from turn to turn, as those of real providers may. */
  begun: number
}

interface OpenItem {
  readonly started: Extract<ProviderEvent, { readonly type: "item.started" }>
  text: string
}

interface Waiting {
  readonly opened: Extract<ProviderEvent, { readonly type: "request.opened" }>
  readonly answered: Deferred.Deferred<Answer>
}

const newSession = (options: OpenOptions, conversation: Conversation): Session => ({
  threadId: options.threadId,
  conversation,
  cwd: options.cwd,
  generation: options.generation,
  out: null,
  exit: null,
  over: Deferred.makeUnsafe(),
  active: null,
  requests: new Map(),
  asked: 0,
  approved: new Set(),
  refusesStop: false
})

const liveOf = (session: Session): LiveSession => ({
  threadId: session.threadId,
  generation: session.generation,
  activeProviderTurnId: session.active?.providerTurnId ?? null,
  activeTurnId: session.active?.turnIds[0] ?? null
})

const truthOf = (session: Session, providerTurnId: ProviderTurnId | null): TurnTruth => {
  const wanted = providerTurnId ?? session.active?.providerTurnId
  if (wanted !== undefined && wanted === session.active?.providerTurnId) return { type: "running" }
  const end = wanted === undefined ? null : session.conversation.turns.get(wanted)?.end
  return end ? { type: "ended", outcome: end.outcome, message: end.message } : { type: "gone" }
}

/**
 * What an opening hears: first where a session that went on without us stands, then what happens, and
 * at the end the exit. The exit is not put into the queue, which may be full, but follows its end.
 */
const eventsOf = (
  session: Session,
  out: Queue.Queue<ProviderEvent, Cause.Done>,
  reasks: boolean
): Stream.Stream<ProviderEvent> =>
  Stream.fromIterable(standing(session, reasks)).pipe(
    Stream.concat(Stream.fromQueue(out)),
    Stream.concat(
      Stream.suspend(() =>
        session.exit === null
          ? Stream.empty
          : Stream.make({ type: "session.exited" as const, ...session.exit })
      )
    )
  )

/** The turn, its open items with the text they have, and its requests, told again to who attaches late. */
const standing = (session: Session, reasks: boolean): ReadonlyArray<ProviderEvent> => {
  const { active } = session
  if (active === null) return []
  const { providerTurnId } = active
  const items = [...active.items.values()].flatMap(({ started, text }): ReadonlyArray<ProviderEvent> => {
    const { providerItemId } = started
    return text === ""
      ? [started]
      : [started, { type: "text.delta", providerTurnId, providerItemId, text, offset: 0 }]
  })
  const requests = reasks ? [...session.requests.values()].map((request) => request.opened) : []
  return [{ type: "turn.started", providerTurnId, turnId: active.turnIds[0] ?? null }, ...items, ...requests]
}

/** Runs as long as the session lives. */
const lived = <A>(session: Session, effect: Effect.Effect<A>): Effect.Effect<void> =>
  Effect.raceFirst(Effect.asVoid(effect), Deferred.await(session.over))

/** Ends the session, once. After this it says nothing but its exit. */
const end = (world: World, session: Session, exit: NonNullable<Session["exit"]>): void => {
  if (session.exit !== null) return
  const { active } = session
  // A crash leaves no word about the turn in the record, as a killed process does not.
  if (active !== null && exit.clean) finish(world, session, active, "interrupted", null)
  if (active !== null && !exit.clean) world.turnEnded(active, "interrupted")
  session.exit = exit
  session.active = null
  session.requests.clear()
  world.sessionEnded(session)
  if (session.out !== null) Queue.endUnsafe(session.out)
  Deferred.doneUnsafe(session.over, Effect.void)
  world.changed()
}

const begin = (session: Session, turnId: TurnId | null): Active => {
  const ordinal = session.conversation.begun + 1
  const providerTurnId = ProviderTurnId.make(`${session.conversation.id}/${ordinal}`)
  session.conversation.append({ type: "turn", providerTurnId, ordinal })
  return (session.active = newActive(providerTurnId, turnId === null))
}

const newActive = (providerTurnId: ProviderTurnId, own: boolean): Active => ({
  providerTurnId,
  turnIds: [],
  own,
  interrupted: Deferred.makeUnsafe(),
  over: Deferred.makeUnsafe(),
  items: new Map(),
  steered: [],
  played: false,
  closing: false,
  refusesInterrupt: false,
  begun: 0
})

const finish = (
  world: World,
  session: Session,
  active: Active,
  outcome: TurnOutcome,
  message: string | null
): void => {
  const { providerTurnId } = active
  session.conversation.append({ type: "ended", providerTurnId, outcome, message })
  session.active = null
  for (const [key, request] of session.requests) {
    if (request.opened.providerTurnId === providerTurnId) session.requests.delete(key)
  }
  world.turnEnded(active, outcome)
}

/**
 * Says one event. What it means for the session comes first, so that no call in between sees the older
 * truth; who waits for the turn's end is woken last, so that nothing overtakes the event.
 */
const say = (world: World, session: Session, event: ProviderEvent): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (session.exit !== null) return Effect.void
    if (event.type === "session.exited") {
      end(world, session, { clean: event.clean, message: event.message })
      return Effect.void
    }
    const before = session.active
    remember(world, session, event)
    world.changed()
    const said = session.out === null ? Effect.void : Effect.asVoid(Queue.offer(session.out, event))
    return before === null || before === session.active
      ? said
      : Effect.ensuring(said, Deferred.succeed(before.over, undefined))
  })

const remember = (world: World, session: Session, event: ProviderEvent): void => {
  const { active } = session
  switch (event.type) {
    case "turn.started": {
      // A turn that a test starts by hand; an auxiliary one never takes the place of the turn that runs.
      if (active !== null) return
      const { providerTurnId, turnId } = event
      session.conversation.append({ type: "turn", providerTurnId, ordinal: session.conversation.begun + 1 })
      session.active = newActive(providerTurnId, turnId === null)
      if (turnId !== null) session.active.turnIds.push(turnId)
      return
    }
    case "turn.completed":
    case "turn.aborted": {
      if (active === null || event.providerTurnId !== active.providerTurnId) return
      const outcome = event.type === "turn.aborted" ? "interrupted" : event.outcome
      return finish(world, session, active, outcome, event.message)
    }
    case "item.started": {
      if (event.providerTurnId === active?.providerTurnId) {
        active?.items.set(event.providerItemId, { started: event, text: "" })
      }
      return
    }
    case "text.delta": {
      const item = active?.items.get(event.providerItemId)
      if (item !== undefined && event.providerTurnId === active?.providerTurnId) item.text += event.text
      return
    }
    case "item.completed": {
      if (active === null || event.providerTurnId !== active.providerTurnId) return
      const { providerTurnId } = active
      const { providerItemId, kind } = event
      const text = event.text ?? active.items.get(providerItemId)?.text ?? ""
      active.items.delete(providerItemId)
      if (kind === "assistant_message" || kind === "reasoning") {
        session.conversation.append({ type: "text", providerTurnId, kind, providerItemId, text })
      }
      return
    }
    case "request.opened": {
      const answered = session.requests.get(event.requestKey)?.answered ?? Deferred.makeUnsafe()
      session.requests.set(event.requestKey, { opened: event, answered })
      return
    }
    case "request.resolved": {
      session.requests.delete(event.requestKey)
      return
    }
  }
}

/** How the playing of a turn came to its end. */
type Ending =
  | { readonly type: "turn"; readonly outcome: TurnOutcome; readonly message: string | null }
  /** Nothing is left to say: the session crashed, or a test said the end by hand. */
  | { readonly type: "silent" }

const completed: Ending = { type: "turn", outcome: "completed", message: null }
const interrupted: Ending = { type: "turn", outcome: "interrupted", message: null }
const silent: Ending = { type: "silent" }

/** Plays a turn from its start to its one end, and the provider's own turn behind it where the script has one. */
const play = (
  world: World,
  session: Session,
  active: Active,
  steps: ReadonlyArray<Step>
): Effect.Effect<void> =>
  Effect.gen(function* () {
    active.played = true
    const { providerTurnId } = active
    const player: Player = { world, session, active, say: (event) => say(world, session, event) }
    yield* player.say({ type: "turn.started", providerTurnId, turnId: active.turnIds[0] ?? null })
    const ending = yield* Effect.raceAllFirst([
      perform(player, steps),
      Effect.as(Deferred.await(active.interrupted), interrupted),
      Effect.as(Deferred.await(active.over), silent)
    ])
    active.closing = true
    if (ending.type === "silent") return
    yield* player.say({
      type: "turn.completed",
      providerTurnId,
      outcome: ending.outcome,
      message: ending.message
    })
    if (steps.some((step) => step.type === "own")) yield* playOwn(world, session)
  })

/** The provider wakes up by itself, once nothing else runs. */
const playOwn = (world: World, session: Session): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* world.tick
    while (session.active !== null) yield* Deferred.await(session.active.over)
    const text = "I looked again by myself: the background work is done."
    yield* play(world, session, begin(session, null), [{ type: "text", text }])
  })

interface Player {
  readonly world: World
  readonly session: Session
  readonly active: Active
  readonly say: (event: ProviderEvent) => Effect.Effect<void>
}

/** The steps, then those of every message that was steered in meanwhile. */
const perform = (player: Player, steps: ReadonlyArray<Step>): Effect.Effect<Ending> =>
  Effect.gen(function* () {
    const { active, world } = player
    let words = 0
    let todo: ReadonlyArray<Step> | undefined = steps
    while (todo !== undefined) {
      for (const step of todo) {
        const ending = yield* performStep(player, step)
        if (ending !== null) return ending
        if (step.type === "text") words += wordsOf(step.text).length
      }
      todo = active.steered.shift()
    }
    // From here on a message would come too late to be read: steering is refused in the same step.
    active.closing = true
    if (world.capabilities.usage) yield* player.say(usageOf(active, steps.length, words))
    return completed
  })

/** One step; null when the turn goes on. */
const performStep = (player: Player, step: Step): Effect.Effect<Ending | null> => {
  const { active, session, world } = player
  const { providerTurnId } = active
  switch (step.type) {
    case "text":
      return goOn(speak(player, "assistant_message", wordsOf(step.text), world.tick))
    case "think":
      return goOn(speak(player, "reasoning", wordsOf(step.text), world.tick))
    case "slow":
      return goOn(speak(player, "assistant_message", numbered(step.words), world.tick))
    case "flood":
      return goOn(speak(player, "assistant_message", numbered(step.words), Effect.void))
    case "shell":
      return goOn(Effect.flatMap(beginCommand(player, step.command), (run) => run))
    case "ask":
      return ask(player, step.command)
    case "question":
      return question(player, step.question, step.options)
    case "fail":
      return fail(player, step.message)
    case "drop":
      return drop(player, step.times)
    case "die":
      return Effect.gen(function* () {
        yield* speakHalf(player)
        end(world, session, { clean: false, message: "The scripted provider was told to die." })
        return silent
      })
    case "stall":
      return Effect.andThen(speakHalf(player), Effect.never)
    case "refuse-interrupt":
      active.refusesInterrupt = true
      return Effect.succeed(null)
    case "refuse-stop":
      session.refusesStop = true
      return Effect.succeed(null)
    case "aux": {
      const other = ProviderTurnId.make(`${providerTurnId}/title`)
      return goOn(
        Effect.andThen(
          player.say({ type: "turn.started", providerTurnId: other, turnId: null }),
          player.say({ type: "turn.completed", providerTurnId: other, outcome: "completed", message: null })
        )
      )
    }
    case "unknown":
      return goOn(player.say({ type: "unknown", method: step.method }))
    case "manual":
      return Effect.never
    // Dealt with before and behind the turn.
    case "own":
    case "reject":
      return Effect.succeed(null)
  }
}

const goOn = (effect: Effect.Effect<void>): Effect.Effect<null> => Effect.as(effect, null)

/** Begins an item. Its words come as deltas, its whole text with its end. */
const beginItem = (
  player: Player,
  kind: ItemKind,
  title: string,
  detail: { readonly [key: string]: unknown } = {}
) =>
  Effect.gen(function* () {
    const { active, say } = player
    const { providerTurnId } = active
    active.begun += 1
    const providerItemId = `item-${active.begun}`
    let text = ""
    yield* say({ type: "item.started", providerTurnId, providerItemId, kind, title, detail })
    return {
      write: (more: string) =>
        Effect.suspend(() => {
          const offset = text.length
          text += more
          return say({ type: "text.delta", providerTurnId, providerItemId, text: more, offset })
        }),
      complete: (how: "completed" | "declined") =>
        Effect.suspend(() =>
          say({ type: "item.completed", providerTurnId, providerItemId, kind, title, end: how, text, detail })
        )
    }
  })

const speak = (
  player: Player,
  kind: "assistant_message" | "reasoning",
  words: Iterable<string>,
  pause: Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const item = yield* beginItem(player, kind, "")
    for (const word of words) {
      yield* pause
      yield* item.write(word)
    }
    yield* item.complete("completed")
  })

const speakHalf = (player: Player) =>
  Effect.gen(function* () {
    const item = yield* beginItem(player, "assistant_message", "")
    for (const word of wordsOf("Half of an answer that")) {
      yield* player.world.tick
      yield* item.write(word)
    }
  })

function* numbered(words: number): Iterable<string> {
  for (let n = 0; n < words; n += 1) yield `w${n} `
}

/** The command's item; what it gives back runs it: pretended output, then its end. */
const beginCommand = (player: Player, command: string) =>
  Effect.gen(function* () {
    const item = yield* beginItem(player, "command", command, { command, cwd: player.session.cwd })
    return Effect.gen(function* () {
      for (const line of [`$ ${command}\n`, "(the scripted provider executes nothing)\n"]) {
        yield* player.world.tick
        yield* item.write(line)
      }
      yield* item.complete("completed")
    })
  })

const ask = (player: Player, command: string): Effect.Effect<Ending | null> =>
  Effect.gen(function* () {
    const { active, session, world } = player
    const { cwd } = session
    const detail = { command, cwd }
    const item = yield* beginItem(player, "command", command, detail)
    const free = session.approved.has(command) || !world.capabilities.approvals
    const { decision } = free
      ? allowed
      : yield* request(player, "command_approval", {
          title: command,
          detail,
          decisions: ["accept", "accept_for_session", "decline", "cancel"],
          questions: []
        })
    if (decision === "decline" || decision === "cancel" || decision === null) {
      yield* item.complete("declined")
      if (decision !== "cancel") return null
      active.closing = true
      return interrupted
    }
    if (decision === "accept_for_session") session.approved.add(command)
    yield* world.tick
    yield* item.write("(the scripted provider executes nothing)\n")
    yield* item.complete("completed")
    return null
  })

const allowed: Answer = { decision: "accept", answers: {} }

const question = (
  player: Player,
  text: string,
  options: ReadonlyArray<string>
): Effect.Effect<Ending | null> =>
  Effect.gen(function* () {
    if (!player.world.capabilities.questions) return null
    const { decision, answers } = yield* request(player, "question", {
      title: text,
      detail: {},
      decisions: [],
      questions: [{ id: "answer", question: text, options: options.map((label) => ({ label })) }]
    })
    if (decision === "cancel") return interrupted
    const chosen = (answers["answer"] ?? []).join(", ")
    const reply = chosen === "" ? "You gave no answer." : `You chose: ${chosen}.`
    yield* speak(player, "assistant_message", wordsOf(reply), player.world.tick)
    return null
  })

/** Asks the user and waits, for as long as it takes. */
const request = (
  player: Player,
  kind: Waiting["opened"]["kind"],
  ask: Waiting["opened"]["ask"]
): Effect.Effect<Answer> =>
  Effect.gen(function* () {
    const { active, session, say } = player
    session.asked += 1
    const requestKey = `request-${session.asked}`
    const opened = {
      type: "request.opened",
      providerTurnId: active.providerTurnId,
      requestKey,
      kind,
      ask
    } as const
    const answered = Deferred.makeUnsafe<Answer>()
    session.requests.set(requestKey, { opened, answered })
    yield* say(opened)
    return yield* Deferred.await(answered)
  })

const fail = (player: Player, message: string): Effect.Effect<Ending> =>
  Effect.gen(function* () {
    const { active, say, world } = player
    yield* world.tick
    active.closing = true
    yield* say({ type: "error.final", providerTurnId: active.providerTurnId, message })
    return { type: "turn", outcome: "failed", message }
  })

/** Half an answer, cut. The provider tries again by itself, and in the end begins the answer anew, or gives up. */
const drop = (player: Player, times: number): Effect.Effect<Ending | null> =>
  Effect.gen(function* () {
    const { active, say, world } = player
    const { providerTurnId } = active
    yield* speakHalf(player)
    for (let attempt = 1; attempt <= Math.min(times, retryLimit); attempt += 1) {
      const message = `Reconnecting... ${attempt}/${retryLimit}`
      yield* say({ type: "error.transient", providerTurnId, message, attempt, limit: retryLimit })
      for (let wait = 0; wait < 5; wait += 1) yield* world.tick
    }
    if (times > retryLimit)
      return yield* fail(player, "The connection to the model was lost again and again.")
    const whole = `Half of an answer that was cut is whole again after ${times} lost connections.`
    yield* speak(player, "assistant_message", wordsOf(whole), world.tick)
    return null
  })

const usageOf = (active: Active, steps: number, words: number): ProviderEvent => ({
  type: "usage",
  providerTurnId: active.providerTurnId,
  usage: { inputTokens: 100 + steps, cachedInputTokens: 0, outputTokens: words, reasoningTokens: 0 }
})
