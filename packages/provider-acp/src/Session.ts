/**
 * One session: one agent process that works on one conversation.
 *
 * What is asked of the agent goes through the connection; what it says goes through the conversation into the
 * outbox. It ends once, with `session.exited`, and refuses everything afterwards.
 */
import type { ProviderTurnId, Generation, ThreadId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { Notification, PeerRequest } from "@turnkeeper/provider-kit/JsonRpc"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { Model, Prompt, ProviderSession, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { Fail, Operation, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Deferred, Effect, Option, Schedule } from "effect"
import type { Duration, Scope } from "effect"
import type { Connection } from "./Connection.ts"
import { noAnswer } from "./Connection.ts"
import * as Controls from "./controls.ts"
import * as Conversation from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import { blocksOf } from "./input.ts"
import { codes, record, textOf } from "./protocol.ts"
import { understand } from "./requests.ts"
import type { Held } from "./requests.ts"

export interface Deadlines {
  /** A call that an agent answers at once when it is well. */
  readonly call: Duration.Input
  /** The writing of a prompt. */
  readonly send: Duration.Input
  /** A written prompt counts as taken when the agent is still there after this, if it says nothing before. */
  readonly taken: Duration.Input
  /** A turn's end, after it was asked for, before its process is ended. */
  readonly turn: Duration.Input
}

export interface SessionOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  /** The agent's name for the conversation. */
  readonly sessionId: string
  readonly resume: string
  /** The conversation was just made. */
  readonly fresh: boolean
  readonly controls: Controls.Controls
  readonly modeNames: Controls.ModeNames
  readonly takesImages: boolean
  readonly closes: boolean
  readonly connection: Connection
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  /** Said once, when the first prompt was taken. */
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
}

export interface Session extends Omit<ProviderSession, "notice"> {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionId: string
  readonly active: () => Turn | null
  readonly models: () => ReadonlyArray<Model>
  readonly isOver: () => boolean
  readonly hear: (notification: Notification) => Effect.Effect<void>
  readonly ask: (request: PeerRequest) => Effect.Effect<void>
  /** Has the agent work as wanted. Gives what cannot be had, in sentences, each once. */
  readonly apply: (
    operation: "open" | "send",
    wanted: Controls.Wanted
  ) => Effect.Effect<ReadonlyArray<string>, ProviderError>
  /** Nobody reads the events any more: they are dropped, so that the process is not held up. */
  readonly abandon: () => void
  /** The last event. Does nothing the second time. */
  readonly exit: (clean: boolean, message: string | null) => void
}

/** A cancel that comes before the agent has begun is lost in some: it is said again, so often. */
const cancelAgain = { schedule: Schedule.spaced("1 second"), times: 8 }

export const make = (options: SessionOptions): Session => {
  const { sessionId, connection, deadlines, fail, wrap } = options
  const outbox = Outbox.make()
  const conversation = Conversation.make(options)
  const firstMode = options.controls.mode?.current ?? null
  const said = new Set<string>()
  let controls = options.controls
  let sending = false
  /** Everything is allowed, and the agent has no mode that says so. */
  let allowsAll = false

  const inTime = (effect: Effect.Effect<unknown>) =>
    Effect.timeoutOrElse(effect, {
      duration: "15 seconds",
      orElse: () => Effect.fail(fail("stop", "Unknown", "The agent's process did not end."))
    })

  const life = Life.make({
    name: "agent's",
    fail,
    outbox,
    ways: { stop: Effect.suspend(() => inTime(leave)), kill: inTime(connection.kill) },
    onExit: conversation.end
  })
  const { exit, isOver, whileOpen } = life

  // What the agent says

  const hear = ({ method, params }: Notification) =>
    Effect.suspend(() => {
      if (isOver()) return Effect.void
      const { sessionId: named, update, requestId } = record(params)
      switch (method) {
        case "session/update":
          // An agent may have conversations of its own beside ours: they say nothing here.
          if (named !== sessionId) return Effect.void
          noteControls(record(update))
          return outbox.put(conversation.hear(update))
        case "$/cancel_request":
          return takeBack(requestId)
        case "elicitation/complete":
          return Effect.void
        default:
          return outbox.put([{ type: "unknown", method: method.slice(0, 100) }])
      }
    })

  const noteControls = (update: Record<string, unknown>) => {
    const mode = textOf(update["currentModeId"])
    if (update["sessionUpdate"] === "current_mode_update" && mode !== null)
      controls = Controls.afterMode(controls, mode)
    if (update["sessionUpdate"] === "config_option_update")
      controls = Controls.afterOptions(controls, update["configOptions"])
  }

  const takeBack = (id: unknown) =>
    Effect.suspend(() => {
      if (typeof id !== "number" && typeof id !== "string") return Effect.void
      const events = conversation.forget(id)
      if (events.length === 0) return Effect.void
      return Effect.andThen(
        outbox.put(events),
        inBackground(connection.refuse(id, codes.requestCancelled, "The request was cancelled."))
      )
    })

  const ask = (request: PeerRequest) =>
    Effect.suspend(() => {
      const held = isOver() ? null : understand(request, conversation.tool)
      if (held === null) return refuse(request)
      const allowed = allowsAll ? allowing(held) : null
      // In a turn that runs, nobody is asked who has allowed everything.
      if (allowed !== null && conversation.active()?.interruptAsked === false)
        return inBackground(connection.reply(held.id, allowed))
      const events = conversation.ask(held)
      return events === null ? inBackground(connection.reply(held.id, held.cancelled)) : outbox.put(events)
    })

  const refuse = ({ id, method }: PeerRequest) =>
    Effect.andThen(
      isOver() ? Effect.void : outbox.put([{ type: "unknown", method: method.slice(0, 100) }]),
      inBackground(connection.refuse(id, codes.methodNotFound, "This client cannot answer that."))
    )

  /** Not waited for: an agent that does not read must not stop us from reading. */
  const inBackground = (write: Effect.Effect<void, unknown>) =>
    write.pipe(Effect.timeout(deadlines.call), Effect.ignore, Effect.forkIn(options.scope), Effect.asVoid)

  // How it works: mode, plan, model

  const apply: Session["apply"] = (operation, wanted) =>
    Effect.gen(function* () {
      if (wanted.model !== null && !Controls.offers(controls, wanted.model)) {
        const offered = Controls.modelsOf(controls).map(({ id }) => id)
        return yield* fail(
          operation,
          "Rejected",
          `This agent does not offer the model "${wanted.model}". It offers: ${offered.slice(0, 20).join(", ")}.`
        )
      }
      const plan = Controls.planOf(controls, wanted, options.modeNames, firstMode)
      let hasMode = plan.hasMode
      for (const step of plan.steps) {
        yield* choose(step).pipe(
          Effect.catchTag("Refused", (refused) => {
            // More freedom was not granted: what the agent asks for is allowed by us. Less must not be missed.
            if (step.what !== "mode" || wanted.runtimeMode !== "full_access") return Effect.fail(refused)
            hasMode = false
            return Effect.void
          }),
          // What could not be said before the prompt: the prompt itself was not sent.
          Effect.mapError((error) =>
            error._tag === "Refused" || operation === "open"
              ? wrap(operation)(error)
              : fail(operation, "Unavailable", error.message)
          )
        )
      }
      allowsAll = wanted.runtimeMode === "full_access" && wanted.interactionMode !== "plan" && !hasMode
      const news = plan.missing.filter((sentence) => !said.has(sentence))
      for (const sentence of news) said.add(sentence)
      return news
    })

  const choose = ({ what, selector: { via }, value }: Controls.Step) =>
    Effect.gen(function* () {
      const { deadline } = call
      if (via.type === "option") {
        const { configOptions } = yield* connection
          .call("session/set_config_option", { sessionId, configId: via.id, value }, { deadline })
          .pipe(Effect.map(record))
        controls = Controls.afterOptions(controls, configOptions)
      } else if (via.type === "mode") {
        yield* connection.call("session/set_mode", { sessionId, modeId: value }, { deadline })
      } else {
        yield* connection.call("session/set_model", { sessionId, modelId: value }, { deadline })
      }
      const selector = controls[what]
      if (selector !== null) controls = { ...controls, [what]: { ...selector, current: value } }
    })

  const call = { deadline: deadlines.call }

  // What is asked of it

  const send = (prompt: Prompt) =>
    life.whileNotStopping("send", () => {
      // Some agents would answer both prompts at once, in the end of the second.
      if (sending || conversation.active() !== null)
        return Effect.fail(fail("send", "Rejected", "The agent is at work on another turn of this thread."))
      sending = true
      return Effect.gen(function* () {
        const blocks = yield* blocksOf(prompt, options.takesImages)
        if (blocks === null) {
          return yield* fail(
            "send",
            "Rejected",
            "An attachment is neither a file nor an address that the agent can read."
          )
        }
        const missing = yield* apply("send", prompt)
        yield* outbox.put(missing.map((message) => ({ type: "notice", message })))
        const turn = yield* write(prompt, blocks)
        yield* taken(turn)
        return { providerTurnId: turn.id }
      }).pipe(Effect.ensuring(Effect.sync(() => void (sending = false))))
    })

  const write = (prompt: Prompt, blocks: NonNullable<Effect.Success<ReturnType<typeof blocksOf>>>) =>
    Effect.suspend(() => {
      let turn: Turn | null = null
      return connection
        .begin(
          "session/prompt",
          { sessionId, prompt: blocks },
          {
            deadline: deadlines.send,
            onId: (id) => {
              turn = conversation.begin(id, prompt.turnId)
            },
            onAnswer: (answer) => Effect.suspend(() => outbox.put(conversation.answered(answer)))
          }
        )
        .pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              if (error._tag === "TransportBroke" && error.delivered === "no") conversation.withdraw()
            })
          ),
          Effect.mapError(wrap("send")),
          Effect.map(() => turn!)
        )
    })

  /**
   * A prompt has no answer but its turn's end. The agent's first words prove that it was read; an agent that
   * is still there a moment later has it in its input, and counts.
   */
  const taken = (turn: Turn) =>
    Deferred.await(turn.taken).pipe(
      Effect.timeoutOption(deadlines.taken),
      Effect.flatMap((proof) =>
        Option.isSome(proof) ? Effect.void : Effect.suspend(() => outbox.put(conversation.take(turn)))
      ),
      Effect.tapError((error) =>
        Effect.sync(() => {
          if (error._tag === "Refused" && error.code === codes.resourceNotFound)
            exit(false, "The agent no longer knows this conversation.")
        })
      ),
      Effect.mapError(wrap("send"))
    )

  const steer = () =>
    whileOpen("steer", () =>
      Effect.fail(fail("steer", "Unsupported", "The protocol has no way to add to a running turn."))
    )

  const mismatch = (operation: Operation) => fail(operation, "TurnMismatch", "That turn does not run.")

  const interrupt = (named: ProviderTurnId | null) =>
    whileOpen("interrupt", () => {
      const turn = conversation.active()
      if (turn === null || (named !== null && turn.id !== named)) return Effect.fail(mismatch("interrupt"))
      return cancel(turn).pipe(Effect.mapError(wrap("interrupt")))
    })

  /** What waits for an answer is answered: an agent may forget it, and the protocol wants it. */
  const cancel = (turn: Turn) =>
    Effect.suspend(() => {
      const isAsked = turn.interruptAsked
      turn.interruptAsked = true
      const waiting = conversation.releaseAll()
      return sayCancel.pipe(
        Effect.andThen(
          Effect.forEach(waiting, (held) => connection.reply(held.id, held.cancelled), { discard: true })
        ),
        Effect.timeoutOrElse({
          duration: deadlines.call,
          orElse: () => Effect.fail(noAnswer("session/cancel"))
        }),
        Effect.andThen(
          isAsked ? Effect.void : Effect.asVoid(Effect.forkIn(cancelUntilOver(turn), options.scope))
        )
      )
    })

  const sayCancel = connection.notify("session/cancel", { sessionId })

  const cancelUntilOver = (turn: Turn) =>
    Effect.suspend(() => (conversation.active() === turn ? sayCancel : Effect.void)).pipe(
      Effect.delay("1 second"),
      Effect.repeat({ ...cancelAgain, until: () => conversation.active() !== turn }),
      Effect.ignore
    )

  const answer = (requestKey: string, given: Answer) =>
    Effect.suspend(() => {
      const turn = conversation.active()
      const isNo = given.decision === "decline" || given.decision === "cancel"
      const held = turn === null ? null : conversation.release(requestKey, isNo)
      if (held === null || turn === null)
        return Effect.fail(fail("answer", "RequestGone", "The agent no longer waits for this."))
      const ends = given.decision === "cancel"
      return connection.reply(held.id, ends ? held.cancelled : held.reply(given)).pipe(
        Effect.andThen(ends ? cancel(turn) : Effect.void),
        Effect.timeoutOrElse({
          duration: deadlines.call,
          orElse: () => Effect.fail(noAnswer("session/request_permission"))
        }),
        Effect.mapError(wrap("answer")),
        Effect.andThen(
          Effect.suspend(() =>
            conversation.active() === turn
              ? outbox.put([{ type: "request.resolved", requestKey }])
              : Effect.void
          )
        )
      )
    })

  /** The protocol has no status: a prompt that is not answered is the agent's word that it works on it. */
  const probe = (named: ProviderTurnId | null): Effect.Effect<TurnTruth> =>
    Effect.sync(() => {
      const active = conversation.active()
      const id = named ?? active?.id ?? null
      if (isOver() || connection.isClosed() || id === null) return { type: "gone" }
      if (active?.id === id) return { type: "running" }
      const ended = conversation.ended(id)
      return ended === null ? { type: "gone" } : { type: "ended", ...ended }
    })

  /** In order as far as the agent lets us; the end of its process is the proof. */
  const leave = Effect.gen(function* () {
    const turn = conversation.active()
    if (turn !== null) {
      yield* cancel(turn).pipe(
        Effect.andThen(Deferred.await(turn.over)),
        Effect.timeout(deadlines.turn),
        Effect.ignore
      )
    }
    if (options.closes) {
      yield* connection.call("session/close", { sessionId }, { deadline: "1 second" }).pipe(Effect.ignore)
    }
    yield* connection.close
  })

  return {
    threadId: options.threadId,
    generation: options.generation,
    sessionId,
    resume: options.resume,
    events: outbox.events,
    active: conversation.active,
    models: () => Controls.modelsOf(controls),
    isOver,
    exit,
    abandon: outbox.abandon,
    hear: (notification) => hear(notification),
    ask,
    apply,
    send,
    steer,
    interrupt,
    answer,
    probe,
    stop: life.stop
  }
}

/** The answer that allows it, where one is offered and it is about a tool: a question is the user's. */
const allowing = (held: Held): unknown => {
  if (held.kind === "question" || held.isAboutMode) return null
  const decision = held.ask.decisions.find((one) => one === "accept")
  return decision === undefined ? null : held.reply({ decision, answers: {} })
}
