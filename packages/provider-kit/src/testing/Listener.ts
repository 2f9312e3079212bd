/**
 * Hears one provider session to its end, and judges what it hears.
 *
 * Promise: `breaches` names every breach of the rules that hold for any stream of any adapter, whatever
 * the test is about; a test that waits never waits without end.
 */
import type { ProviderTurnId, TurnId } from "@turnkeeper/domain/ids"
import { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Data, Deferred, Effect, Schema, type Scope, Stream } from "effect"
import { isDeepStrictEqual } from "node:util"
import type { ProviderSession } from "../Provider.ts"

export type EventOf<Type extends ProviderEvent["type"]> = Extract<ProviderEvent, { readonly type: Type }>

/** What was waited for did not come in time. */
export class NotHeard extends Data.TaggedError("NotHeard")<{
  readonly what: string
  readonly heard: ReadonlyArray<ProviderEvent>
}> {
  override get message() {
    const last = this.heard.slice(-20).map((event) => `  ${JSON.stringify(event)}`)
    return `did not hear ${this.what}; the last of ${this.heard.length} events:\n${last.join("\n")}`
  }
}

export interface Listener {
  readonly heard: () => ReadonlyArray<ProviderEvent>
  readonly of: <Type extends ProviderEvent["type"]>(type: Type) => ReadonlyArray<EventOf<Type>>
  /** Resolves as soon as it is so; fails with what was heard instead when the patience is at its end. */
  readonly until: (what: string, holds: () => boolean) => Effect.Effect<void, NotHeard>
  /** Waits for the first event of this type that matches, heard already or still to come. */
  readonly first: <Type extends ProviderEvent["type"]>(
    type: Type,
    matches?: (event: EventOf<Type>) => boolean
  ) => Effect.Effect<EventOf<Type>, NotHeard>
  /**
   * Resolves when the stream has ended: on a virtual clock within five seconds of it. On the real one a busy
   * machine takes its time, and the deadline of all waits is that of this one.
   */
  readonly endedPromptly: Effect.Effect<void, NotHeard>
  readonly hasEnded: () => boolean
  readonly breaches: () => ReadonlyArray<string>
}

/** How a test waits: on a virtual clock by letting time pass step by step, else by a real deadline. */
export type Patience =
  | {
      readonly clock: "virtual"
      readonly pass: Effect.Effect<void>
      readonly stepMs: number
      readonly deadlineMs: number
    }
  | { readonly clock: "real"; readonly deadlineMs: number }

const promptMs = 5_000

export const listen = (
  session: Pick<ProviderSession, "events">,
  patience: Patience
): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.gen(function* () {
    const heard: Array<ProviderEvent> = []
    const waiting = new Set<() => void>()
    let over = false
    const look = () => {
      for (const wake of waiting) wake()
    }
    yield* session.events.pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          heard.push(event)
          look()
        })
      ),
      Effect.andThen(
        Effect.sync(() => {
          over = true
          look()
        })
      ),
      Effect.forkScoped
    )

    const real = (holds: () => boolean, deadlineMs: number) =>
      Effect.suspend(() => {
        if (holds()) return Effect.succeed(true)
        const done = Deferred.makeUnsafe<boolean>()
        const wake = () => {
          if (holds()) Deferred.doneUnsafe(done, Effect.succeed(true))
        }
        waiting.add(wake)
        return Deferred.await(done).pipe(
          Effect.timeoutOrElse({ duration: deadlineMs, orElse: () => Effect.succeed(false) }),
          Effect.ensuring(Effect.sync(() => waiting.delete(wake)))
        )
      })

    const within = (deadlineMs: number, what: string, holds: () => boolean) =>
      Effect.gen(function* () {
        const came =
          patience.clock === "virtual"
            ? yield* passUntil(holds, patience.pass, Math.ceil(deadlineMs / patience.stepMs))
            : yield* real(holds, deadlineMs)
        if (!came) return yield* new NotHeard({ what, heard })
      })
    const until: Listener["until"] = (what, holds) => within(patience.deadlineMs, what, holds)

    const of: Listener["of"] = <Type extends ProviderEvent["type"]>(type: Type) =>
      heard.filter((event): event is EventOf<Type> => event.type === type)

    return {
      heard: () => heard,
      of,
      until,
      first: <Type extends ProviderEvent["type"]>(
        type: Type,
        matches: (event: EventOf<Type>) => boolean = () => true
      ) =>
        Effect.map(
          until(type, () => of(type).some(matches)),
          () => of(type).find(matches)!
        ),
      endedPromptly: within(
        patience.clock === "virtual" ? promptMs : patience.deadlineMs,
        "the end of the stream",
        () => over
      ),
      hasEnded: () => over,
      breaches: () => breachesOf(heard, over)
    }
  })

/** Lets time pass, at most so many steps, until it is so; says whether it is. */
export const passUntil = (
  holds: () => boolean,
  pass: Effect.Effect<void>,
  steps: number
): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    for (let step = 0; step < steps; step += 1) {
      if (holds()) return true
      yield* pass
      yield* Effect.yieldNow
    }
    return holds()
  })

/** The one terminal event of a turn, where it was heard. */
export const endOf = (listener: Listener, providerTurnId: ProviderTurnId) =>
  listener.heard().find((event) => isEnd(event) && event.providerTurnId === providerTurnId)

/** The provider's turn that says it carries our message. */
export const startOf = (listener: Listener, turnId: TurnId) =>
  listener.of("turn.started").find((event) => event.turnId === turnId)

const isEnd = (event: ProviderEvent) => event.type === "turn.completed" || event.type === "turn.aborted"

/** What the log stores has to be what was said: of the right shape, and the same after JSON. */
const fits = (event: ProviderEvent): boolean =>
  isProviderEvent(event) && isDeepStrictEqual(JSON.parse(JSON.stringify(event)), event)

const isProviderEvent = Schema.is(ProviderEvent)

/**
 * The rules of every stream, finished or not. A turn that the session's exit cuts off has its end in
 * the exit; any other has exactly one terminal event, and nothing of it comes after that.
 */
export const breachesOf = (heard: ReadonlyArray<ProviderEvent>, over: boolean): ReadonlyArray<string> => {
  const breaches: Array<string> = []
  const ended = new Set<ProviderTurnId>()
  const open = new Map<string, number>()
  const exits = heard.filter((event) => event.type === "session.exited").length
  if (exits > 1) breaches.push(`${exits} times session.exited`)
  if (over && exits === 0) breaches.push("the stream ended without session.exited")
  if (exits > 0 && heard.at(-1)?.type !== "session.exited") breaches.push("something follows session.exited")
  for (const event of heard) {
    if (!fits(event)) breaches.push(`${event.type} that does not fit its schema`)
    if (!("providerTurnId" in event) || event.providerTurnId === null) continue
    const { providerTurnId } = event
    if (ended.has(providerTurnId)) breaches.push(`${event.type} of turn ${providerTurnId} after its end`)
    if (isEnd(event)) ended.add(providerTurnId)
    if (!("providerItemId" in event)) continue
    // An item id may come again once its first item has completed; an event of an item that is not open is a stray.
    const item = `${providerTurnId} ${event.providerItemId}`
    if (event.type === "item.started") {
      if (open.has(item)) breaches.push(`item ${item} starts while it is open`)
      open.set(item, 0)
    } else if (event.type === "item.completed") {
      open.delete(item)
    } else if (event.type === "text.delta") {
      const length = open.get(item)
      if (length === undefined) breaches.push(`text of item ${item}, which is not open`)
      else if (event.offset !== undefined && event.offset !== length) {
        breaches.push(`text of item ${item} at ${event.offset}, expected ${length}`)
      } else open.set(item, length + event.text.length)
    }
  }
  return breaches
}
