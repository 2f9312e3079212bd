/** What the parts of one session have in common: its process, its conversation, and its one end. */
import type { Life } from "@turnkeeper/provider-kit/Life"
import type { Outbox } from "@turnkeeper/provider-kit/Outbox"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import type { Duration, Scope } from "effect"
import type { Calls } from "./Calls.ts"
import type { Child } from "./Child.ts"
import type { Conversation } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"

export interface Deadlines {
  /** A call that Claude answers at once when it is well. */
  readonly call: Duration.Input
  /** A prompt, until Claude works on it. */
  readonly send: Duration.Input
  /** A turn's end, after it was asked for. */
  readonly turn: Duration.Input
  /** Claude's last words, after its process has ended. */
  readonly lastWords: Duration.Input
  /** How long a process that has nothing to do is kept: it has a conversation of its own, and 200 MB. */
  readonly idle: Duration.Input
}

export interface SessionContext {
  readonly child: Child
  readonly calls: Calls
  readonly conversation: Conversation
  readonly outbox: Outbox
  readonly life: Life
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
}
