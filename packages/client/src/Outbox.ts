/**
 * Commands on their way: kept from the moment they are given until the server has answered.
 *
 *     waiting ──▶ sending ──▶ (accepted: gone)
 *        ▲  │        │ ├──▶ refused: kept where it has a text, until it is resent or discarded
 *        │  │        │ └──▶ waiting again: the connection was lost, or the server has too much to do
 *        └──┴──▶ held: made for another database than the one that answers
 *
 * Promises: a command is in the storage before it is sent; it is sent again only under its own id, so that
 * the server does it once (L11); commands of one thread are sent in the order in which they were given; a
 * command made for one database is never sent to another.
 */
import { issuesOf } from "@turnkeeper/contracts/Checked"
import { Command } from "@turnkeeper/contracts/Command"
import type { Accepted } from "@turnkeeper/contracts/Command"
import { CommandIdReused, InvalidRequest, PayloadTooLarge } from "@turnkeeper/contracts/Errors"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import { CommandId } from "@turnkeeper/domain/ids"
import { Clock, Deferred, Effect, FiberSet, Random, Result, Schema } from "effect"
import { delayOf, repeating } from "./backoff.ts"
import { inSession } from "./call.ts"
import type { OutboxEntry, OutboxModel } from "./Client.ts"
import { Closed, ConnectionLost, Discarded, NotConnected, OtherDatabase, OutboxFull } from "./Errors.ts"
import type { DispatchFailed, ServerBroken } from "./Errors.ts"
import { makeKept } from "./Kept.ts"
import type { Encoded, Kept } from "./Kept.ts"
import type { Link } from "./Link.ts"
import type { Session } from "./open.ts"
import { isHeld, sendable } from "./order.ts"
import type { OutboxStorage } from "./OutboxStorage.ts"
import { makeStore } from "./Readable.ts"
import type { Readable } from "./Readable.ts"

export const outboxLimits = {
  /** Commands that were not accepted yet. */
  entries: 500,
  /** On their way at the same time; far below what a connection may have. */
  sending: 16,
  /** A command that the server could not take just now is sent so often. */
  tries: 8,
  /** Accepted messages that are remembered until their thread shows them. */
  accepted: 200
} as const

/** A message that was accepted, and the version of its thread that shows it. */
export interface AcceptedMessage {
  readonly entry: OutboxEntry
  readonly version: number
}

export interface Outbox {
  readonly model: Readable<OutboxModel>
  /** The newest accepted messages. */
  readonly accepted: Readable<ReadonlyArray<AcceptedMessage>>
  /** Resolves once the server has committed it. Kept and sent on even when nobody waits for it any more. */
  readonly dispatch: (command: Encoded) => Effect.Effect<Accepted, DispatchFailed>
  /** The entry, taken out; null when there is none, or it is being sent just now. */
  readonly take: (commandId: string) => Effect.Effect<OutboxEntry | null>
}

export const makeOutbox = Effect.fn("client.Outbox")(function* (link: Link, storage: OutboxStorage) {
  const kept = makeKept(storage)
  const sender = yield* makeSender(link, kept)
  const loading = yield* Deferred.make<void>()

  const load = Effect.gen(function* () {
    for (const entry of yield* kept.load) sender.release(entry)
    yield* Deferred.succeed(loading, undefined)
  })
  yield* Effect.forkScoped(load)

  /** What is given before the storage has been read waits for it, and so keeps its place behind. */
  const keep = Effect.fnUntraced(function* (entry: OutboxEntry) {
    yield* Deferred.await(loading)
    if (!isMomentary(entry.command)) yield* kept.save(entry)
    // Taken out while it was being saved: nothing of it may come back with the next reload.
    if (kept.find(entry.commandId) === undefined)
      yield* kept.end(entry.commandId, Result.fail(new Discarded()))
    else sender.release(entry)
  })

  const dispatch = Effect.fnUntraced(function* (command: Encoded) {
    const known = kept.find(command.commandId)
    if (known !== undefined) return yield* joined(kept, known, command)
    const refusal = unfit(command, kept.model.get())
    if (refusal !== null) return yield* Effect.fail(refusal)
    if (link.connection.get().status === "closed") return yield* new Closed()
    if (isMomentary(command)) yield* link.now
    const { commandId } = command
    const createdAt = yield* Clock.currentTimeMillis
    const epoch = sender.epoch()
    const entry: OutboxEntry = { commandId, command, createdAt, epoch, state: "waiting", failure: null }
    kept.add(entry)
    sender.fork(keep(entry))
    return yield* kept.answerTo(commandId)
  })

  const take = Effect.fnUntraced(function* (commandId: string) {
    const entry = kept.find(commandId)
    if (entry === undefined || entry.state === "sending") return null
    yield* kept.end(commandId, Result.fail(new Discarded()))
    sender.pump()
    return entry
  })

  const outbox: Outbox = { model: kept.model, accepted: sender.accepted, dispatch, take }
  return outbox
})

/** The same command once more, as the server takes it: the answer is the first one's. */
const joined = (
  kept: Kept,
  { command: first, commandId, failure, state }: OutboxEntry,
  command: Encoded
): Effect.Effect<Accepted, DispatchFailed> => {
  if (JSON.stringify(first) !== JSON.stringify(command)) {
    return Effect.fail(new CommandIdReused({ commandId: CommandId.make(commandId) }))
  }
  return state === "refused" && failure !== null ? Effect.fail(failure) : kept.answerTo(commandId)
}

// Sending

const makeSender = Effect.fnUntraced(function* (link: Link, kept: Kept) {
  const accepted = makeStore<ReadonlyArray<AcceptedMessage>>([])
  /** Those that are in the storage, and so may be sent. */
  const released = new Set<string>()
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  let epoch: string | null = null

  const onAccepted = (entry: OutboxEntry, answer: Accepted) => {
    if (isMessage(entry.command)) {
      const all = [...accepted.get(), { entry, version: answer.version }]
      accepted.set(all.slice(-outboxLimits.accepted))
    }
    return kept.end(entry.commandId, Result.succeed(answer))
  }

  const onRefused = (entry: OutboxEntry, failure: DispatchFailed) => {
    // Nothing that the user wrote goes away by itself.
    if (!isMessage(entry.command)) return kept.end(entry.commandId, Result.fail(failure))
    const refused = { state: "refused", failure } as const
    kept.change(entry.commandId, refused)
    kept.finish(entry.commandId, Result.fail(failure))
    return kept.save({ ...entry, ...refused })
  }

  const send = Effect.fnUntraced(function* (session: Session, entry: OutboxEntry) {
    const command = decode(entry.command)
    if (Result.isFailure(command)) return yield* onRefused(entry, invalid(command.failure))
    const answer = yield* answered(session, command.success)
    if (answer.type === "accepted") return yield* onAccepted(entry, answer.accepted)
    if (answer.type !== "lost") return yield* onRefused(entry, answer.failure)
    if (isMomentary(entry.command)) return yield* onRefused(entry, new ConnectionLost())
    kept.change(entry.commandId, { state: "waiting" })
  })

  /** From the first try on a command belongs to the database that it was sent to. */
  const bound = Effect.fnUntraced(function* (session: Session, entry: OutboxEntry) {
    if (entry.epoch !== null) return entry
    const belonging = { ...entry, epoch: session.server.epoch }
    kept.change(entry.commandId, { epoch: belonging.epoch })
    yield* kept.save(belonging)
    return belonging
  })

  /** Sends all that may be sent now. Called after every change that may let one go. */
  const pump = () => {
    const session = link.session.get()
    if (session === null) return
    holdOthers(kept, session.server.epoch)
    const { entries } = kept.model.get()
    for (const commandId of released) if (kept.find(commandId) === undefined) released.delete(commandId)
    const free = outboxLimits.sending - entries.filter((one) => one.state === "sending").length
    for (const entry of sendable(entries, session.server.epoch, released).slice(0, Math.max(0, free))) {
      kept.change(entry.commandId, { state: "sending", failure: null })
      const sending = Effect.flatMap(bound(session, entry), (one) => send(session, one))
      fork(Effect.ensuring(sending, Effect.sync(pump)))
    }
  }

  const onSession = () => {
    const session = link.session.get()
    if (session !== null) {
      epoch = session.server.epoch
      return pump()
    }
    // What is about this moment only is not sent in another one.
    for (const entry of kept.model.get().entries) {
      if (entry.state === "waiting" && isMomentary(entry.command)) fork(onRefused(entry, new NotConnected()))
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => link.session.subscribe(onSession)),
    (unsubscribe) =>
      Effect.sync(() => {
        unsubscribe()
        kept.finishAll(Result.fail(new Closed()))
      })
  )

  return {
    accepted,
    fork,
    pump,
    /** The database that answered last; null: none yet. */
    epoch: () => epoch,
    /** It is in the storage: from now on it may be sent. */
    release: ({ commandId }: OutboxEntry) => {
      released.add(commandId)
      pump()
    }
  }
})

/** What was made for another database is held, and waits again once its own one is back. */
const holdOthers = (kept: Kept, epoch: string) => {
  for (const entry of kept.model.get().entries) {
    const held = isHeld(entry, epoch)
    if (held && entry.state === "waiting") {
      kept.change(entry.commandId, { state: "held", failure: new OtherDatabase() })
    }
    if (!held && entry.state === "held") kept.change(entry.commandId, { state: "waiting", failure: null })
  }
}

// One command

type Answer =
  | { readonly type: "accepted"; readonly accepted: Accepted }
  | { readonly type: "lost" }
  /** Not now: the same command may be sent again. */
  | { readonly type: "later"; readonly failure: DispatchFailed }
  | { readonly type: "refused"; readonly failure: DispatchFailed }

const dispatchOver = (session: Session, command: Command): Effect.Effect<Answer> =>
  inSession(session, session.calls("orchestration.dispatch", { command })).pipe(
    Effect.match({
      onSuccess: (accepted): Answer => ({ type: "accepted", accepted }),
      onFailure: answerOf
    })
  )

/** Asks again while the server has too much to do, so often and no more. */
const answered = Effect.fnUntraced(function* (session: Session, command: Command) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = yield* dispatchOver(session, command)
    if (answer.type !== "later" || attempt + 1 >= outboxLimits.tries) return answer
    const delay = Effect.sleep(delayOf(repeating, attempt, yield* Random.next))
    yield* Effect.raceFirst(delay, session.lost)
  }
})

const answerOf = (failure: DispatchFailure | ConnectionLost | ServerBroken): Answer => {
  switch (failure._tag) {
    case "ConnectionLost":
      return { type: "lost" }
    // What broke may have been done; under the same id it is not done twice.
    case "ServerBroken":
    case "Overloaded":
      return { type: "later", failure }
    case "StorageUnavailable":
      return { type: failure.retryable ? "later" : "refused", failure }
    default:
      return { type: "refused", failure }
  }
}

const decode = Schema.decodeUnknownResult(Command, { errors: "all" })

const invalid = (error: Schema.SchemaError) => new InvalidRequest({ issues: issuesOf(error.issue) })

/** What the server would refuse for its shape or size is refused here: too large a frame ends a connection. */
const unfit = (command: Encoded, { entries }: OutboxModel): DispatchFailed | null => {
  if (entries.length >= outboxLimits.entries) return new OutboxFull({ limit: outboxLimits.entries })
  const decoded = decode(command)
  if (Result.isFailure(decoded)) return invalid(decoded.failure)
  return bytesOf(command) > limits.frameBytes - frameReserve
    ? new PayloadTooLarge({ limit: limits.frameBytes })
    : null
}

const encoder = new TextEncoder()
const bytesOf = (command: Encoded) => encoder.encode(JSON.stringify(command)).length
/** What a frame holds beside the command. */
const frameReserve = 4096

/** Has a text of the user in it. */
const isMessage = (command: Encoded) => command.type === "thread.turn.start"

/** About what is going on just now: done later, it would hit something else. */
const isMomentary = (command: Encoded) =>
  command.type === "thread.session.stop" ||
  command.type === "thread.turn.check" ||
  (command.type === "thread.turn.interrupt" && command.turnId === undefined)
