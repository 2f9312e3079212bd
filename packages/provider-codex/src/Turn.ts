/**
 * One turn of Codex's: what was told of it, and what of that is still open. No I/O.
 *
 * Codex tells most of a turn in our order. What it leaves out is added here: the start and the end of its list
 * of steps, the cut of a text that it began anew, the end of an item that the user declined.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { HeardItem } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import { notice, stepsItemId } from "./translate.ts"

/** The turn that Codex works on, or has agreed to work on. */
export interface Turn {
  readonly id: string
  /** Ours, where we know that it carries our message. */
  readonly turnId: TurnId | null
  /** Resolves when Codex can be told something about it: it started, or is over already. */
  readonly started: Deferred.Deferred<void>
  readonly over: Deferred.Deferred<void>
  /** Its commands that have not ended. */
  readonly commands: Set<string>
  /** Messages put into it that Codex has not taken up yet. */
  readonly steers: Set<string>
  /** What was told of it, in its order. */
  readonly items: Array<Told>
  steps: "none" | "open"
}

interface Told extends Omit<HeardItem, "text"> {
  open: boolean
  /** The user said no to it. */
  declined: boolean
  /** Some of its text was missed: what comes now has no place until the whole text comes. */
  holed: boolean
}

const itemsMax = 10_000

export const make = (id: string, turnId: TurnId | null): Turn => ({
  id,
  turnId,
  started: Deferred.makeUnsafe<void>(),
  over: Deferred.makeUnsafe<void>(),
  commands: new Set(),
  steers: new Set(),
  items: [],
  steps: "none"
})

/** Codex has started it. Whether that is new. */
export const start = ({ started }: Turn): boolean => Deferred.doneUnsafe(started, Effect.void)

/** Codex has ended it: what is left to say before its end. Whoever waits for it is told. */
export const end = (turn: Turn): ReadonlyArray<ProviderEvent> => {
  const before = [...declinedItems(turn)]
  if (turn.steps === "open") before.push(stepsCompleted(turn.id))
  if (turn.steers.size > 0)
    before.push(notice("The turn ended before Codex had read a message that was added to it."))
  Deferred.doneUnsafe(turn.started, Effect.void)
  Deferred.doneUnsafe(turn.over, Effect.void)
  return before
}

/** A message is about to be put into this turn. */
export const steerBegan = ({ steers }: Turn, turnId: TurnId): void => void steers.add(turnId)

/** It was not, or that is not known. */
export const steerFailed = ({ steers }: Turn, turnId: TurnId): void => void steers.delete(turnId)

/** Codex tells of one of its items. Its own copy of a message says that the message is taken up. */
export const heardItem = ({ commands, steers }: Turn, method: string, item: Protocol.ThreadItem): void => {
  if (item.type === "commandExecution" && method === "item/started") commands.add(item.id)
  if (item.type === "userMessage" && item.clientId !== null) steers.delete(item.clientId)
}

export const commandEnded = ({ commands }: Turn, itemId: string): void => void commands.delete(itemId)

/** What is told of an event while this turn runs. It is kept in mind, and what has no place is held back. */
export const told = (turn: Turn | null, event: ProviderEvent): ReadonlyArray<ProviderEvent> => {
  const isOfTurn = "providerTurnId" in event && event.providerTurnId === turn?.id
  if (event.type === "item.updated" && event.providerItemId === stepsItemId)
    return turn !== null && isOfTurn ? toldSteps(turn, event) : []
  if (turn === null || !isOfTurn) return [event]
  switch (event.type) {
    case "item.started":
    case "item.completed": {
      const cut = cutTexts(turn, event)
      noteItem(turn, event)
      return [...cut, event]
    }
    case "text.delta":
      return openItem(turn, event.providerItemId)?.holed === true ? [] : [event]
    default:
      return [event]
  }
}

/** The user has answered what was asked about this item. */
export const answered = (turn: Turn, itemId: string, declined: boolean): void => {
  const item = openItem(turn, itemId)
  if (item !== undefined) item.declined = declined
}

/** What was told of it, in case that not all of it will be heard. */
export const heardItems = ({ items }: Turn): ReadonlyArray<HeardItem> =>
  items.map(({ detail, kind, open, providerItemId, title }) => ({
    detail,
    kind,
    providerItemId,
    title,
    text: open ? "" : null
  }))

/** Not all of it was heard: this is what was told of it, and an open text misses something from now on. */
export const missed = (turn: Turn, heard: ReadonlyArray<HeardItem>): void => {
  const items = heard.map(({ text, ...item }) => {
    const open = text !== null
    return { ...item, open, declined: false, holed: open }
  })
  turn.items.splice(0, Infinity, ...items)
}

type ItemEvent = Extract<ProviderEvent, { type: "item.started" | "item.completed" }>

/** An item may come a second time under its name, once the first has ended. */
const openItem = ({ items }: Turn, id: string): Told | undefined =>
  items.findLast((item) => item.open && item.providerItemId === id)

const noteItem = (turn: Turn, { detail, kind, providerItemId, title, type }: ItemEvent): void => {
  const known = openItem(turn, providerItemId)
  const open = type === "item.started"
  if (known !== undefined) known.open = open
  else if (turn.items.length < itemsMax)
    turn.items.push({ kind, providerItemId, title, detail, open, declined: false, holed: false })
}

/**
 * Codex says one text of a kind after the other: one that had been begun when nobody listened, and is passed
 * over, was cut and begun anew. Nobody has said so, so it is said here.
 */
const cutTexts = (turn: Turn, { kind, providerItemId }: ItemEvent): ReadonlyArray<ProviderEvent> => {
  if (kind !== "assistant_message" && kind !== "reasoning") return []
  const cut = turn.items.filter(
    (item) => item.open && item.holed && item.kind === kind && item.providerItemId !== providerItemId
  )
  if (cut.length === 0) return []
  for (const item of cut) item.open = false
  return [
    {
      type: "error.transient",
      providerTurnId: ProviderTurnId.make(turn.id),
      message: "Codex began its answer again.",
      attempt: null,
      limit: null
    }
  ]
}

/** Codex does not tell the end of a declined item when the question was asked on an earlier connection. */
const declinedItems = ({ id, items }: Turn): ReadonlyArray<ProviderEvent> =>
  items
    .filter(({ declined, open }) => declined && open)
    .map(({ detail, kind, providerItemId, title }) => ({
      type: "item.completed",
      providerTurnId: ProviderTurnId.make(id),
      providerItemId,
      kind,
      title,
      end: "declined",
      text: null,
      detail
    }))

const stepsTitle = "Steps"

/** Codex only ever updates its list of steps: the first update of a turn starts the item. */
const toldSteps = (
  turn: Turn,
  event: Extract<ProviderEvent, { type: "item.updated" }>
): ReadonlyArray<ProviderEvent> => {
  if (turn.steps === "open") return [event]
  turn.steps = "open"
  const { providerTurnId, providerItemId, detail } = event
  return [{ type: "item.started", providerTurnId, providerItemId, kind: "plan", title: stepsTitle, detail }]
}

/** Nor does it say that they are done with: they are when the turn is. */
const stepsCompleted = (turnId: string): ProviderEvent => ({
  type: "item.completed",
  providerTurnId: ProviderTurnId.make(turnId),
  providerItemId: stepsItemId,
  kind: "plan",
  title: stepsTitle,
  end: "completed",
  text: null,
  detail: {}
})
