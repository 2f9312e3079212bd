/**
 * The append-only record of everything that happened, one stream per thread and per project.
 *
 * Promise: versions are dense per stream from 1, sequences strictly increase over all, and nothing that
 * was written is ever changed. A row that cannot be read is left out, counted and reported, and its place
 * stays visible as a gap in the versions.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { Millis, ThreadId } from "@turnkeeper/domain/ids"
import { ProjectId, ThreadId as ThreadIdSchema } from "@turnkeeper/domain/ids"
import { ProjectEvent } from "@turnkeeper/domain/project/Project"
import { ThreadEvent, isStreamed } from "@turnkeeper/domain/thread/Event"
import { Context, Effect, Layer, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Cause, LoggedEvent, ProjectRecord, ThreadRecord } from "../engine/Change.ts"
import type { Cells, Write } from "./rows.ts"
import { insertInto, parseJson, reportUnreadable, withinBounds } from "./rows.ts"
import { Reader } from "./Sqlite.ts"
import { unavailable } from "./storageFault.ts"

export type StoredRecord = ThreadRecord | ProjectRecord
export const isThreadRecord = (record: StoredRecord): record is ThreadRecord => "threadId" in record

export interface Bounds {
  readonly rows: number
  readonly bytes: number
}

export interface EventPage {
  /** Oldest first. */
  readonly records: ReadonlyArray<StoredRecord>
  /** Where to go on reading: pass it as `after`. */
  readonly next: number
  /** Nothing was left behind the bounds. */
  readonly complete: boolean
  /** How many rows of the page could not be read. */
  readonly unreadable: number
}

export class EventLog extends Context.Service<
  EventLog,
  {
    /** Everything with a sequence above `after`, oldest first, within the bounds; at least one row where there is one. */
    readonly read: (after: number, bounds: Bounds) => Effect.Effect<EventPage, StorageUnavailable>
    /** The same for one thread, counted in its versions. */
    readonly readThread: (
      threadId: ThreadId,
      after: number,
      bounds: Bounds
    ) => Effect.Effect<EventPage, StorageUnavailable>
  }
>()("server/store/EventLog") {
  static readonly layer = Layer.effect(
    EventLog,
    Effect.gen(function* () {
      const sql = yield* Reader
      return EventLog.of({
        read: (after, bounds) => unavailable(readLog(sql, after, bounds)),
        readThread: (threadId, after, bounds) =>
          unavailable(readStream(sql, threadStream(threadId), after, bounds))
      })
    })
  )
}

export const threadStream = (threadId: string) => `thread:${threadId}`
export const projectStream = (projectId: string) => `project:${projectId}`
export type Owner = { readonly threadId: ThreadId } | { readonly projectId: ProjectId }

/** What a stream is of; null: nothing that this program knows. */
export const ownerOf = (stream: string): Owner | null => {
  const id = stream.slice(stream.indexOf(":") + 1)
  if (stream.startsWith("thread:") && isThreadId(id)) return { threadId: id }
  return stream.startsWith("project:") && isProjectId(id) ? { projectId: id } : null
}

/** The version of the event schemas that this program writes. */
const eventVersion = 1

/** An event as the log holds it: its JSON and, beside it, its own text, which no table holds a second time. */
export interface Logged {
  readonly payload: string
  /** null: the payload leaves nothing out. */
  readonly text: string | null
}

export const loggedOf = (event: LoggedEvent | ProjectEvent): Logged => {
  if (!("text" in event) || !standsBeside(event.text)) return { payload: JSON.stringify(event), text: null }
  const { text, ...others } = event
  return { payload: JSON.stringify(others), text }
}

/** UTF-16 units. */
export const lengthOf = ({ payload, text }: Logged): number => payload.length + (text?.length ?? 0)

/** Whether it comes out of a column as it went in: half a surrogate pair does not, and a NUL ends it for some. */
export const standsBeside = (text: string): boolean =>
  text !== "" && text.isWellFormed() && !text.includes("\0")

/** An event on its way into the log. */
export interface NewEvent extends Logged {
  readonly sequence: number
  readonly stream: string
  readonly version: number
  readonly type: string
  readonly cause: Cause
  readonly at: Millis
}

/** For the commit's transaction alone. */
export const append = (events: ReadonlyArray<NewEvent>): Write => ({
  statement: insert,
  rows: events.map(cellsOf)
})

/** Sequence of the newest event ever written, 0 where there is none. */
export const newestSequence = (sql: SqlClient) =>
  Effect.map(
    sql<{ seq: number }>`SELECT seq FROM sqlite_sequence WHERE name = 'events'`,
    ([row]) => row?.seq ?? 0
  )

/** The newest version of each stream; a stream without events is left out. */
export const versionsOf = (sql: SqlClient, streams: ReadonlyArray<string>) =>
  Effect.map(
    sql<{ stream: string; version: number | null }>`SELECT value AS stream,
      (SELECT max(version) FROM events WHERE stream = value) AS version FROM json_each(${JSON.stringify(streams)})`,
    (rows) =>
      new Map(rows.flatMap(({ stream, version }) => (version === null ? [] : [[stream, version] as const])))
  )

/** The streams that have events above `after`, each once. Reads no payload. */
export const streamsSince = (sql: SqlClient, after: number) =>
  Effect.map(sql<{ stream: string }>`SELECT DISTINCT stream FROM events WHERE sequence > ${after}`, (rows) =>
    rows.map(({ stream }) => stream)
  )

/** SQL of the bytes of an event. */
export const eventBytes = "octet_length(payload) + coalesce(octet_length(text), 0)"
const bytesOf = (sql: SqlClient) => sql.literal(eventBytes)

/** What a `Row` has of an event. */
const columnsOf = (sql: SqlClient) =>
  sql.literal("sequence, stream, version, event_version, payload, text, cause, at")

// Sizes first: a page of large events is cut before its payloads are read.

export const readLog = Effect.fnUntraced(function* (sql: SqlClient, after: number, bounds: Bounds) {
  const sizes = yield* sql<Sized>`SELECT sequence AS place, ${bytesOf(sql)} AS bytes FROM events
    WHERE sequence > ${after} ORDER BY sequence LIMIT ${bounds.rows + 1}`
  const { last, complete } = cut(sizes, bounds, after)
  const rows = yield* sql<Row>`SELECT ${columnsOf(sql)} FROM events
    WHERE sequence > ${after} AND sequence <= ${last} ORDER BY sequence`
  return yield* page(rows, last, complete)
})

export const readStream = Effect.fnUntraced(function* (
  sql: SqlClient,
  stream: string,
  after: number,
  bounds: Bounds
) {
  const sizes = yield* sql<Sized>`SELECT version AS place, ${bytesOf(sql)} AS bytes FROM events
    WHERE stream = ${stream} AND version > ${after} ORDER BY version LIMIT ${bounds.rows + 1}`
  const { last, complete } = cut(sizes, bounds, after)
  const rows = yield* sql<Row>`SELECT ${columnsOf(sql)} FROM events
    WHERE stream = ${stream} AND version > ${after} AND version <= ${last} ORDER BY version`
  return yield* page(rows, last, complete)
})

interface Sized {
  readonly place: number
  readonly bytes: number
}

const cut = (sizes: ReadonlyArray<Sized>, bounds: Bounds, after: number) => {
  const count = withinBounds(sizes, bounds)
  return { last: sizes[count - 1]?.place ?? after, complete: count === sizes.length }
}

const page = (
  rows: ReadonlyArray<Row>,
  next: number,
  complete: boolean
): Effect.Effect<EventPage, SqlError> => {
  const records = rows.map((row) => recordOf(row)).filter((record) => record !== null)
  const unreadable = rows.length - records.length
  return Effect.as(reportUnreadable("events", unreadable), { records, next, complete, unreadable })
}

/** As it stands in the log. */
export interface Row {
  readonly sequence: number
  readonly stream: string
  readonly version: number
  readonly event_version: number
  readonly payload: string
  readonly text: string | null
  readonly cause: string
  readonly at: number
}

const insert = insertInto("events", [
  "sequence",
  "stream",
  "version",
  "type",
  "event_version",
  "payload",
  "text",
  "cause",
  "command_id",
  "at"
])

const cellsOf = (event: NewEvent): Cells => [
  event.sequence,
  event.stream,
  event.version,
  event.type,
  eventVersion,
  event.payload,
  event.text,
  JSON.stringify(event.cause),
  event.cause.type === "command" ? event.cause.commandId : null,
  event.at
]

const isThreadEvent = Schema.is(ThreadEvent)
const isProjectEvent = Schema.is(ProjectEvent)
const isThreadId = Schema.is(ThreadIdSchema)
const isProjectId = Schema.is(ProjectId)
const isCause = Schema.is(
  Schema.Union([
    Schema.Struct({ type: Schema.Literals(["command"]), commandId: Schema.String, actor: Schema.String }),
    Schema.Struct({ type: Schema.Literals(["provider"]), generation: Schema.Int }),
    Schema.Struct({ type: Schema.Literals(["effect", "deadline"]), key: Schema.String }),
    Schema.Struct({ type: Schema.Literals(["reconciler"]), reason: Schema.String })
  ])
)

/**
 * Events are plain JSON, so reading one is parsing it and checking that it is what its type says. The
 * parsed value itself is handed on: its fields keep the order in which they were written, which is what
 * makes rebuilt rows the same to the byte (L15). null: it cannot be read.
 */
const recordOf = (row: Row, causeOf = parsedCause, ownerIn = ownerOf): StoredRecord | null => {
  if (row.event_version !== eventVersion) return null
  const event = eventOf(row)
  const cause = causeOf(row.cause)
  const owner = ownerIn(row.stream)
  if (cause === null || owner === null) return null
  const { sequence, version, at } = row
  if ("threadId" in owner) {
    if (!isThreadEvent(event) || isStreamed(event)) return null
    return { sequence, threadId: owner.threadId, version, at, cause, event }
  }
  return isProjectEvent(event) ? { sequence, projectId: owner.projectId, version, at, cause, event } : null
}

const eventOf = ({ payload, text }: Row): unknown => {
  const event = parseJson(payload)
  return text === null || typeof event !== "object" || event === null ? event : Object.assign(event, { text })
}

const parsedCause = (text: string): Cause | null => {
  const cause = parseJson(text)
  return isCause(cause) ? (cause as Cause) : null
}

/** For reading much: most rows share their stream, and the text of their cause, which are then read once. */
export const recordReader = (): ((row: Row) => StoredRecord | null) => {
  const causeOf = remembering(parsedCause)
  const ownerIn = remembering(ownerOf)
  return (row) => recordOf(row, causeOf, ownerIn)
}

/** What was read of some thousand texts. */
const remembering = <A>(read: (text: string) => A | null): ((text: string) => A | null) => {
  const known = new Map<string, A | null>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    if (known.size === textsKept) known.clear()
    const made = read(text)
    known.set(text, made)
    return made
  }
}

const textsKept = 1_000
