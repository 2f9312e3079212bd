/** The first schema. */
import {
  TurnState,
  SessionStatus,
  Delivered,
  ItemStatus,
  RequestStatus
} from "@turnkeeper/domain/thread/lifecycle"
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

const oneOf = (column: string, { literals }: { readonly literals: ReadonlyArray<string> }) =>
  `CHECK (${column} IN (${literals.map((literal) => `'${literal}'`).join(", ")}))`

const tables = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID`,
  // Tells this database from every other, a restored backup of itself included (see Meta).
  `INSERT INTO meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))))`,

  `CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    event_version INTEGER NOT NULL,
    payload TEXT NOT NULL,
    cause TEXT NOT NULL,
    command_id TEXT,
    at INTEGER NOT NULL,
    UNIQUE (stream, version)
  )`,

  `CREATE TABLE command_receipts (
    command_id TEXT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) WITHOUT ROWID`,
  `CREATE INDEX command_receipts_at ON command_receipts (at)`,

  // Text of items that are still open, in the order of the rowid. after_version: the thread's version then.
  `CREATE TABLE message_chunks (
    thread_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    offset INTEGER NOT NULL,
    text NOT NULL,
    seq INTEGER NOT NULL,
    after_version INTEGER NOT NULL
  )`,
  `CREATE INDEX message_chunks_item ON message_chunks (thread_id, item_id)`,

  `CREATE TABLE thread_states (
    thread_id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    at_rest INTEGER NOT NULL CHECK (at_rest IN (0, 1)),
    generation INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    cut_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    state TEXT NOT NULL,
    updated_at INTEGER NOT NULL
  )`,
  `CREATE INDEX thread_states_open ON thread_states (thread_id) WHERE at_rest = 0`,

  `CREATE TABLE projects (
    project_id TEXT PRIMARY KEY NOT NULL,
    title TEXT NOT NULL,
    directory TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    version INTEGER NOT NULL
  )`,

  `CREATE TABLE threads (
    thread_id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL,
    title TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT,
    runtime_mode TEXT NOT NULL,
    interaction_mode TEXT NOT NULL,
    cwd TEXT,
    created_at INTEGER NOT NULL,
    archived_at INTEGER,
    deleted_at INTEGER,
    session_status TEXT NOT NULL ${oneOf("session_status", SessionStatus)},
    last_error TEXT,
    recovering TEXT,
    stopping TEXT,
    active_turn_id TEXT,
    latest_turn_id TEXT,
    open_requests INTEGER NOT NULL,
    queued_turns INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    version INTEGER NOT NULL
  )`,
  `CREATE INDEX threads_project ON threads (project_id) WHERE deleted_at IS NULL`,

  `CREATE TABLE sessions (
    thread_id TEXT PRIMARY KEY NOT NULL,
    status TEXT NOT NULL ${oneOf("status", SessionStatus)},
    generation INTEGER NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    provider TEXT,
    active_turn_id TEXT,
    last_error TEXT,
    recovering TEXT,
    stopping TEXT,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
  )`,

  `CREATE TABLE turns (
    thread_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    message_id TEXT,
    origin TEXT NOT NULL CHECK (origin IN ('user', 'provider')),
    state TEXT NOT NULL ${oneOf("state", TurnState)},
    provider_turn_id TEXT,
    delivery TEXT NOT NULL CHECK (delivery IN ('queue', 'steer', 'interrupt')),
    delivered TEXT ${oneOf("delivered", Delivered)},
    reason TEXT,
    steered_into TEXT,
    interrupt_asked_at INTEGER,
    quiet TEXT CHECK (quiet IN ('asking', 'alive', 'unknown')),
    retry_of TEXT,
    provider TEXT NOT NULL,
    model TEXT,
    runtime_mode TEXT NOT NULL,
    interaction_mode TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    started_at INTEGER,
    settled_at INTEGER,
    UNIQUE (thread_id, turn_id)
  )`,
  `CREATE INDEX turns_open ON turns (thread_id) WHERE state IN ('queued', 'sending', 'running')`,

  `CREATE TABLE messages (
    thread_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    turn_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'reasoning')),
    status TEXT NOT NULL ${oneOf("status", ItemStatus)},
    text TEXT NOT NULL,
    attachments TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    UNIQUE (thread_id, message_id)
  )`,
  `CREATE INDEX messages_position ON messages (thread_id, position)`,
  `CREATE INDEX messages_open ON messages (thread_id, turn_id) WHERE status = 'open'`,

  `CREATE TABLE items (
    thread_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    turn_id TEXT,
    kind TEXT NOT NULL,
    title TEXT,
    detail TEXT,
    status TEXT NOT NULL ${oneOf("status", ItemStatus)},
    text TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    UNIQUE (thread_id, item_id)
  )`,
  `CREATE INDEX items_position ON items (thread_id, position)`,
  `CREATE INDEX items_open ON items (thread_id, turn_id) WHERE status = 'open'`,

  `CREATE TABLE requests (
    thread_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    ask TEXT NOT NULL,
    status TEXT NOT NULL ${oneOf("status", RequestStatus)},
    answer TEXT,
    reason TEXT,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    UNIQUE (thread_id, request_id)
  )`,
  `CREATE INDEX requests_open ON requests (thread_id, turn_id) WHERE status IN ('open', 'answering')`,

  // Sums of what the provider reported for the turn. Millionths of a dollar: whole numbers add up exactly.
  `CREATE TABLE usage (
    thread_id TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (thread_id, turn_id)
  ) WITHOUT ROWID`
]

export default Effect.flatMap(SqlClient, (sql) =>
  Effect.forEach(tables, (table) => sql.unsafe(table), { discard: true })
)
