/**
 * The judge. It reads the database file as anybody could, folds the log with the kernel's own rule, and
 * holds both against the provider's own record, which is the truth about what was delivered and done.
 * Each breach is one sentence that begins with the law; an empty list is the promise kept.
 */
import { pending } from "@turnkeeper/domain/thread/pending"
import { atRest } from "@turnkeeper/domain/thread/draft"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { initial } from "@turnkeeper/domain/thread/State"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { Context, Effect, Exit, Layer, References, Scope } from "effect"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Commit } from "../../../../apps/server/src/engine/Commit.ts"
import { Feed } from "../../../../apps/server/src/engine/Feed.ts"
import { textOf } from "../../../../apps/server/src/projection/rowText.ts"
import { storeLayer } from "../../../../apps/server/src/server.ts"
import type { Sent } from "./Customer.ts"
import type { Loop } from "./Loop.ts"

const terminal = "t.state NOT IN ('queued', 'sending', 'running')"

/** Each gives the rows that break its law. */
const breaches: { readonly [law: string]: string } = {
  "L1: more than one turn of a thread runs or is being sent": `SELECT thread_id, state, count(*) AS turns
    FROM turns WHERE state IN ('running', 'sending') GROUP BY thread_id, state HAVING count(*) > 1`,
  "L2: the session does not run exactly when its active turn does": `SELECT s.thread_id, s.status, s.active_turn_id,
      t.state FROM sessions s LEFT JOIN turns t ON t.thread_id = s.thread_id AND t.turn_id = s.active_turn_id
    WHERE (s.status = 'running') <> (s.active_turn_id IS NOT NULL)
      OR (s.active_turn_id IS NOT NULL AND t.state IS NOT 'running')`,
  "L2: a running turn is not the active one": `SELECT t.thread_id, t.turn_id FROM turns t
    JOIN sessions s USING (thread_id) WHERE t.state = 'running' AND s.active_turn_id IS NOT t.turn_id`,
  "L5: something is open inside a settled turn": `SELECT t.turn_id, i.item_id AS inside FROM turns t
      JOIN items i USING (thread_id, turn_id) WHERE ${terminal} AND i.status = 'open'
    UNION ALL SELECT t.turn_id, m.message_id FROM turns t
      JOIN messages m USING (thread_id, turn_id) WHERE ${terminal} AND m.status = 'open'
    UNION ALL SELECT t.turn_id, r.request_id FROM turns t
      JOIN requests r USING (thread_id, turn_id) WHERE ${terminal} AND r.status IN ('open', 'answering')`,
  "L12: a turn ended without its time or its reason": `SELECT t.turn_id, t.state, t.settled_at, t.reason
    FROM turns t WHERE ${terminal}
      AND (t.settled_at IS NULL OR (t.reason IS NULL AND t.state NOT IN ('completed', 'steered')))`,
  "L12: a message has lost its text": `SELECT t.turn_id FROM turns t WHERE t.message_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.thread_id = t.thread_id AND m.message_id = t.message_id)`,
  "L12: the event that has a text is gone": `SELECT m.message_id AS id FROM messages m WHERE m.text_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM events e WHERE e.sequence = m.text_at)
    UNION ALL SELECT i.item_id FROM items i WHERE i.text_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM events e WHERE e.sequence = i.text_at)`
}

interface LogRow {
  readonly sequence: number
  readonly stream: string
  readonly version: number
  readonly type: string
  readonly payload: string
  readonly text: string | null
  readonly cause: string
  readonly at: number
}

interface Row {
  readonly [column: string]: string | number | null
}

export interface Judge {
  /** Reads what was committed since the last time; a line per event, for the trace. */
  readonly read: () => ReadonlyArray<string>
  /** What must be true whenever nobody can go on without time. */
  readonly atRest: () => ReadonlyArray<string>
  /** What must be true of everything that was acknowledged, at any time. */
  readonly kept: (sent: ReadonlyArray<Sent>) => ReadonlyArray<string>
  readonly stateOf: (threadId: string) => ThreadState
  readonly turns: () => number
  /** Tells two runs apart. Holds everything of the log. */
  readonly hash: () => string
  /** What completed turns say is what the provider said. Only where nothing of it was dropped, doubled or missed. */
  readonly texts: () => ReadonlyArray<string>
  /** What the provider completed is completed. Only where it did all it was asked, and was heard. */
  readonly ends: () => ReadonlyArray<string>
  /** L15, on a copy of the file. */
  readonly rebuilt: (loop: Loop) => Promise<ReadonlyArray<string>>
  readonly close: () => void
}

export const makeJudge = (database: string, records: ReadonlyArray<string>): Judge => {
  const file = new DatabaseSync(database, { readOnly: true })
  const newest = file.prepare(
    `SELECT sequence, stream, version, type, payload, text, cause, at FROM events WHERE sequence > ? ORDER BY sequence`
  )
  const laws = Object.entries(breaches).map(([law, sql]) => [law, file.prepare(sql)] as const)
  const states = new Map<string, ThreadState>()
  const settled = new Map<string, string>()
  const hash = createHash("sha256")
  const broken: Array<string> = []
  let sequence = 0

  const fold = (row: LogRow) => {
    sequence = row.sequence
    hash.update(`${row.stream} ${row.version} ${row.payload} ${row.text} ${row.at}\n`)
    if (!row.stream.startsWith("thread:")) return
    const event = eventOf(row)
    const before = stateOf(row.stream.slice("thread:".length))
    judge(row, event, before)
    states.set(row.stream, evolve(before, event))
  }

  /** L3, L13: what one event may not follow. */
  const judge = (row: LogRow, event: ThreadEvent, before: ThreadState) => {
    const turnId = "turnId" in event ? event.turnId : null
    const name = `${row.stream} ${turnId}`
    const says = event.type.startsWith("turn.") || event.type.startsWith("item.")
    if (turnId !== null && says && settled.has(name))
      broken.push(`L3: ${event.type} comes after the end of ${name}`)
    if (event.type === "turn.settled") settled.set(name, event.state)
    if (event.type === "session.stop_failed" && before.session.stopAsked?.by === "user") {
      const after = evolve(before, event)
      if (after.session.status !== before.session.status || after.session.lastError === null)
        broken.push(`L9: a stop failed and ${row.stream} became ${after.session.status}`)
    }
    if (event.type === "session.recovering") {
      const { session } = evolve(before, event)
      if (session.status !== before.session.status || session.lastError !== before.session.lastError)
        broken.push(`L6: a transient error changed ${row.stream} to ${session.status}`)
    }
    if (event.type === "turn.send_started") {
      const cancelled = before.turns.find(({ id }) => id === event.turnId)
      if (cancelled === undefined) broken.push(`L12: ${name} is sent and is not open`)
    }
  }

  const stateOf = (threadId: string) => states.get(`thread:${threadId}`) ?? initial

  const read = () => {
    const rows = newest.all(sequence) as unknown as ReadonlyArray<LogRow>
    for (const group of causedTogether(rows)) {
      const stream = group[0]!.stream
      const before = states.get(stream) ?? initial
      for (const row of group) fold(row)
      broken.push(...leftBehind(stream, group, before, states.get(stream) ?? initial))
    }
    return rows.map(({ stream, version, payload, text, cause }) => {
      const whole = text === null ? payload : `${payload} ${text}`
      const short = whole.length > 260 ? `${whole.slice(0, 260)}…` : whole
      return `    ${stream} ${version} ${short} ⇐ ${cause}`
    })
  }

  const judgeAtRest = () => {
    const found: Array<string> = broken.splice(0)
    for (const [law, statement] of laws) {
      for (const row of statement.all()) found.push(`${law}: ${JSON.stringify(row)}`)
    }
    for (const [stream, state] of states) {
      const { session } = state
      if (atRest(state) || pending(state).length > 0) continue
      if (session.activeTurnId !== null && session.open) continue
      found.push(`L14: ${stream} is not at rest and nobody will move it: ${JSON.stringify(session)}`)
    }
    return [...found, ...held(file, records)]
  }

  return {
    read,
    stateOf,
    atRest: judgeAtRest,
    kept: (sent) => keptIn(file, sent),
    turns: () => (file.prepare("SELECT count(*) AS n FROM turns").get() as { readonly n: number }).n,
    hash: () => hash.copy().digest("hex"),
    texts: () => wrongTexts(file, records),
    ends: () => lostEnds(file, records),
    rebuilt: (loop) => rebuilt(file, `${database}.copy`, loop),
    close: () => file.close()
  }
}

/** Rows of one stream that one cause brought in one moment: one step of its thread. */
/** Its text stands beside the rest. */
const eventOf = ({ payload, text }: LogRow): ThreadEvent =>
  ({ ...JSON.parse(payload), ...(text !== null && { text }) }) as ThreadEvent

const causedTogether = (rows: ReadonlyArray<LogRow>): ReadonlyArray<ReadonlyArray<LogRow>> => {
  const groups: Array<Array<LogRow>> = []
  for (const row of rows) {
    const group = groups.at(-1)
    const last = group?.at(-1)
    const isSame = last?.stream === row.stream && last.cause === row.cause && last.at === row.at
    if (isSame) group!.push(row)
    else groups.push([row])
  }
  return groups
}

/** L13: who waited behind a turn that failed or was interrupted, and waits still. */
const leftBehind = (
  stream: string,
  rows: ReadonlyArray<LogRow>,
  before: ThreadState,
  after: ThreadState
): ReadonlyArray<string> => {
  const ended = rows
    .map(eventOf)
    .filter((event) => event.type === "turn.settled")
    .filter(({ state }) => state === "error" || state === "interrupted")
    .map(({ turnId }) => turnId)
  const [first] = ended
  if (first === undefined) return []
  const waited = before.turns.filter(({ state }) => state === "queued").map(({ id }) => id)
  return after.turns
    .filter((turn) => turn.state === "queued" && waited.includes(turn.id))
    .filter(({ interrupts }) => interrupts === null || !ended.includes(interrupts))
    .map(({ id }) => `L13: ${id} of ${stream} still waits behind ${first}`)
}

// What the provider really did

interface Delivered {
  readonly providerTurnId: string
  /** How that turn really ended; null: nobody wrote it down. */
  readonly outcome: () => string | null
}

interface Truth {
  readonly delivered: ReadonlyMap<string, ReadonlyArray<Delivered>>
  readonly ends: ReadonlyMap<string, string>
  /** Of each of its turns, what it said there. */
  readonly texts: ReadonlyMap<string, ReadonlyArray<string>>
}

interface RecordLine {
  readonly text: string
  readonly type: string
  readonly providerTurnId: string
  readonly turnId: string
  readonly outcome: string
}

const truthIn = (records: ReadonlyArray<string>): Truth => {
  const ends = new Map<string, string>()
  const delivered = new Map<string, Array<Delivered>>()
  const texts = new Map<string, Array<string>>()
  const files = records.flatMap((directory) =>
    existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : []
  )
  for (const file of files) {
    for (const text of readFileSync(file, "utf8").split("\n")) {
      if (text === "") continue
      const line = JSON.parse(text) as RecordLine
      const { providerTurnId, turnId, type } = line
      if (type === "ended" && !ends.has(providerTurnId)) ends.set(providerTurnId, line.outcome)
      if (type === "text") texts.set(providerTurnId, [...(texts.get(providerTurnId) ?? []), line.text])
      if (type !== "prompt") continue
      const all = delivered.get(turnId) ?? []
      all.push({ providerTurnId, outcome: () => ends.get(providerTurnId) ?? null })
      delivered.set(turnId, all)
    }
  }
  return { delivered, ends, texts }
}

/** L7 and L12: what the tables say of each turn, against the provider's record. */
const held = (file: DatabaseSync, records: ReadonlyArray<string>): ReadonlyArray<string> => {
  const truth = truthIn(records)
  const found: Array<string> = []
  for (const [turnId, all] of truth.delivered) {
    if (all.length > 1) found.push(`L12: ${turnId} was delivered ${all.length} times`)
  }
  const turns = file
    .prepare(`SELECT turn_id, origin, state, delivered, provider_turn_id FROM turns`)
    .all() as ReadonlyArray<Row>
  for (const turn of turns) {
    const arrived = truth.delivered.get(String(turn["turn_id"])) ?? []
    const name = `${turn["turn_id"]} (${turn["state"]}, ${turn["delivered"]})`
    if (turn["state"] === "completed") {
      const ends = [truth.ends.get(String(turn["provider_turn_id"])), ...arrived.map((one) => one.outcome())]
      // What it does beside our turns it need not record: then its word, of which the log tells, stands alone.
      const isUnknown = turn["origin"] === "provider" && ends.every((end) => end == null)
      if (!isUnknown && !ends.includes("completed"))
        found.push(`L7: ${name} did not complete: ${JSON.stringify(ends)}`)
    }
    if (turn["origin"] !== "user") continue
    if (turn["delivered"] === "not_delivered" && arrived.length > 0) found.push(`L12: ${name} was delivered`)
    if (turn["delivered"] === "delivered" && arrived.length === 0)
      found.push(`L12: ${name} was not delivered`)
  }
  return found
}

const wrongTexts = (file: DatabaseSync, records: ReadonlyArray<string>): ReadonlyArray<string> => {
  const { texts } = truthIn(records)
  const said = file.prepare(
    `SELECT ${textOf("messages")} AS text FROM messages WHERE thread_id = ? AND turn_id = ? AND role <> 'user' AND status = 'completed'
     ORDER BY position`
  )
  const completed = file
    .prepare(`SELECT thread_id, turn_id, provider_turn_id FROM turns WHERE state = 'completed'`)
    .all() as ReadonlyArray<Row>
  return completed.flatMap((turn) => {
    const rows = said.all(turn["thread_id"]!, turn["turn_id"]!)
    const shown = JSON.stringify(rows.map((row) => row["text"]))
    const truth = JSON.stringify(texts.get(String(turn["provider_turn_id"])) ?? [])
    return shown === truth ? [] : [`L7: ${turn["turn_id"]} says ${shown}, and the provider said ${truth}`]
  })
}

/** L12: an end that was told and did not arrive. Where a session was stopped by us, it may have come too late. */
const lostEnds = (file: DatabaseSync, records: ReadonlyArray<string>): ReadonlyArray<string> => {
  const { delivered } = truthIn(records)
  const ended = file
    .prepare(
      `SELECT turn_id, state, reason FROM turns t WHERE state IN ('interrupted', 'error')
         AND NOT EXISTS (SELECT 1 FROM events e WHERE e.stream = 'thread:' || t.thread_id
           AND e.type IN ('session.stop_asked', 'thread.deleted'))`
    )
    .all() as ReadonlyArray<Row>
  return ended
    .filter(({ turn_id }) =>
      (delivered.get(String(turn_id)) ?? []).some((one) => one.outcome() === "completed")
    )
    .map((turn) => `L12: the provider completed it, and nobody took it in: ${JSON.stringify(turn)}`)
}

// What was promised

/** Acknowledged means kept: the command's receipt, its turn and its text. */
const keptIn = (file: DatabaseSync, sent: ReadonlyArray<Sent>): ReadonlyArray<string> => {
  const found: Array<string> = []
  const receipt = file.prepare("SELECT 1 FROM command_receipts WHERE command_id = ?")
  const message = file.prepare(
    `SELECT ${textOf("m")} AS text FROM turns t JOIN messages m ON m.thread_id = t.thread_id AND m.message_id = t.message_id
     WHERE t.turn_id = ?`
  )
  const edits = new Map<string, Array<string>>()
  for (const { command } of sent) {
    if (command.type === "thread.turn.edit")
      edits.set(command.turnId, [...(edits.get(command.turnId) ?? []), command.text])
  }
  for (const { answer, command } of sent) {
    if (answer !== "accepted") continue
    if (receipt.get(command.commandId) === undefined)
      found.push(`L11: ${command.commandId} was acknowledged, and its receipt is lost`)
    if (command.type !== "thread.turn.start") continue
    const text = message.get(command.turnId)?.["text"]
    if (text === undefined) found.push(`L12: ${command.turnId} was acknowledged and is lost`)
    else if (text !== command.text && !(edits.get(command.turnId) ?? []).includes(String(text)))
      found.push(`L12: ${command.turnId} has another text: ${String(text)}`)
  }
  return found
}

// L15

const rebuilt = async (file: DatabaseSync, copy: string, loop: Loop): Promise<ReadonlyArray<string>> => {
  rmSync(copy, { force: true })
  file.exec(`VACUUM INTO '${copy}'`)
  const before = rowsOf(file)
  const scope = Scope.makeUnsafe()
  const layer = Commit.layer.pipe(Layer.provideMerge(Feed.layer), Layer.provideMerge(storeLayer(copy)))
  const rebuild = Effect.flatMap(
    Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope),
    (built) => Context.get(built, Commit).rebuild
  )
  const fiber = loop.fork(Effect.provideService(rebuild, References.MinimumLogLevel, "Error"))
  await loop.settle()
  const exit = fiber.pollUnsafe()
  if (exit === undefined || Exit.isFailure(exit)) return ["L15: the tables could not be rebuilt"]
  const other = new DatabaseSync(copy, { readOnly: true })
  const after = rowsOf(other)
  other.close()
  loop.fork(Scope.close(scope, Exit.void))
  await loop.settle()
  return [...before].flatMap(([table, rows]) =>
    rows === after.get(table) ? [] : [`L15: ${table} differs: ${differenceOf(rows, after.get(table) ?? "")}`]
  )
}

/** Every table, row by row; SQLite's own, and those in which it keeps an index, left out. */
const rowsOf = (file: DatabaseSync): ReadonlyMap<string, string> => {
  const tables = file
    .prepare(
      `SELECT name FROM pragma_table_list
       WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`
    )
    .all() as ReadonlyArray<Row>
  return new Map(
    tables.map(({ name }) => [
      String(name),
      file
        .prepare(`SELECT * FROM "${String(name)}"`)
        .all()
        .map((row) => JSON.stringify(row))
        .sort()
        .join("\n")
    ])
  )
}

const differenceOf = (one: string, other: string): string => {
  const rows = new Set(other.split("\n"))
  const mine = new Set(one.split("\n"))
  const gone = [...mine].filter((row) => !rows.has(row)).slice(0, 2)
  const added = [...rows].filter((row) => !mine.has(row)).slice(0, 2)
  return `was ${gone.join(" ")} and is ${added.join(" ")}`
}
