/**
 * The rows of a thread's page, in the order in which they are read. Pure.
 *
 * Entries come in the order in which they were made, and a follow-up was written while another turn ran: its
 * prompt then stands in the middle of that turn's work. Here it moves to where its own turn begins. A steered
 * message stays where it went in. A turn's end comes behind its last entry.
 */
import type { Entry, ItemEntry, MessageEntry, RequestRow, TurnRow } from "@turnkeeper/contracts/Rows"

/** Where a tool's card stands among its neighbours: cards that touch are drawn as one block. */
export type Joined = "alone" | "first" | "middle" | "last"

export type TimelineRow =
  | {
      readonly type: "prompt"
      readonly key: string
      readonly entry: MessageEntry
      readonly turn: TurnRow | null
    }
  | { readonly type: "message"; readonly key: string; readonly entry: MessageEntry }
  /** `asked`: it waits for the user's answer. */
  | {
      readonly type: "work"
      readonly key: string
      readonly entry: ItemEntry
      readonly joined: Joined
      readonly asked: boolean
    }
  | { readonly type: "request"; readonly key: string; readonly request: RequestRow }
  | { readonly type: "end"; readonly key: string; readonly turn: TurnRow; readonly facts: TurnFacts }

/** What a turn did, as far as the entries on the page tell. */
export interface TurnFacts {
  readonly files: ReadonlyArray<string>
  readonly commands: number
}

export interface TimelineInput {
  readonly entries: ReadonlyArray<Entry>
  readonly turns: ReadonlyArray<TurnRow>
  readonly requests: ReadonlyArray<RequestRow>
}

const settledStates: ReadonlySet<string> = new Set([
  "completed",
  "error",
  "interrupted",
  "cancelled",
  "steered"
])
export const isSettledTurn = (turn: TurnRow): boolean => settledStates.has(turn.state)

const isPrompt = (entry: Entry): entry is MessageEntry => entry.type === "message" && entry.role === "user"

export const timeline = ({ entries, turns, requests }: TimelineInput): ReadonlyArray<TimelineRow> => {
  const byId = new Map<string, TurnRow>(turns.map((turn) => [turn.turnId, turn]))
  const ordered = inTurnOrder(entries, byId)
  const ends = endsIn(ordered, byId)
  const closed = requests.filter((request) => request.closedAt !== null)
  const rows: Array<TimelineRow> = []
  let facts = noFacts()
  let waitingClosed = closed

  for (const [index, entry] of ordered.entries()) {
    const turn = entry.turnId === null ? null : (byId.get(entry.turnId) ?? null)
    const before = waitingClosed.filter((request) => (request.closedAt ?? 0) <= entry.createdAt)
    if (before.length > 0) {
      waitingClosed = waitingClosed.filter((request) => !before.includes(request))
      rows.push(...before.map(requestRow))
    }
    rows.push(rowOf(entry, turn))
    if (entry.type === "item") count(facts, entry)
    if (!ends.has(index)) continue
    const ended = ends.get(index)
    if (ended != null && isSettledTurn(ended) && ended.state !== "steered") {
      rows.push({ type: "end", key: `end/${ended.turnId}`, turn: ended, facts: factsOf(facts) })
    }
    facts = noFacts()
  }
  rows.push(...waitingClosed.map(requestRow))
  rows.push(...requests.filter((request) => request.closedAt === null).map(requestRow))
  return join(rows.map((row) => withAsked(row, requests)))
}

/** Providers name the item or not: else the open item with the words of the question is meant. */
const withAsked = (row: TimelineRow, requests: ReadonlyArray<RequestRow>): TimelineRow => {
  if (row.type !== "work" || row.entry.status !== "open") return row
  const { entry } = row
  const asked = requests.some(
    ({ turnId, status, ask }) =>
      status === "open" && turnId === entry.turnId && ask.questions.length === 0 && ask.title === entry.title
  )
  return asked ? { ...row, asked } : row
}

/** Turns that wait, in the order in which they run. What is being sent has left the queue. */
export const queueOf = (turns: ReadonlyArray<TurnRow>): ReadonlyArray<TurnRow> =>
  turns.filter((turn) => turn.state === "queued").sort((a, b) => a.ordinal - b.ordinal)

const inTurnOrder = (
  entries: ReadonlyArray<Entry>,
  turns: ReadonlyMap<string, TurnRow>
): ReadonlyArray<Entry> => {
  const worked = new Set(entries.filter((entry) => !isPrompt(entry)).map((entry) => entry.turnId))
  const ordered: Array<Entry> = []
  let deferred: Array<MessageEntry> = []
  const flush = (which: (prompt: MessageEntry) => boolean) => {
    const now = deferred.filter(which)
    if (now.length === 0) return
    deferred = deferred.filter((prompt) => !which(prompt))
    ordered.push(...now.sort((a, b) => ordinalOf(a, turns) - ordinalOf(b, turns)))
  }
  for (const entry of entries) {
    if (isPrompt(entry)) {
      const turn = entry.turnId === null ? undefined : turns.get(entry.turnId)
      if (turn?.state === "queued") continue
      if (turn?.state === "steered" || entry.turnId === null) ordered.push(entry)
      else deferred.push(entry)
      continue
    }
    const own = deferred.find((prompt) => prompt.turnId === entry.turnId)
    if (own !== undefined) {
      // What was withdrawn before this one began is read before it.
      const place = ordinalOf(own, turns)
      flush((prompt) => prompt === own || (!worked.has(prompt.turnId) && ordinalOf(prompt, turns) < place))
    }
    ordered.push(entry)
  }
  flush(() => true)
  return ordered
}

/** An older server does not tell the turns of older pages: then the order in which the prompts came. */
const ordinalOf = (prompt: MessageEntry, turns: ReadonlyMap<string, TurnRow>): number =>
  (prompt.turnId === null ? undefined : turns.get(prompt.turnId)?.ordinal) ?? prompt.position

/** Where each turn ends: at its last entry, or at a message that went into it as its last word. */
const endsIn = (ordered: ReadonlyArray<Entry>, turns: ReadonlyMap<string, TurnRow>) => {
  const last = new Map<string, number>()
  for (const [index, { turnId }] of ordered.entries()) {
    if (turnId !== null) last.set(turns.get(turnId)?.into ?? turnId, index)
  }
  return new Map([...last].map(([turnId, index]) => [index, turns.get(turnId) ?? null]))
}

const rowOf = (entry: Entry, turn: TurnRow | null): TimelineRow => {
  if (entry.type === "item") return { type: "work", key: entry.id, entry, joined: "alone", asked: false }
  if (entry.role === "user") return { type: "prompt", key: entry.id, entry, turn }
  return { type: "message", key: entry.id, entry }
}

const requestRow = (request: RequestRow): TimelineRow => ({
  type: "request",
  key: `request/${request.requestId}`,
  request
})

/** Cards only: a notice is a line of its own, a plan has its own face. */
const isCard = (row: TimelineRow | undefined): boolean =>
  row?.type === "work" && row.entry.kind !== "notice" && row.entry.kind !== "plan"

const join = (rows: ReadonlyArray<TimelineRow>): ReadonlyArray<TimelineRow> =>
  rows.map((row, index) => {
    if (row.type !== "work" || !isCard(row)) return row
    const above = isCard(rows[index - 1])
    const below = isCard(rows[index + 1])
    const joined: Joined = above ? (below ? "middle" : "last") : below ? "first" : "alone"
    return joined === "alone" ? row : { ...row, joined }
  })

interface Counting {
  readonly files: Set<string>
  commands: number
}
const noFacts = (): Counting => ({ files: new Set(), commands: 0 })
const factsOf = ({ files, commands }: Counting): TurnFacts => ({ files: [...files], commands })

const count = (facts: Counting, entry: ItemEntry) => {
  if (entry.status !== "completed") return
  if (entry.kind === "command") facts.commands += 1
  if (entry.kind !== "file_change") return
  const { changes, path } = entry.detail
  if (Array.isArray(changes)) {
    for (const change of changes) if (typeof change?.path === "string") facts.files.add(change.path)
  } else if (typeof path === "string") facts.files.add(path)
}
