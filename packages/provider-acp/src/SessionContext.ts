/** What the parts of one session have in common: its agent, its conversation, and its one end. */
import type { Life } from "@turnkeeper/provider-kit/Life"
import type { Outbox } from "@turnkeeper/provider-kit/Outbox"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import type { Duration, Scope } from "effect"
import type { Connection } from "./Connection.ts"
import type { Conversation } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"

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

export interface SessionContext {
  /** The agent's name for the conversation. */
  readonly sessionId: string
  readonly connection: Connection
  readonly conversation: Conversation
  readonly outbox: Outbox
  readonly life: Life
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
}
