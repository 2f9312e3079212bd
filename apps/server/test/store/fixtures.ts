/** A real database in a directory of its own, and threads that grow by the kernel's own rule. */
import { NodeServices } from "@effect/platform-node"
import type {
  CommandId,
  MessageId,
  ProjectId,
  ProviderInstanceId,
  ThreadId,
  TurnId
} from "@turnkeeper/domain/ids"
import { ItemId, ProviderTurnId, RequestId } from "@turnkeeper/domain/ids"
import type { EventOf, ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { isStreamed } from "@turnkeeper/domain/thread/Event"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { initial } from "@turnkeeper/domain/thread/State"
import { Effect, FileSystem, Layer } from "effect"
import type { Cause, ProjectChange, Receipt, ThreadChange } from "../../src/engine/Change.ts"
import { Commit } from "../../src/engine/Commit.ts"
import { measured } from "../../src/engine/CommitLoad.ts"
import { Feed } from "../../src/engine/Feed.ts"
import { Rebuild } from "../../src/maintenance/Rebuild.ts"
import { Projects } from "../../src/projection/Projects.ts"
import { Threads } from "../../src/projection/Threads.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { EventLog } from "../../src/store/EventLog.ts"
import { Meta } from "../../src/store/Meta.ts"
import { migrated } from "../../src/store/Migrations.ts"
import * as Sqlite from "../../src/store/Sqlite.ts"

/** Everything of the store over one file. */
export const storeAt = (filename: string) =>
  Layer.mergeAll(EventLog.layer, Projects.layer, Threads.layer, ThreadView.layer, Rebuild.layer).pipe(
    Layer.provideMerge(measured(Commit.layer)),
    Layer.provideMerge(Layer.mergeAll(Feed.layer, Meta.layer)),
    Layer.provideMerge(migrated(Sqlite.layer({ filename })))
  )

export const temporaryDirectory = Effect.flatMap(FileSystem.FileSystem, (files) =>
  files.makeTempDirectoryScoped({ prefix: "turnkeeper-store-" })
).pipe(Effect.provide(NodeServices.layer))

/** A store on a file that goes with the test. */
export const store = Layer.unwrap(
  Effect.map(temporaryDirectory, (directory) => storeAt(`${directory}/test.db`))
)

export const threadId = (name: string) => name as ThreadId
export const turnId = (name: string) => name as TurnId
export const project = "project-1" as ProjectId
export const provider = "codex" as ProviderInstanceId

const providerCause: Cause = { type: "provider", generation: 1 }

/** A thread as its mailbox holds it: decides nothing, only folds. */
export interface Author {
  state: ThreadState
  version: number
  readonly id: ThreadId
}

export const author = (name: string): Author => ({ state: initial, version: 0, id: threadId(name) })

let clock = 1_700_000_000_000

/** The next change of the thread. The author goes on from it, as a mailbox does after the commit. */
export const next = (
  thread: Author,
  events: ReadonlyArray<ThreadEvent>,
  receipt: Receipt | null = null
): ThreadChange => {
  const expected = thread.version
  thread.state = events.reduce(evolve, thread.state)
  thread.version += events.filter((event) => !isStreamed(event)).length
  clock += 1
  const cause: Cause =
    receipt === null ? providerCause : { type: "command", commandId: receipt.commandId, actor: "test" }
  return {
    stream: "thread",
    threadId: thread.id,
    expected,
    events,
    after: thread.state,
    at: clock,
    cause,
    receipt
  }
}

export const receipt = (commandId: string, hash = "hash"): Receipt => ({
  commandId: commandId as CommandId,
  hash
})

export const created: EventOf<"thread.created"> = {
  type: "thread.created",
  projectId: project,
  title: "A thread",
  provider,
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  cwd: null
}

export const queued = (
  turn: string,
  text: string,
  more: Partial<EventOf<"turn.queued">> = {}
): EventOf<"turn.queued"> => ({
  type: "turn.queued",
  turnId: turnId(turn),
  messageId: `${turn}-prompt` as MessageId,
  text,
  attachments: [],
  delivery: "queue",
  provider,
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  interrupts: null,
  retryOf: null,
  at: clock,
  ...more
})

export const starting: EventOf<"session.starting"> = {
  type: "session.starting",
  generation: 1,
  provider,
  turnId: null
}
export const sessionStarted: EventOf<"session.started"> = {
  type: "session.started",
  generation: 1,
  resume: "cursor"
}

/** From the queue to running. */
export const sent = (turn: string): ReadonlyArray<ThreadEvent> => [
  { type: "turn.send_started", turnId: turnId(turn), generation: 1, into: null },
  { type: "turn.started", turnId: turnId(turn), providerTurnId: ProviderTurnId.make(`provider-${turn}`) }
]

export const itemId = (turn: string, ordinal: number) => ItemId.make(`${turn}/${ordinal}`)

export const begun = (
  turn: string,
  ordinal: number,
  kind: EventOf<"item.started">["kind"] = "assistant_message",
  seq?: number
): EventOf<"item.started"> => ({
  type: "item.started",
  itemId: itemId(turn, ordinal),
  turnId: turnId(turn),
  providerItemId: `item-${ordinal}`,
  kind,
  title: kind === "command" ? "ls" : "",
  detail: kind === "command" ? { exit: null } : {},
  ...(seq !== undefined && { seq })
})

export const appended = (
  turn: string,
  ordinal: number,
  offset: number,
  text: string,
  seq?: number
): EventOf<"text.appended"> => ({
  type: "text.appended",
  itemId: itemId(turn, ordinal),
  offset,
  text,
  ...(seq !== undefined && { seq })
})

export const ended = (
  turn: string,
  ordinal: number,
  text: string,
  more: Partial<EventOf<"item.completed">> = {}
): EventOf<"item.completed"> => ({
  type: "item.completed",
  itemId: itemId(turn, ordinal),
  turnId: turnId(turn),
  kind: "assistant_message",
  status: "completed",
  text,
  ...more
})

export const settled = (
  turn: string,
  more: Partial<EventOf<"turn.settled">> = {}
): EventOf<"turn.settled"> => ({
  type: "turn.settled",
  turnId: turnId(turn),
  state: "completed",
  reason: null,
  delivery: "delivered",
  into: null,
  ...more
})

export const asked = (turn: string, key: string): EventOf<"request.opened"> => ({
  type: "request.opened",
  requestId: RequestId.make(`1/${key}`),
  turnId: turnId(turn),
  kind: "command_approval",
  ask: { title: "Run ls?", detail: { command: "ls" }, decisions: ["accept", "decline"], questions: [] }
})

export const projectChange = (
  id: ProjectId,
  expected: number,
  events: ProjectChange["events"]
): ProjectChange => ({
  stream: "project",
  projectId: id,
  expected,
  events,
  at: (clock += 1),
  cause: providerCause,
  receipt: null
})

/** Every row of every table that follows from the log, in a fixed order: two equal dumps are equal tables. */
export const tables = [
  ["projects", "project_id"],
  ["threads", "thread_id"],
  ["sessions", "thread_id"],
  ["turns", "thread_id, turn_id"],
  ["messages", "thread_id, message_id"],
  ["items", "thread_id, item_id"],
  ["requests", "thread_id, request_id"],
  ["usage", "thread_id, turn_id"],
  ["thread_states", "thread_id"]
] as const

export const dump = Effect.gen(function* () {
  const sql = yield* Sqlite.Reader
  const parts = yield* Effect.forEach(tables, ([table, key]) =>
    Effect.map(sql.unsafe(`SELECT * FROM ${table} ORDER BY ${key}`), (rows) => [table, rows] as const)
  )
  return JSON.stringify(Object.fromEntries(parts), null, 1)
})

/** Makes a database of the first schema of one of today's. */
export const undone = [
  "DROP TABLE open_texts",
  "DROP TABLE message_chunks",
  `CREATE TABLE message_chunks (thread_id TEXT NOT NULL, item_id TEXT NOT NULL, offset INTEGER NOT NULL,
    text NOT NULL, seq INTEGER NOT NULL, after_version INTEGER NOT NULL)`,
  "CREATE INDEX message_chunks_item ON message_chunks (thread_id, item_id)",
  "DROP TABLE forgetting",
  "DROP TABLE message_search",
  "DROP VIEW searchable",
  "DROP INDEX messages_search",
  "ALTER TABLE messages DROP COLUMN search_id",
  "ALTER TABLE items DROP COLUMN omitted_from",
  "ALTER TABLE items DROP COLUMN omitted_length",
  "ALTER TABLE items DROP COLUMN text_at",
  "ALTER TABLE messages DROP COLUMN text_at",
  "UPDATE events SET payload = json_set(payload, '$.text', text) WHERE text IS NOT NULL",
  "ALTER TABLE events DROP COLUMN text",
  "ALTER TABLE turns DROP COLUMN quiet_since",
  "ALTER TABLE requests DROP COLUMN answered_by",
  "UPDATE meta SET value = '1' WHERE key = 'projections'",
  "DELETE FROM migrations WHERE migration_id > 1"
]
