/**
 * A provider that is as bad as providers get, and whose record tells the truth about what it really did.
 *
 * The scripted provider does the work. Around it, calls are refused, lost on the way there or back, kept
 * waiting past their deadline, and what it says comes late, twice, or not at all; the words of an earlier
 * time come again. How bad it is in a run follows the seed.
 */
import type { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Capabilities, OpenOptions, Provider, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import type { Call, Control, Operation } from "@turnkeeper/provider-kit/testing/control"
import { errorOf } from "@turnkeeper/provider-kit/testing/control"
import { makeScripted } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import { Clock, Deferred, Effect, Exit, Scope, Stream } from "effect"
import type { Random } from "../crash/random.ts"
import type { Loop } from "./Loop.ts"

/** How often, from 0 to 1, things go wrong. */
export interface Hostility {
  /** A call that is not simply done. */
  readonly calls: number
  /** Of what it says: comes twice, never, late, or is followed by something from an earlier time. */
  readonly copies: number
  readonly drops: number
  readonly delays: number
  readonly echoes: number
  /** The line of a session breaks while a prompt is on its way: nothing is heard any more, and it still arrives. */
  readonly cuts: number
  /** Closing a session takes its time; until then it lives. */
  readonly closes: number
  /** The live sessions cannot be listed. */
  readonly listings: number
}

export const friendly: Hostility = {
  calls: 0,
  copies: 0,
  drops: 0,
  delays: 0,
  echoes: 0,
  cuts: 0,
  closes: 0,
  listings: 0
}

export interface Hostile {
  readonly instanceId: ProviderInstanceId
  readonly control: () => Control
  /** As one life of the server reaches it. */
  readonly reachedBy: (isAlive: () => boolean) => Provider
  /** The server is gone. `died`: the provider went with it, and a new one starts on its record. */
  readonly serverGone: (died: boolean) => void
  /** From now on it does what it is asked. `deaf`: it answers no call at all. */
  readonly calm: (deaf: boolean) => void
  readonly isWorking: (threadId: ThreadId) => boolean
}

export interface HostileOptions {
  readonly instanceId: ProviderInstanceId
  readonly loop: Loop
  readonly random: Random
  readonly hostility: Hostility
  readonly recordDirectory: string
  readonly capabilities: Partial<Capabilities>
  readonly joinsOwnTurns: boolean
  readonly tickMs: number
  readonly trace: (line: string) => void
}

export const makeHostile = (options: HostileOptions): Hostile => {
  const { instanceId, loop, trace } = options
  // A source of its own: a plan that has none of this makes the same choices with and without.
  const edges = options.random.fork(1)
  let hostility = options.hostility
  let deaf = false
  let line = newLine()
  let control = begin()

  function begin(): Control & { readonly provider: Provider } {
    const { recordDirectory, capabilities, joinsOwnTurns, tickMs } = options
    const made = makeScripted({ instanceId, recordDirectory, capabilities, joinsOwnTurns, tickMs })
    const standing = { ...made.control, provider: made.provider }
    for (const operation of operations) treatAll(standing, operation, treated)
    return standing
  }

  /** What is on its way to the provider when the server dies does not arrive. */
  function treated<A>(real: Effect.Effect<A, ProviderError>, call: Call): Effect.Effect<A, ProviderError> {
    return Effect.suspend(() => {
      const { cut } = line
      const arriving = Effect.suspend(() => (cut.is ? Effect.never : real))
      const treatment = chosen(call)
      trace(`${instanceId} ${nameOf(call)} ${treatment}`)
      return treat(treatment, arriving, call)
    })
  }

  const chosen = (call: Call): Treatment => {
    const { operation } = call
    // A kill asks nobody.
    if (deaf && !(operation === "stop" && call.arguments.step === "kill")) return "never"
    if (operation === "list" && edges.chance(hostility.listings)) return edges.pick(["lost", "never"])
    if (!options.random.chance(hostility.calls)) return "done"
    const [first, ...rest] = treatments[operation]
    return options.random.pick([first!, ...rest])
  }

  const slept = (from: number, to: number, random = options.random) =>
    Effect.suspend(() => Effect.sleep(random.between(from, to)))

  const treat = <A>(
    treatment: Treatment,
    real: Effect.Effect<A, ProviderError>,
    call: Call
  ): Effect.Effect<A, ProviderError> => {
    const fail = (reason: FaultReason) => Effect.fail(errorOf(call, reason, `It said ${reason}`))
    switch (treatment) {
      case "done":
        return real
      case "slow":
        return Effect.andThen(slept(1, 5_000), real)
      case "slow answer":
        return Effect.tap(real, () => slept(1, 5_000))
      case "lost":
        return fail("Unknown")
      case "answer lost":
        return Effect.andThen(real, fail("Unknown"))
      case "never":
        return Effect.never
      case "no answer":
        return Effect.andThen(real, Effect.never)
      case "too late":
        // Its caller has given up, and still it arrives.
        return Effect.andThen(
          Effect.forkDetach(Effect.ignore(Effect.andThen(slept(60_000, 90_000), real))),
          Effect.never
        )
      case "answer too late":
        return Effect.tap(real, () => slept(60_000, 90_000))
      case "pretended":
        // Only of calls that give nothing back.
        return Effect.succeed(undefined as A)
      default:
        return fail(treatment)
    }
  }

  const mangled = (
    session: ProviderSession,
    isAlive: () => boolean,
    broken: Deferred.Deferred<void>
  ): Stream.Stream<ProviderEvent> => {
    const { random } = options
    const past: Array<ProviderEvent> = line.past
    return session.events.pipe(
      Stream.mapEffect((event) =>
        Effect.gen(function* () {
          if (random.chance(hostility.delays)) yield* onWorldClock(slept(1, 20_000))
          if (!isAlive()) return yield* Effect.never
          const said = saidOf(event, past, hostility, random)
          if (said.length !== 1)
            trace(`${instanceId} says ${event.type} as ${said.map(({ type }) => type).join()}`)
          return said
        })
      ),
      Stream.flattenIterable,
      Stream.interruptWhen(Deferred.await(broken)),
      Stream.concat(
        Stream.suspend(() => (Deferred.isDoneUnsafe(broken) ? Stream.make(unheard) : Stream.empty))
      )
    )
  }

  /** The session lives until its scope has closed: what is on its way to it until then arrives, if we live. */
  const sentOverEdge =
    (session: ProviderSession, broken: Deferred.Deferred<void>): ProviderSession["send"] =>
    (prompt) =>
      Effect.suspend(() => {
        if (!edges.chance(hostility.cuts)) return session.send(prompt)
        const { cut } = line
        trace(`${instanceId} is not heard any more, with ${prompt.turnId} on its way`)
        Deferred.doneUnsafe(broken, Exit.void)
        const arriving = Effect.suspend(() => (cut.is ? Effect.never : session.send(prompt)))
        return Effect.andThen(slept(1, 5_000, edges), arriving)
      })

  const closed = (connection: Scope.Closeable, exit: Exit.Exit<unknown, unknown>) =>
    Effect.suspend(() => {
      const close = Scope.close(connection, exit)
      return edges.chance(hostility.closes) ? Effect.andThen(slept(1, 20_000, edges), close) : close
    })

  const onWorldClock = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, Clock.Clock, loop.clock)

  const reachedBy = (isAlive: () => boolean): Provider => {
    /** A dead server asks nothing, and hears no answer. */
    const guarded = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() =>
        isAlive()
          ? Effect.flatMap(Effect.exit(onWorldClock(effect)), (exit) => (isAlive() ? exit : Effect.never))
          : Effect.never
      )
    const open = (wanted: OpenOptions) =>
      Effect.gen(function* () {
        const connection = Scope.makeUnsafe()
        line.connections.add(connection)
        yield* Effect.addFinalizer((exit) =>
          Effect.suspend(() => (isAlive() ? onWorldClock(closed(connection, exit)) : Effect.void))
        )
        const session = yield* guarded(Scope.provide(control.provider.open(wanted), connection))
        const broken = yield* Deferred.make<void>()
        const send = sentOverEdge(session, broken)
        const wrapped: ProviderSession = {
          ...session,
          events: mangled(session, isAlive, broken),
          send: (prompt) => guarded(send(prompt)),
          steer: (prompt, into) => guarded(session.steer(prompt, into)),
          interrupt: (turn) => guarded(session.interrupt(turn)),
          answer: (key, answer) => guarded(session.answer(key, answer)),
          probe: (turn) => guarded(session.probe(turn)),
          stop: (step) => guarded(session.stop(step))
        }
        return wrapped
      })
    const { provider } = control
    return {
      ...provider,
      probe: guarded(provider.probe),
      open,
      listLive: guarded(provider.listLive),
      evidence: (query) => guarded(provider.evidence(query))
    }
  }

  return {
    instanceId,
    control: () => control,
    reachedBy,
    serverGone: (died) => {
      const { connections, cut } = line
      cut.is = true
      if (died) runNow(control.crash(undefined, "The machine went down"))
      control.outlive(true)
      for (const connection of connections) runNow(Scope.close(connection, Exit.void))
      control.outlive(false)
      line = { ...newLine(), past: line.past }
      if (died) control = begin()
    },
    calm: (isDeaf) => {
      hostility = friendly
      deaf = isDeaf
    },
    isWorking: (threadId) => control.activeTurn(threadId) !== null
  }

  /** Neither of them waits for anybody. */
  function runNow(effect: Effect.Effect<void>): void {
    loop.fork(effect)
  }
}

interface Line {
  readonly cut: { is: boolean }
  readonly connections: Set<Scope.Closeable>
  /** The newest of what was said, for those who repeat themselves. */
  readonly past: Array<ProviderEvent>
}

const newLine = (): Line => ({ cut: { is: false }, connections: new Set(), past: [] })

type Treatment =
  | "done"
  | "slow"
  | "slow answer"
  /** It does not arrive, and the caller cannot know. */
  | "lost"
  /** It arrives, and the caller cannot know. */
  | "answer lost"
  | "never"
  | "no answer"
  | "too late"
  | "answer too late"
  /** It says yes and does nothing. */
  | "pretended"
  | FaultReason

const treatments: { readonly [Op in Operation]: ReadonlyArray<Treatment> } = {
  open: [
    "slow",
    "slow answer",
    "never",
    "answer lost",
    "Unavailable",
    "RateLimited",
    "NotSignedIn",
    "too late"
  ],
  send: [
    "slow",
    "slow answer",
    "lost",
    "answer lost",
    "never",
    "no answer",
    "too late",
    "answer too late",
    "Rejected",
    "Unavailable",
    "RateLimited",
    "SessionGone"
  ],
  steer: [
    "slow",
    "slow answer",
    "lost",
    "answer lost",
    "never",
    "no answer",
    "too late",
    "Rejected",
    "TurnMismatch",
    "Unsupported"
  ],
  interrupt: [
    "pretended",
    "slow",
    "lost",
    "answer lost",
    "never",
    "no answer",
    "too late",
    "Rejected",
    "TurnMismatch"
  ],
  answer: ["slow", "lost", "answer lost", "never", "no answer", "Unavailable", "Rejected"],
  probe: ["slow", "slow answer", "lost", "never", "Unavailable"],
  stop: ["slow", "lost", "answer lost", "never", "no answer", "Rejected", "Unavailable"],
  list: ["slow", "slow answer", "lost", "never", "Unavailable"],
  evidence: ["slow", "slow answer", "lost", "never", "Unavailable"]
}

const operations = Object.keys(treatments) as ReadonlyArray<Operation>

/** Every call of a kind, by the same hand. */
const treatAll = <Op extends Operation>(
  control: Control,
  operation: Op,
  treated: <A>(real: Effect.Effect<A, ProviderError>, call: Call) => Effect.Effect<A, ProviderError>
) => control.always(operation, (real, call) => treated(real, call as Call))

const nameOf = (call: Call): string => {
  const at = call.threadId === null ? "" : ` ${call.threadId}#${call.generation}`
  switch (call.operation) {
    case "send":
    case "steer":
      return `${call.operation} ${call.arguments.prompt.turnId}${at}`
    case "stop":
      return `${call.arguments.step}${at}`
    case "evidence":
      return `evidence ${call.arguments.turnId}`
    default:
      return `${call.operation}${at}`
  }
}

const pastMax = 30

/** What an adapter says that does not hear its provider any more. */
const unheard: ProviderEvent = { type: "session.exited", clean: false, message: "The line broke" }

/** An end that does not say of what (L4). */
const nameless: ProviderEvent = {
  type: "turn.completed",
  providerTurnId: null,
  outcome: "completed",
  message: null
}

/** The end of a session is told by the end of its stream and cannot be lost. */
const saidOf = (
  event: ProviderEvent,
  past: Array<ProviderEvent>,
  { copies, drops, echoes }: Hostility,
  random: Random
): ReadonlyArray<ProviderEvent> => {
  if (event.type === "session.exited") return [event]
  past.push(event)
  if (past.length > pastMax) past.shift()
  if (random.chance(drops)) return []
  if (random.chance(copies)) return [event, event]
  if (!random.chance(echoes)) return [event]
  const [first, ...rest] = past
  return [event, random.pick([nameless, random.pick([first!, ...rest])])]
}
