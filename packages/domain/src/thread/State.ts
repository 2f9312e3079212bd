/**
 * The state of one thread: only what is open. Settled turns, closed items and old text live in the
 * tables; nothing here grows with the length of a conversation.
 */
import type {
  Generation,
  ItemId,
  MessageId,
  Millis,
  ProjectId,
  ProviderInstanceId,
  ProviderTurnId,
  RequestId,
  TurnId
} from "../ids.ts"
import type { Ask, ItemKind, RequestKind, TurnOutcome } from "../runtime/ProviderEvent.ts"
import type { Delivery, InteractionMode, RuntimeMode } from "./Command.ts"
import type { Answer, Resume, StopCause, StopStep } from "./Event.ts"
import type { OpenTurnState, SessionStatus } from "./lifecycle.ts"

export interface ThreadInfo {
  readonly projectId: ProjectId
  readonly title: string
  readonly provider: ProviderInstanceId
  readonly model: string | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
  readonly cwd: string | null
  readonly archived: boolean
  readonly deleted: boolean
}

export interface Recovering {
  readonly message: string
  readonly attempt: number | null
  readonly limit: number | null
}

/** A provider turn that was heard of and not adopted. */
export interface HeardTurn {
  readonly providerTurnId: ProviderTurnId
  readonly ended: { readonly outcome: TurnOutcome; readonly message: string | null } | null
}

export interface Session {
  readonly status: SessionStatus
  readonly generation: Generation
  /** The generation is open: its provider session exists, or is being started. Closed means for ever. */
  readonly open: boolean
  /** The provider instance of the generation. */
  readonly provider: ProviderInstanceId | null
  /** The newest cursor of each provider this thread was on, the newest provider last. */
  readonly resumes: ReadonlyArray<Resume>
  readonly activeTurnId: TurnId | null
  readonly lastError: string | null
  readonly recovering: Recovering | null
  readonly stopAsked: { readonly by: StopCause; readonly step: StopStep } | null
  /** This generation must end before anything else is sent: it may be working on a message in doubt. */
  readonly retire: boolean
  /** Number of the newest provider event of this generation that counted. */
  readonly seen: number
  readonly heard: ReadonlyArray<HeardTurn>
  /** How many turns of the provider's own were adopted so far: the ordinal in their ids. */
  readonly adopted: number
}

export interface OpenTurn {
  readonly id: TurnId
  readonly messageId: MessageId | null
  readonly origin: "user" | "provider"
  readonly state: OpenTurnState
  readonly providerTurnId: ProviderTurnId | null
  readonly delivery: Delivery
  readonly provider: ProviderInstanceId
  readonly model: string | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
  readonly interrupts: TurnId | null
  readonly queuedAt: Millis
  /** Sends and starts begun for this turn since the last restart of the server. */
  readonly tries: number
  /** Restarts of the server that cut such a try short: not the provider's fault, and bounded all the same. */
  readonly restarts: number
  /** Present from the send's marker on. `doubt`: the outcome is not known. */
  readonly send: {
    readonly generation: Generation
    readonly into: TurnId | null
    readonly intoProviderTurnId: ProviderTurnId | null
    readonly doubt: string | null
  } | null
  readonly interrupt: { readonly by: TurnId | null; readonly step: "asked" | "accepted" | "escalated" } | null
  readonly quiet: "asking" | "alive" | "unknown" | null
  /** The final error that was reported before the end. */
  readonly finalError: string | null
  /** Items begun so far: the ordinal in their ids. */
  readonly items: number
}

export interface OpenItem {
  readonly id: ItemId
  readonly turnId: TurnId
  readonly providerItemId: string
  readonly kind: ItemKind
  /** What was streamed so far. */
  readonly text: string
  /** The provider is retrying since this began: a new text item takes its place. */
  readonly cut: boolean
}

export interface OpenRequest {
  readonly id: RequestId
  readonly key: string
  readonly turnId: TurnId
  readonly generation: Generation
  readonly kind: RequestKind
  readonly ask: Ask
  /** Given, and not yet confirmed by the provider. */
  readonly answer: Answer | null
}

export interface ThreadState {
  readonly info: ThreadInfo | null
  readonly session: Session
  /** Oldest first, in the order in which they will run. */
  readonly turns: ReadonlyArray<OpenTurn>
  readonly items: ReadonlyArray<OpenItem>
  readonly requests: ReadonlyArray<OpenRequest>
}

export const initial: ThreadState = {
  info: null,
  session: {
    status: "stopped",
    generation: 0,
    open: false,
    provider: null,
    resumes: [],
    activeTurnId: null,
    lastError: null,
    recovering: null,
    stopAsked: null,
    retire: false,
    seen: 0,
    heard: [],
    adopted: 0
  },
  turns: [],
  items: [],
  requests: []
}
