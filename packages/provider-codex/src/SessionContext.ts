/** What the parts of one session have in common: its thread, whom they ask about it, and its one end. */
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import type { Life } from "@turnkeeper/provider-kit/Life"
import type { Duration } from "effect"
import type { Connection } from "./Connection.ts"
import type { Conversation } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import type { Asking } from "./history.ts"

export interface Deadlines {
  /** A call that Codex answers at once when it is well. */
  readonly call: Duration.Input
  /** A prompt: Codex prepares the turn before it answers. */
  readonly send: Duration.Input
  /** A turn's start or its end, after it was asked for. */
  readonly turn: Duration.Input
  /** How long a listener that does not read may hold up those of the other sessions. */
  readonly standstill: Duration.Input
}

export interface SessionContext {
  /** Codex's name for the thread. */
  readonly codexThread: string
  readonly connection: Connection
  readonly asking: Asking
  readonly conversation: Conversation
  readonly life: Life
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
}
