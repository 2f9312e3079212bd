/** What the parts of one session have in common: its conversation, whom they ask about it, and its one end. */
import type { Life } from "@turnkeeper/provider-kit/Life"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import type { Duration, Scope } from "effect"
import type { Api } from "./Api.ts"
import type { Conversation } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import type { Asking } from "./history.ts"

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

export interface SessionContext {
  readonly sessionID: string
  readonly directory: string
  readonly api: Api
  readonly asking: Asking
  readonly conversation: Conversation
  readonly life: Life
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
}
