/**
 * What travels from a decision to the commit and from the commit to those who follow.
 */
import type { CommandId, Generation, Millis, ProjectId, ThreadId } from "@turnkeeper/domain/ids"
import type { ProjectEvent } from "@turnkeeper/domain/project/Project"
import type { EventOf, ThreadEvent } from "@turnkeeper/domain/thread/Event"
import type { ThreadState } from "@turnkeeper/domain/thread/State"

/** Why a change was made: stored with its events, for `explain`. */
export type Cause =
  | { readonly type: "command"; readonly commandId: CommandId; readonly actor: string }
  | { readonly type: "provider"; readonly generation: Generation }
  /** An effect's marker or its outcome; `key` names the effect. */
  | { readonly type: "effect"; readonly key: string }
  | { readonly type: "deadline"; readonly key: string }
  | { readonly type: "reconciler"; readonly reason: string }

/** The actor of whoever calls without a credential of a name: the owner, by the token of the data directory. */
export const nameless = "user"

/** Name of the credential that gave the command; null: it was none, or of somebody without a name. */
export const actorOf = (cause: Cause): string | null =>
  cause.type === "command" && cause.actor !== nameless ? cause.actor : null

/** A log event: everything but the streamed text. */
export type LoggedEvent = Exclude<ThreadEvent, EventOf<"text.appended">>

/** One step of one thread, decided as a whole and committed as a whole. Events are in order. */
export interface ThreadChange {
  readonly stream: "thread"
  readonly threadId: ThreadId
  /** Version of the stream before this change; the log refuses the change if it is not so. */
  readonly expected: number
  /** Log events take versions expected+1, +2, …; `text.appended` takes none and goes to the text journal. */
  readonly events: ReadonlyArray<ThreadEvent>
  /** The state after the last event. */
  readonly after: ThreadState
  readonly at: Millis
  readonly cause: Cause
  readonly receipt: Receipt | null
}

export interface ProjectChange {
  readonly stream: "project"
  readonly projectId: ProjectId
  readonly expected: number
  readonly events: ReadonlyArray<ProjectEvent>
  readonly at: Millis
  readonly cause: Cause
  readonly receipt: Receipt | null
}

export type Change = ThreadChange | ProjectChange

/** The answer to a command, stored with what it caused (L11). */
export interface Receipt {
  readonly commandId: CommandId
  /** SHA-256 of the canonical command, hex. */
  readonly hash: string
}

export interface Committed {
  /** Global sequence of the newest event of the change; of the newest event in the log if it had none. */
  readonly sequence: number
  /** Version of the stream after the change. */
  readonly version: number
}

/** A stored log event of a thread. `sequence` is global, `version` dense per thread from 1. */
export interface ThreadRecord {
  readonly sequence: number
  readonly threadId: ThreadId
  readonly version: number
  readonly at: Millis
  readonly cause: Cause
  readonly event: LoggedEvent
}

export interface ProjectRecord {
  readonly sequence: number
  readonly projectId: ProjectId
  readonly version: number
  readonly at: Millis
  readonly cause: Cause
  readonly event: ProjectEvent
}

/** Streamed text, after its commit. */
export interface Delta {
  readonly threadId: ThreadId
  readonly event: EventOf<"text.appended">
}
