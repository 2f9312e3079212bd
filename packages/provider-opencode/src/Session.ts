/**
 * One session: a conversation of ours on an OpenCode server that others may share.
 *
 * What it asks of OpenCode goes through the API; what OpenCode says of the session goes through the
 * conversation into the outbox. Where what it says is not enough (idle without an end, an event that was
 * missed, a connection that broke) the record is read. It ends once, with `session.exited`, and refuses
 * everything afterwards.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Generation, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { HeardTurn, Missed, Prompt, ProviderSession, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { Fail, Operation, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Clock, Deferred, Effect, Schedule } from "effect"
import type { Duration, Scope } from "effect"
import type { Api, CallFailed } from "./Api.ts"
import * as Conversation from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import * as History from "./history.ts"
import type { Native, Rule } from "./protocol.ts"
import { permission, question } from "./requests.ts"
import type { Held } from "./requests.ts"
import type { Freedom } from "./settings.ts"
import { messageIdOf, promptOf, rulesOf, sameFreedom } from "./settings.ts"

export interface Deadlines {
  /** A call that OpenCode answers at once when it is well. */
  readonly call: Duration.Input
  /** A prompt, until it is in the record. The first of a process takes seconds. */
  readonly send: Duration.Input
  /** A turn's start or its end, after it was asked for. */
  readonly turn: Duration.Input
  /** How long a listener that does not read may hold up those of the other sessions. */
  readonly standstill: Duration.Input
}

export interface SessionOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionID: string
  readonly directory: string
  readonly freedom: Freedom
  /** For prompts that name none. */
  readonly model: string | null
  readonly api: Api
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  /** Ends those of these commands that still run. */
  readonly endCommands: (commands: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>>
  /** Ends the process, and with it every session on it; null where it is not ours. */
  readonly killProcess: Effect.Effect<unknown> | null
  /** From now on it is not known whether OpenCode has taken this turn's message. */
  readonly doubt: (turnId: TurnId) => void
  readonly settled: (turnId: TurnId) => void
  readonly onExit: () => void
  /** Whether this session of OpenCode's works for ours. */
  readonly worksForUs: (sessionID: string) => boolean
  /** Present where it went on without us. What is told until `rejoin` has been read is part of that. */
  readonly rejoin?: { readonly heard: HeardTurn | null }
}

export interface Session extends ProviderSession {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionID: string
  readonly directory: string
  readonly active: () => Turn | null
  readonly isOver: () => boolean
  readonly hear: (native: Native) => Effect.Effect<void>
  readonly hearChild: (native: Native) => Effect.Effect<void>
  /** The number of an event of this session's record: a gap is an event that was missed. */
  readonly count: (sequence: number) => Effect.Effect<void>
  /** Nothing was heard for a while: what happened meanwhile is read. */
  readonly catchUp: Effect.Effect<void>
  readonly adopt: (turn: { readonly id: string; readonly turnId: TurnId | null }) => Effect.Effect<void>
  readonly past: (ids: ReadonlyArray<string>) => void
  /** Finds out what was not heard, from the record. */
  readonly rejoin: Effect.Effect<Missed, CallFailed>
  /** Nobody reads the events any more: they are dropped, so that the server is not held up. */
  readonly abandon: () => void
  /** The last event. Does nothing the second time. */
  readonly exit: (clean: boolean, message: string | null) => void
}

/** A look at the record that still leaves the turn in doubt is repeated so often before it is given up. */
const looksMax = 4
const betweenLooks = "500 millis"

export const make = (options: SessionOptions): Session => {
  const { sessionID, directory, api, deadlines, fail, wrap } = options
  const path = `/session/${sessionID}`
  const outbox = Outbox.make()
  const heard = options.rejoin?.heard ?? null
  const conversation = Conversation.make(heard)
  const asking: History.Asking = { api, directory, deadline: deadlines.call }
  let freedom = options.freedom
  let granted: ReadonlyArray<Rule> = []
  let sequence: number | null = null
  let looking = false
  let lookAgain = false
  /** Present until what was missed has been read. */
  let missed: Array<ProviderEvent> | null = options.rejoin === undefined ? null : []

  /** Its listener stands still: nothing is told, and its record is read when it reads again. */
  let deaf = false

  const { killProcess } = options
  const life = Life.make({
    name: "OpenCode",
    fail,
    outbox,
    ways: {
      stop: Effect.suspend(() => leave),
      kill:
        killProcess === null
          ? null
          : Effect.suspend(() => inTime(killProcess, "OpenCode's process did not end."))
    },
    onExit: () => {
      options.onExit()
      conversation.end()
    }
  })
  const { exit, isOver, whileOpen } = life

  const tell = (events: ReadonlyArray<ProviderEvent>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (missed === null) return tellNow(events)
      if (missed.length < missedMax) missed.push(...events)
      else exit(false, "OpenCode said more than could be kept while its record was read.")
      return Effect.void
    })

  /** Waits for the listener, and no longer than the others can bear. */
  const tellNow = (events: ReadonlyArray<ProviderEvent>): Effect.Effect<void> =>
    outbox.isFull() && !deaf
      ? Effect.timeoutOrElse(outbox.put(events), {
          duration: deadlines.standstill,
          orElse: () => goDeaf(events)
        })
      : outbox.put(events)

  const goDeaf = (untold: ReadonlyArray<ProviderEvent>) =>
    Effect.suspend(() => {
      deaf = true
      const hearAgain = Effect.suspend(() => {
        deaf = false
        return catchUp
      })
      return outbox.put(untold).pipe(Effect.andThen(hearAgain), Effect.forkIn(options.scope), Effect.asVoid)
    })

  const hear = (native: Native) =>
    Effect.suspend(() => {
      if (isOver()) return Effect.void
      if (native.type === "session.deleted") {
        return Effect.sync(() => exit(life.isStopping(), "This conversation was deleted in OpenCode."))
      }
      if (deaf) return Effect.void
      return Effect.andThen(tell(conversation.hear(native)), lookIfInDoubt)
    })

  const hearChild = (native: Native) =>
    Effect.suspend(() => (isOver() || deaf ? Effect.void : tell(conversation.hearChild(native))))

  const count = (next: number) =>
    Effect.suspend(() => {
      const missed = sequence !== null && next > sequence + 1
      sequence = Math.max(sequence ?? 0, next)
      return missed && !deaf ? catchUp : Effect.void
    })

  const catchUp = Effect.suspend(() => {
    if (isOver()) return Effect.void
    conversation.missed()
    lookAgain = true
    return startLooking
  })

  const lookIfInDoubt = Effect.suspend(() => (conversation.inDoubt() ? startLooking : Effect.void))

  /** One look at a time; not waited for, because what runs this is what has to be heard meanwhile. */
  const startLooking = Effect.suspend(() => {
    if (looking) return Effect.void
    looking = true
    return look.pipe(
      Effect.ensuring(Effect.sync(() => void (looking = false))),
      Effect.forkIn(options.scope),
      Effect.asVoid
    )
  })

  const look: Effect.Effect<void> = Effect.gen(function* () {
    let turn = conversation.active()
    for (let looks = 0; !isOver() && (lookAgain || conversation.inDoubt());) {
      if (!lookAgain) yield* Effect.sleep(betweenLooks)
      if (!lookAgain && !conversation.inDoubt()) return
      lookAgain = false
      const seen = yield* Effect.option(History.seen(asking, sessionID))
      // It cannot be asked: its end, or the next connection, says what there is to say.
      if (seen._tag === "None") {
        looks += 1
        if (looks >= looksMax) return
        yield* Effect.sleep(betweenLooks)
        continue
      }
      if (isOver()) return
      yield* tell(conversation.read(seen.value.messages, seen.value.status))
      yield* readRequests
      looks = conversation.active() === turn ? looks + 1 : 1
      turn = conversation.active()
      if (conversation.inDoubt() && looks >= looksMax) {
        yield* tell(conversation.giveUp())
        return
      }
    }
  })

  const openRequests = Effect.map(
    History.openRequests(asking),
    ({ permissions, questions }) =>
      [...permissions.map(permission), ...questions.map(question)].filter(
        (held) => held !== null && (held.sessionID === sessionID || options.worksForUs(held.sessionID))
      ) as ReadonlyArray<Held>
  )

  const readRequests = Effect.suspend(() => {
    const turn = conversation.active()
    // What was asked in a turn that was aborted stays in OpenCode's list for ever.
    if (turn === null || turn.idle || turn.interruptAsked) return Effect.void
    return openRequests.pipe(
      Effect.flatMap((held) => tell(conversation.readRequests(held))),
      Effect.ignore
    )
  })

  const rejoin = Effect.gen(function* () {
    const { id, messages, status } = yield* History.seenSince(
      asking,
      sessionID,
      (one) => heard !== null && Conversation.isHeard(heard, one)
    )
    const newest = History.newestTurn(messages)
    const from = id ?? (status.type === "idle" ? null : (newest?.id ?? null))
    const first = messages.findIndex(({ info }) => info.id === from)
    const before = first === -1 ? messages : messages.slice(0, first)
    conversation.past(before.flatMap(({ info }) => (info.role === "user" ? [info.id] : [])))
    if (from !== null) {
      yield* tell(conversation.adopt(from, null))
      yield* tell(conversation.read(messages.slice(first), status))
    }
    if (conversation.active() !== null) {
      const open = yield* openRequests
      yield* tell(conversation.readRequests(open))
      const closed = (heard?.requests ?? []).filter((key) => !open.some((held) => held.id === key))
      yield* tell(closed.map((requestKey) => ({ type: "request.resolved", requestKey })))
    }
    const events = missed ?? []
    missed = null
    const turn = conversation.active()
    // What was said between the status and now may have been passed over: one more look finds it.
    if (turn !== null) yield* catchUp
    return {
      events,
      running: turn === null ? null : { providerTurnId: ProviderTurnId.make(turn.id), turnId: turn.turnId }
    } satisfies Missed
  })

  const call = (body?: unknown) => ({
    directory,
    deadline: deadlines.call,
    ...(body === undefined ? {} : { body })
  })

  const send = (prompt: Prompt) =>
    life.whileNotStopping("send", () => {
      // OpenCode would take it and answer it after the running turn, without saying where one ends.
      if (conversation.active() !== null || conversation.sending() !== null)
        return Effect.fail(fail("send", "Rejected", "OpenCode is at work on another turn of this thread."))
      return Effect.gen(function* () {
        const id = messageIdOf(prompt.turnId, yield* Clock.currentTimeMillis)
        const body = promptOf({ ...prompt, model: prompt.model ?? options.model }, id)
        if (body === null) {
          return yield* fail(
            "send",
            "Rejected",
            "OpenCode cannot read an attachment, or the model's name has no provider."
          )
        }
        const sending = conversation.sendBegan(id, prompt.turnId)
        yield* setFreedom(prompt).pipe(
          Effect.tapError(() => Effect.sync(() => conversation.sendSettled(false))),
          // The prompt itself was not sent yet.
          Effect.mapError((error) =>
            fail("send", error._tag === "Refused" ? "Rejected" : "Unavailable", error.message)
          )
        )
        options.doubt(prompt.turnId)
        yield* api.post(`${path}/prompt_async`, { ...call(body), deadline: deadlines.send }).pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              const untouched =
                (error._tag === "Refused" && error.status < 500) ||
                (error._tag === "Unreachable" && error.delivered === "no")
              if (!untouched) return
              conversation.sendSettled(false)
              options.settled(prompt.turnId)
            })
          ),
          Effect.mapError(wrap("send"))
        )
        const isTaken = yield* taken(sending)
        // A session that ended meanwhile does not know: its server may still be at it.
        if (!isOver()) options.settled(prompt.turnId)
        if (!isTaken) {
          return isOver()
            ? yield* fail("send", "Unknown", "OpenCode ended while it took the message.")
            : yield* fail("send", "Rejected", "OpenCode did not take the message.")
        }
        return { providerTurnId: ProviderTurnId.make(id) }
      })
    })

  /**
   * `prompt_async` is answered before the message is in the record. Its copy among the events proves that
   * it is; where that does not come, the record is asked.
   */
  const taken = (sending: Conversation.Sending) =>
    Deferred.await(sending.taken).pipe(
      Effect.timeoutOrElse({
        duration: deadlines.send,
        orElse: () =>
          History.hasMessage(asking, sessionID, sending.id).pipe(
            Effect.mapError(wrap("send")),
            Effect.flatMap((found) => {
              if (found) return Effect.as(tell(conversation.sendSettled(true)), true)
              // Told of an error, and not in the record: it is not coming any more.
              if (sending.error !== null) {
                conversation.sendSettled(false)
                return Effect.succeed(false)
              }
              return Effect.fail(fail("send", "Unknown", "OpenCode did not confirm the message in time."))
            })
          )
      })
    )

  /** What the user allows may change from turn to turn; what he granted for the session stays. */
  const setFreedom = (wanted: Freedom) =>
    Effect.suspend(() => {
      const next: Freedom = { runtimeMode: wanted.runtimeMode, interactionMode: wanted.interactionMode }
      if (sameFreedom(freedom, next)) return Effect.void
      // A grant was given under another freedom: it does not widen a narrower one.
      const kept = next.runtimeMode === freedom.runtimeMode ? granted : []
      return api.patch(path, call({ permission: [...rulesOf(next), ...kept] })).pipe(
        Effect.andThen(
          Effect.sync(() => {
            freedom = next
            granted = kept
          })
        )
      )
    })

  const steer = () =>
    whileOpen("steer", () =>
      Effect.fail(fail("steer", "Unsupported", "OpenCode cannot take a message into a running turn."))
    )

  const mismatch = (operation: Operation) => fail(operation, "TurnMismatch", "That turn does not run.")

  const interrupt = (named: ProviderTurnId | null) =>
    whileOpen("interrupt", () =>
      Effect.gen(function* () {
        const turn = conversation.active()
        if (turn === null || (named !== null && turn.id !== named)) return yield* mismatch("interrupt")
        yield* abort(turn).pipe(Effect.mapError(wrap("interrupt")))
        if (conversation.active() === turn) yield* startLooking
      })
    )

  /** An abort of a session that has not begun to work is taken and forgotten: its beginning is waited for. */
  const abort = (turn: Turn): Effect.Effect<void, CallFailed> =>
    Deferred.await(turn.begun).pipe(
      Effect.timeoutOption(deadlines.turn),
      Effect.andThen(
        Effect.suspend(() => {
          if (Deferred.isDoneUnsafe(turn.over)) return Effect.void
          turn.interruptAsked = true
          return api.post<boolean>(`${path}/abort`, call()).pipe(Effect.asVoid)
        })
      )
    )

  const answer = (requestKey: string, given: Answer) =>
    Effect.suspend(() => {
      const held = conversation.held(requestKey)
      const turn = conversation.active()
      if (held === null || turn === null)
        return Effect.fail(fail("answer", "RequestGone", "OpenCode no longer waits for this."))
      const reply = held.reply(given)
      conversation.release(requestKey, given.decision === "decline" || given.decision === "cancel")
      if (reply === "abort") return abort(turn).pipe(Effect.mapError(wrap("answer")))
      return grant(given.decision === "accept_for_session" ? held.grants : []).pipe(
        Effect.andThen(api.post<boolean>(reply.path, call(reply.body))),
        Effect.catchTag("Refused", (refused) =>
          Effect.fail(
            refused.status === 404
              ? fail("answer", "RequestGone", "OpenCode no longer waits for this.")
              : wrap("answer")(refused)
          )
        ),
        Effect.mapError(wrap("answer")),
        Effect.tapError((error) =>
          Effect.sync(() => void (error.fault.reason === "RequestGone" || conversation.restore(held)))
        ),
        Effect.asVoid
      )
    })

  const grant = (rules: ReadonlyArray<Rule>) =>
    rules.length === 0
      ? Effect.void
      : api
          .patch(path, call({ permission: rules }))
          .pipe(Effect.andThen(Effect.sync(() => void (granted = [...granted, ...rules].slice(-grantsMax)))))

  const probe = (named: ProviderTurnId | null): Effect.Effect<TurnTruth, ProviderError> =>
    Effect.suspend(() => {
      const id = named ?? conversation.active()?.id ?? null
      if (isOver() || id === null) return Effect.succeed<TurnTruth>({ type: "gone" })
      return History.turnTruth(asking, sessionID, id).pipe(
        Effect.map((truth): TurnTruth => {
          if (truth.type === "running" && conversation.active()?.id !== id && conversation.active() !== null)
            return { type: "gone" }
          return truth
        }),
        Effect.mapError(wrap("probe"))
      )
    })

  /** Aborts what runs and proves that nobody works any more and that no command is left. */
  const leave = Effect.gen(function* () {
    const sending = conversation.sending()
    if (sending !== null) {
      yield* inTime(Deferred.await(sending.taken), "A message is still on its way to OpenCode.")
    }
    const commands = conversation.commands()
    const turn = conversation.active()
    if (turn !== null) yield* abort(turn).pipe(Effect.mapError(wrap("stop")))
    const rests = History.rests(asking, sessionID).pipe(Effect.mapError(wrap("stop")))
    const after =
      turn === null
        ? rests
        : Effect.repeat(rests, { until: (yes) => yes, schedule: Schedule.spaced("100 millis") })
    const resting = yield* inTime(after, "OpenCode did not end the turn.")
    if (!resting) {
      // Another window of OpenCode is at work here: its turn is not ours, but this session's end is asked for.
      yield* api.post(`${path}/abort`, call()).pipe(Effect.mapError(wrap("stop")))
    }
    const left = yield* options.endCommands(commands)
    if (left.length > 0) return yield* fail("stop", "Unknown", `A command could not be ended: ${left[0]}`)
  })

  const inTime = <A>(effect: Effect.Effect<A, ProviderError>, otherwise: string) =>
    Effect.timeoutOrElse(effect, {
      duration: deadlines.turn,
      orElse: () => Effect.fail(fail("stop", "Unknown", otherwise))
    })

  return {
    threadId: options.threadId,
    generation: options.generation,
    sessionID,
    directory,
    resume: sessionID,
    notice: null,
    events: outbox.events,
    active: conversation.active,
    isOver,
    exit,
    abandon: outbox.abandon,
    hear,
    hearChild,
    count,
    catchUp,
    past: conversation.past,
    rejoin,
    adopt: (turn) =>
      Effect.suspend(() => tell(conversation.adopt(turn.id, turn.turnId))).pipe(Effect.andThen(catchUp)),
    send,
    steer,
    interrupt,
    answer,
    probe,
    stop: life.stop
  }
}

const grantsMax = 200
/** Events that are kept until the record has been read. */
const missedMax = 50_000
