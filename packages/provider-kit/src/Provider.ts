/**
 * The adapter interface: one provider's native protocol, in our words, and nothing more.
 *
 * An adapter has no store, no policy and never repeats a prompt. What it promises is checked by the
 * conformance suite; the promises are written on the members below.
 */
import type {
  Generation,
  ProviderInstanceId,
  ProviderTurnId,
  ThreadId,
  TurnId,
  MessageId
} from "@turnkeeper/domain/ids"
import type { ItemDetail, ItemKind, ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Attachment, InteractionMode, RuntimeMode } from "@turnkeeper/domain/thread/Command"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type { Effect, Scope, Stream } from "effect"
import type { ProviderError } from "./ProviderError.ts"

/** What a provider can do: data, never a name to test for. */
export interface Capabilities {
  readonly steer: boolean
  readonly resume: boolean
  /** `evidence` can tell whether a message arrived. */
  readonly history: boolean
  readonly outlivesServer: boolean
  readonly reasksRequests: boolean
  readonly modelSwitch: "in_session" | "new_session"
  readonly approvals: boolean
  readonly questions: boolean
  readonly attachments: boolean
  readonly planMode: boolean
  readonly usage: boolean
  readonly rollback: boolean
  readonly fork: boolean
}

export interface Model {
  readonly id: string
  readonly name: string
  readonly isDefault: boolean
}

/** What `probe` found. A state people can act on: `advice` says what to do when it is not usable. */
export interface Health {
  readonly status: "ready" | "not_installed" | "not_signed_in" | "failed" | "unknown"
  readonly version: string | null
  readonly models: ReadonlyArray<Model>
  readonly advice: string | null
}

/** A prompt that shows something, and what it is called on a button. */
export interface Example {
  readonly title: string
  readonly prompt: string
}

export interface OpenOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  /** Absolute. */
  readonly cwd: string
  readonly model: string | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
  /** The cursor of an earlier generation on the same provider. */
  readonly resume: string | null
  /** Present where a generation that went on without us is taken up again: what was heard of its open turn. */
  readonly rejoin?: { readonly heard: HeardTurn | null }
}

/** What the tables have of a turn that was open when nobody could listen any more. */
export interface HeardTurn {
  /** Null: it is not known to carry a message of ours. */
  readonly turnId: TurnId | null
  /** Null: its prompt may or may not have been taken. */
  readonly providerTurnId: ProviderTurnId | null
  /** In their order. */
  readonly items: ReadonlyArray<HeardItem>
  /** The keys of its requests that are not closed. */
  readonly requests: ReadonlyArray<string>
}

export interface HeardItem {
  readonly providerItemId: string
  readonly kind: ItemKind
  readonly title: string
  readonly detail: ItemDetail
  /** What there is of an open one; null of one that has ended. */
  readonly text: string | null
}

/** What a session did unheard: each thing once, and nothing that had been heard. To be taken in before `events`. */
export interface Missed {
  readonly events: ReadonlyArray<ProviderEvent>
  /** The turn that runs behind them. */
  readonly running: { readonly providerTurnId: ProviderTurnId; readonly turnId: TurnId | null } | null
}

export interface Prompt {
  readonly turnId: TurnId
  readonly messageId: MessageId
  readonly text: string
  readonly attachments: ReadonlyArray<Attachment>
  readonly model: string | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
}

export interface ProviderSession {
  /** The resume cursor at the moment of opening; later ones come as `resume.changed`. */
  readonly resume: string | null
  /** A sentence for the user about the opening, e.g. that the earlier context is lost. */
  readonly notice: string | null
  /**
   * What happens, in order, until exactly one `session.exited`, after which the stream ends. Consumed
   * once. Back-pressured: when nobody reads, the provider is slowed, never buffered without bound.
   */
  readonly events: Stream.Stream<ProviderEvent>
  /** With `rejoin`, from an adapter that can say it; without it, the caller has to ask for the turn's truth. */
  readonly missed?: Missed
  /**
   * Hands over one prompt. Succeeds when the provider took it, with its name for the turn. A failure
   * with reason `Unknown` means it may have been delivered; with any other reason it was not.
   */
  readonly send: (prompt: Prompt) => Effect.Effect<{ readonly providerTurnId: ProviderTurnId }, ProviderError>
  /** Puts a prompt into the running turn. `TurnMismatch` when that turn does not run, `Unsupported` when it cannot. */
  readonly steer: (prompt: Prompt, into: ProviderTurnId | null) => Effect.Effect<void, ProviderError>
  /** Asks the running turn to end. Its end comes as an event. `TurnMismatch` when it does not run. */
  readonly interrupt: (providerTurnId: ProviderTurnId | null) => Effect.Effect<void, ProviderError>
  /** `RequestGone` when the provider no longer waits for it. */
  readonly answer: (requestKey: string, answer: Answer) => Effect.Effect<void, ProviderError>
  /** Does this turn still run? From the provider's own word, not from memory. */
  readonly probe: (providerTurnId: ProviderTurnId | null) => Effect.Effect<TurnTruth, ProviderError>
  /**
   * Ends the session and everything it started. Resolves when that is proven; `session.exited` follows
   * on `events`. `SessionGone` when the provider does not know it. `kill` does not ask the provider:
   * the process group is killed; where sessions share the process, all of them see their exit.
   */
  readonly stop: (step: "stop" | "kill") => Effect.Effect<void, ProviderError>
}

export type TurnTruth =
  | { readonly type: "running" }
  | {
      readonly type: "ended"
      readonly outcome: "completed" | "failed" | "interrupted"
      readonly message: string | null
    }
  /** The provider does not know the turn, or does not say how it ended. */
  | { readonly type: "gone" }

export interface LiveSession {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly activeProviderTurnId: ProviderTurnId | null
  /** Our turn, where the provider's turn carries our reference. */
  readonly activeTurnId: TurnId | null
}

export interface Provider {
  readonly instanceId: ProviderInstanceId
  /** `codex`, `opencode`, `claude`, `acp`, `scripted`. */
  readonly kind: string
  readonly displayName: string
  readonly capabilities: Capabilities
  /** What a newcomer may click to see what it does. */
  readonly examples?: ReadonlyArray<Example>
  /** Installed, version, signed in, models. Never fails, has a deadline of its own. */
  readonly probe: Effect.Effect<Health>
  /**
   * Opens a session. The scope owns it: closing the scope ends the session and everything it started,
   * the whole process group. `SessionGone` when `resume` names a conversation that no longer exists.
   */
  readonly open: (options: OpenOptions) => Effect.Effect<ProviderSession, ProviderError, Scope.Scope>
  /** The sessions that are alive right now, as the provider tells it; a failure means "could not list". */
  readonly listLive: Effect.Effect<ReadonlyArray<LiveSession>, ProviderError>
  /**
   * What the provider's own record says of one message: was it delivered, how did its turn end? Works
   * without an open session. `absent` only when the record was read and does not know the message.
   */
  readonly evidence: (query: EvidenceQuery) => Effect.Effect<Evidence, ProviderError>
}

export interface EvidenceQuery {
  readonly resume: string | null
  readonly turnId: TurnId
  readonly messageId: MessageId
}
