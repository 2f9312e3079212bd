/**
 * What flows on a subscription.
 *
 * A thread:  snapshot (or the missed events) ─▶ synchronized ─▶ event | delta | heartbeat …
 *            `reset` comes before a snapshot that takes the place of everything the client has.
 * The shell: snapshot (or the rows that changed) ─▶ synchronized ─▶ thread | project | removed | heartbeat …
 *
 * Versions are dense per thread, so a client can see that it missed nothing. `offset` of a delta counts
 * UTF-16 units of the item's text: what lies below the text a client has is a double and is cut off.
 */
import { ItemId, Millis, ProjectId, ThreadId } from "@turnkeeper/domain/ids"
import { isStreamed, ThreadEvent } from "@turnkeeper/domain/thread/Event"
import type { EventOf } from "@turnkeeper/domain/thread/Event"
import { Schema } from "effect"
import { Entry, ProjectRow, RequestRow, SessionRow, ThreadRow, TurnRow } from "./Rows.ts"
import { tolerant, tolerantUnion } from "./Tolerant.ts"

/** A log event of a thread; streamed text comes as `delta`. */
export const LoggedEvent = ThreadEvent.pipe(
  Schema.refine((event): event is Exclude<ThreadEvent, EventOf<"text.appended">> => !isStreamed(event))
)
export type LoggedEvent = typeof LoggedEvent.Type

/**
 * Where a client was: in which database, and at which version of the thread. `texts`: how much text it has
 * of items that are open to it, in UTF-16 units; of others it gets the whole.
 */
export const Cursor = Schema.Struct({
  epoch: Schema.String,
  version: Schema.Int,
  texts: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int))
})
export type Cursor = typeof Cursor.Type

/** Where a client of the shell was: in which database, and up to which event of its log. */
export const ShellCursor = Schema.Struct({ epoch: Schema.String, sequence: Schema.Int })
export type ShellCursor = typeof ShellCursor.Type

/** Entries in the order of their position; `before` is where the page of older ones ends, null: there are none. */
export const Page = Schema.Struct({
  entries: Schema.Array(Entry),
  before: Schema.NullOr(Schema.Int),
  /** Those of the entries. An older server leaves them out. */
  turns: Schema.optionalKey(Schema.Array(TurnRow))
})
export type Page = typeof Page.Type

/** One thread at one version. */
export const ThreadSnapshot = Schema.Struct({
  type: Schema.tag("snapshot"),
  epoch: Schema.String,
  version: Schema.Int,
  thread: ThreadRow,
  session: SessionRow,
  /** The open ones, and those of the entries shown. */
  turns: Schema.Array(TurnRow),
  /** The open ones. */
  requests: Schema.Array(RequestRow),
  /** The newest, and every open one with its text so far. */
  entries: Schema.Array(Entry),
  before: Schema.NullOr(Schema.Int)
})
export type ThreadSnapshot = typeof ThreadSnapshot.Type

const Heartbeat = Schema.Struct({ type: Schema.tag("heartbeat"), at: Millis })

/** Why what a client has can not be continued. */
export const ResetReason = Schema.Literals(["unknown_epoch", "version_ahead"])
export type ResetReason = typeof ResetReason.Type

/** `length`: of the whole text; `text` is its part at `offset`. An unknown item has a text of length 0. */
export const ItemText = Schema.Struct({ text: Schema.String, offset: Schema.Int, length: Schema.Int })
export type ItemText = typeof ItemText.Type

export const ThreadItem = tolerantUnion(
  Schema.Union([
    ThreadSnapshot,
    Schema.Struct({ type: Schema.tag("reset"), reason: tolerant(ResetReason) }),
    /** Everything up to `version` was delivered: the client may show "live". */
    Schema.Struct({ type: Schema.tag("synchronized"), epoch: Schema.String, version: Schema.Int }),
    Schema.Struct({
      type: Schema.tag("event"),
      version: Schema.Int,
      sequence: Schema.Int,
      at: Millis,
      /** Name of the credential whose command this follows from; left out where there is none. */
      actor: Schema.optionalKey(Schema.String),
      event: tolerantUnion(LoggedEvent)
    }),
    Schema.Struct({ type: Schema.tag("delta"), itemId: ItemId, offset: Schema.Int, text: Schema.String }),
    Heartbeat
  ])
)
export type ThreadItem = typeof ThreadItem.Type

export const ShellItem = tolerantUnion(
  Schema.Union([
    Schema.Struct({
      type: Schema.tag("snapshot"),
      epoch: Schema.String,
      projects: Schema.Array(ProjectRow),
      threads: Schema.Array(ThreadRow)
    }),
    /** Every change up to `sequence` was told. Comes again behind the rows that changed. */
    Schema.Struct({
      type: Schema.tag("synchronized"),
      epoch: Schema.optionalKey(Schema.String),
      sequence: Schema.optionalKey(Schema.Int)
    }),
    Schema.Struct({ type: Schema.tag("thread"), row: ThreadRow }),
    Schema.Struct({ type: Schema.tag("project"), row: ProjectRow }),
    Schema.Struct({ type: Schema.tag("thread.removed"), threadId: ThreadId }),
    Schema.Struct({ type: Schema.tag("project.removed"), projectId: ProjectId }),
    Heartbeat
  ])
)
export type ShellItem = typeof ShellItem.Type
