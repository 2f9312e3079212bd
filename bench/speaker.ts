/**
 * A provider that says what it was given, as fast as it is listened to.
 *
 * Its sessions wait until their turn runs and the gate is open; then their events come in the portions in
 * which a gather window would have cut them.
 */
import { ProviderInstanceId, ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ItemKind, ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Provider, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect, Latch, Stream } from "effect"

export type Portions = ReadonlyArray<ReadonlyArray<ProviderEvent>>

export const instanceId = ProviderInstanceId.make("speaker")

/** The provider's name for the turn that the user asked for. */
export const userTurn = ProviderTurnId.make("turn-1")

export interface Speaker {
  readonly provider: Provider
  /** Lets all sessions speak. */
  readonly open: Effect.Effect<void>
  /** Resolves when all that every session had to say was read. The end of it is committed a moment later. */
  readonly said: Effect.Effect<void>
}

export const makeSpeaker = (portionsOf: ReadonlyMap<ThreadId, Portions>): Speaker =>
  speaking([...portionsOf.keys()], (id) =>
    Stream.suspend(() => Stream.fromArrays(...(portionsOf.get(id) ?? [])))
  )

/** The same with words that are only found when they are said. */
export const speaking = (
  threads: ReadonlyArray<ThreadId>,
  wordsOf: (threadId: ThreadId) => Stream.Stream<ProviderEvent>
): Speaker => {
  const gate = Latch.makeUnsafe()
  const done = new Map(threads.map((id) => [id, Deferred.makeUnsafe<void>()]))

  const session = (threadId: ThreadId): ProviderSession => ({
    resume: null,
    notice: null,
    events: Stream.fromEffectDrain(gate.await).pipe(
      Stream.concat(wordsOf(threadId)),
      // The next portion is asked for when there is room for it.
      Stream.concat(Stream.fromEffectDrain(Deferred.succeed(done.get(threadId)!, undefined))),
      Stream.concat(Stream.never)
    ),
    send: () => Effect.succeed({ providerTurnId: userTurn }),
    steer: () => Effect.void,
    interrupt: () => Effect.void,
    answer: () => Effect.void,
    probe: () => Effect.succeed({ type: "running" }),
    stop: () => Effect.void
  })

  const provider: Provider = {
    instanceId,
    kind: "speaker",
    displayName: "Speaker",
    capabilities: {
      steer: false,
      resume: false,
      history: false,
      outlivesServer: false,
      reasksRequests: false,
      modelSwitch: "in_session",
      approvals: false,
      questions: false,
      attachments: false,
      planMode: false,
      usage: true,
      rollback: false,
      fork: false
    },
    probe: Effect.succeed({ status: "ready", version: null, models: [], advice: null }),
    open: ({ threadId }) => Effect.sync(() => session(threadId)),
    listLive: Effect.succeed([]),
    evidence: () => Effect.succeed({ type: "none", message: "This provider keeps no record." })
  }
  return {
    provider,
    open: Effect.sync(() => void gate.openUnsafe()),
    said: Effect.forEach(done.values(), (one) => Deferred.await(one), { discard: true })
  }
}

/** An ordinary turn of an agent: it thinks, runs three commands, and answers. */
export const turnOf = (providerTurnId: ProviderTurnId): ReadonlyArray<ProviderEvent> => [
  { type: "turn.started", providerTurnId, turnId: null },
  ...item(providerTurnId, "thought", "reasoning", 40, " weigh"),
  ...[1, 2, 3].flatMap((n) =>
    item(
      providerTurnId,
      `command-${n}`,
      "command",
      6,
      `${"a line of output that a tool has written ".repeat(2)}\n`
    )
  ),
  ...item(providerTurnId, "answer", "assistant_message", 200, " words"),
  {
    type: "usage",
    providerTurnId,
    usage: { inputTokens: 9_000, cachedInputTokens: 8_000, outputTokens: 300, reasoningTokens: 60 }
  },
  { type: "turn.completed", providerTurnId, outcome: "completed", message: null }
]

/** An item with so many pieces of text. */
export const item = (
  providerTurnId: ProviderTurnId,
  providerItemId: string,
  kind: ItemKind,
  pieces: number,
  text: string
): ReadonlyArray<ProviderEvent> => {
  const itself = { providerTurnId, providerItemId }
  const shown =
    kind === "command"
      ? { title: "npm test", detail: { command: "npm test", cwd: "/home/user/project" } }
      : { title: "", detail: {} }
  return [
    { type: "item.started", ...itself, kind, ...shown },
    ...Array.from({ length: pieces }, (): ProviderEvent => ({ type: "text.delta", ...itself, text })),
    { type: "item.completed", ...itself, kind, ...shown, end: "completed", text: null }
  ]
}

/** The turn the user asked for, then turns that the provider begins by itself. */
export const turns = (count: number): ReadonlyArray<ProviderEvent> =>
  Array.from({ length: count }, (_, n) =>
    turnOf(n === 0 ? userTurn : ProviderTurnId.make(`turn-${n + 1}`))
  ).flat()

export const inPortions = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size))
