/**
 * The scripted provider's own history: which prompts each conversation really received and how their
 * turns ended. It stands for the file a real provider keeps.
 *
 * Promise: a line is on its way to the disk before the call that caused it is answered, so what was
 * acknowledged is found again after the process was killed. A line torn by the kill belongs to a call
 * that was never answered, and is skipped.
 */
import { MessageId, ProviderInstanceId, ProviderTurnId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { TurnOutcome } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Option, Schema } from "effect"
import { createHash } from "node:crypto"
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const Line = Schema.Union([
  Schema.Struct({ type: Schema.tag("opened"), instanceId: ProviderInstanceId, threadId: ThreadId }),
  /** A turn began; with `prompt`, because a prompt was received. */
  Schema.Struct({ type: Schema.tag("turn"), providerTurnId: ProviderTurnId, ordinal: Schema.Int }),
  Schema.Struct({
    type: Schema.tag("prompt"),
    providerTurnId: ProviderTurnId,
    turnId: TurnId,
    messageId: MessageId,
    text: Schema.String
  }),
  Schema.Struct({
    type: Schema.tag("text"),
    providerTurnId: ProviderTurnId,
    kind: Schema.Literals(["assistant_message", "reasoning"]),
    providerItemId: Schema.String,
    text: Schema.String
  }),
  Schema.Struct({
    type: Schema.tag("ended"),
    providerTurnId: ProviderTurnId,
    outcome: TurnOutcome,
    message: Schema.NullOr(Schema.String)
  })
]).pipe(Schema.toTaggedUnion("type"))
export type Line = typeof Line.Type
type LineOf<Type extends Line["type"]> = Extract<Line, { readonly type: Type }>

/** One turn of the provider, as its history has it. */
export interface RecordedTurn {
  readonly providerTurnId: ProviderTurnId
  readonly prompts: Array<LineOf<"prompt">>
  readonly texts: Array<LineOf<"text">>
  end: LineOf<"ended"> | null
}

export interface Conversation {
  /** The resume cursor. */
  readonly id: string
  readonly turns: Map<ProviderTurnId, RecordedTurn>
  /** Turns begun so far, the forgotten ones included: the ordinal in their ids. */
  begun: number
  readonly append: (line: Line) => void
}

export interface History {
  /** Makes a new conversation; never one that exists. */
  readonly create: (threadId: ThreadId) => Conversation
  /** The conversation with this cursor, or undefined. */
  readonly find: (id: string) => Conversation | undefined
}

/** A conversation forgets its oldest turns beyond this, and memory its oldest conversations. */
const limits = { turns: 10_000, conversations: 1_000 } as const

/** Kept as long as this object lives. */
export const inMemory = (instanceId: ProviderInstanceId): History => {
  const all = new Map<string, Conversation>()
  return {
    create: (threadId) => {
      const id = freeId(instanceId, threadId, (candidate) => all.has(candidate))
      const conversation = empty(id, () => {})
      if (all.size >= limits.conversations) all.delete(all.keys().next().value ?? "")
      all.set(id, conversation)
      return conversation
    },
    find: (id) => all.get(id)
  }
}

/** One file of JSON lines per conversation. */
export const inDirectory = (instanceId: ProviderInstanceId, directory: string): History => {
  mkdirSync(directory, { recursive: true })
  const fileOf = (id: string) => join(directory, `${id}.jsonl`)
  // The newline comes first: it ends the torn line of an earlier process, which would swallow this one.
  const writer = (id: string) => (line: Line) =>
    appendFileSync(fileOf(id), `\n${JSON.stringify(encode(line))}`)
  return {
    create: (threadId) => {
      const id = freeId(instanceId, threadId, (candidate) => existsSync(fileOf(candidate)))
      const conversation = empty(id, writer(id))
      conversation.append({ type: "opened", instanceId, threadId })
      return conversation
    },
    find: (id) => {
      // The cursor comes from outside: it must not name a file elsewhere.
      if (!/^conv-[0-9a-f]{24}-\d+$/.test(id) || !existsSync(fileOf(id))) return undefined
      const conversation = empty(id, writer(id))
      for (const line of readLines(fileOf(id))) apply(conversation, line)
      return conversation
    }
  }
}

/** Every prompt that was really received, as the files of a directory tell it. */
export const readReceived = (directory: string): ReadonlyArray<LineOf<"prompt">> =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".jsonl"))
    .sort()
    .flatMap((name) => readLines(join(directory, name)).filter((line) => line.type === "prompt"))

/** The turn that received this message. */
export const turnOf = (conversation: Conversation, turnId: TurnId): RecordedTurn | undefined => {
  for (const turn of conversation.turns.values()) {
    if (turn.prompts.some((prompt) => prompt.turnId === turnId)) return turn
  }
  return undefined
}

const empty = (id: string, write: (line: Line) => void): Conversation => {
  const conversation: Conversation = {
    id,
    turns: new Map(),
    begun: 0,
    append: (line) => {
      write(line)
      apply(conversation, line)
    }
  }
  return conversation
}

const apply = (conversation: Conversation, line: Line): void => {
  if (line.type === "opened") return
  if (line.type === "turn") {
    const { turns } = conversation
    turns.set(line.providerTurnId, { providerTurnId: line.providerTurnId, prompts: [], texts: [], end: null })
    if (turns.size > limits.turns) turns.delete(turns.keys().next().value!)
    conversation.begun = line.ordinal
    return
  }
  const turn = conversation.turns.get(line.providerTurnId)
  if (turn === undefined) return
  if (line.type === "prompt") turn.prompts.push(line)
  else if (line.type === "text") turn.texts.push(line)
  else turn.end ??= line
}

const freeId = (
  instanceId: ProviderInstanceId,
  threadId: ThreadId,
  taken: (id: string) => boolean
): string => {
  const name = createHash("sha256").update(`${instanceId} ${threadId}`).digest("hex").slice(0, 24)
  let n = 1
  while (taken(`conv-${name}-${n}`)) n += 1
  return `conv-${name}-${n}`
}

const encode = Schema.encodeSync(Line)
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Line))

const readLines = (file: string): ReadonlyArray<Line> =>
  readFileSync(file, "utf8")
    .split("\n")
    .flatMap((text) => Option.toArray(decode(text)))
