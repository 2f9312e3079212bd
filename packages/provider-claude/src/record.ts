/**
 * Claude's own record of a conversation: a file of JSON lines, below its configuration, under the
 * conversation's name. It is only ever added to.
 *
 * A turn is the line of the user's message, under the name that we gave it, with what follows under the same
 * prompt. The record says what was said and never how the turn ended: completed is what the model itself
 * ended (L7).
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Evidence, RecordedText } from "@turnkeeper/domain/thread/Owed"
import { Effect } from "effect"
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync
} from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Block } from "./protocol.ts"
import type { End } from "./result.ts"
import { itemId } from "./Turn.ts"

type Env = Readonly<Record<string, string | undefined>>

export interface Line {
  readonly type: string
  readonly uuid?: string
  readonly promptId?: string
  readonly isMeta?: boolean
  readonly isSidechain?: boolean
  readonly isApiErrorMessage?: boolean
  readonly message?: {
    readonly id?: string
    readonly model?: string
    readonly stop_reason?: string | null
    readonly content?: string | ReadonlyArray<Block>
  }
}

export const isSessionId = (cursor: string): boolean =>
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(cursor)

/** The conversation's file, or null when there is none. Every project has a folder of its own. */
export const fileOf = (env: Env, sessionId: string): string | null => {
  const projects = join(env["CLAUDE_CONFIG_DIR"] || join(env["HOME"] ?? homedir(), ".claude"), "projects")
  if (!isSessionId(sessionId) || !existsSync(projects)) return null
  return (
    readdirSync(projects)
      .map((folder) => join(projects, folder, `${sessionId}.jsonl`))
      .find((file) => existsSync(file)) ?? null
  )
}

/** A record that has no message yet, or was torn before its first, is no conversation to Claude: it cannot be resumed. */
export const hasMessages = (file: string): Effect.Effect<boolean, unknown> =>
  Effect.tryPromise(async () => {
    for await (const text of linesOf(file)) if (parse(text) !== null) return true
    return false
  })

/** The file is closed however far it was read. */
async function* linesOf(file: string): AsyncGenerator<string, void> {
  const input = createReadStream(file)
  try {
    yield* createInterface({ input, crlfDelay: Infinity })
  } finally {
    input.destroy()
  }
}

/** A longer record is not read: then the answer is "cannot tell", never "no". */
const bytesMax = 512 * 1024 * 1024

/** Nobody works on the turn any more. `null`: the record does not know it. */
export const readTurn = (file: string, uuid: string): Effect.Effect<Turn | null, unknown> =>
  Effect.tryPromise(async () => {
    if (statSync(file).size > bytesMax)
      throw new Error("Claude's record of this conversation is too long to read.")
    const reader = turnReader(uuid)
    for await (const text of linesOf(file)) {
      const line = parse(text)
      if (line !== null) reader.read(line)
    }
    return reader.turn()
  })

const parse = (text: string): Line | null => {
  // Most lines are something else, and long.
  if (!text.includes('"type":"user"') && !text.includes('"type":"assistant"')) return null
  try {
    return Object(JSON.parse(text)) as Line
  } catch {
    // Torn by the end of the process that wrote it.
    return null
  }
}

export interface Turn extends End {
  readonly texts: ReadonlyArray<RecordedText>
}

const textsMax = 500

/** Reads a record line by line, and keeps what belongs to the one turn. */
export const turnReader = (uuid: string) => {
  let prompt: Line | null = null
  let over = false
  let last: Line | null = null
  const blocks = new Map<string, number>()
  const texts: Array<RecordedText> = []

  const read = (line: Line) => {
    if (line.isSidechain === true || line.isMeta === true || over) return
    if (prompt === null) {
      if (line.type === "user" && line.uuid === uuid) prompt = line
      return
    }
    if (line.type === "user") {
      if (isAnotherPrompt(line, prompt)) over = true
      else last = line
    } else if (line.type === "assistant" && (!isSynthetic(line) || line.isApiErrorMessage === true)) {
      last = line
      if (!isSynthetic(line)) keep(line)
    }
  }

  const keep = ({ message }: Line) => {
    const id = message?.id ?? ""
    for (const { type, text, thinking } of partsOf(message?.content)) {
      const block = blocks.get(id) ?? 0
      blocks.set(id, block + 1)
      const said = type === "text" ? text : type === "thinking" ? thinking : ""
      if (said === undefined || said === "" || texts.length >= textsMax) continue
      const kind = type === "text" ? ("assistant_message" as const) : ("reasoning" as const)
      texts.push({ kind, providerItemId: itemId(id, block), text: said })
    }
  }

  return { read, turn: (): Turn | null => (prompt === null ? null : { ...endOf(last), texts }) }
}

/** What Claude writes in the model's name, to mend a conversation that was cut. */
const isSynthetic = ({ message }: Line): boolean => message?.model === "<synthetic>"

const isAnotherPrompt = (line: Line, prompt: Line): boolean =>
  !isToolResult(line) && (line.promptId === undefined || line.promptId !== prompt.promptId)

const isToolResult = ({ message }: Line): boolean =>
  partsOf(message?.content).some(({ type }) => type === "tool_result")

const partsOf = (content: string | ReadonlyArray<Block> | undefined): ReadonlyArray<Block> =>
  typeof content === "string" ? [{ type: "text", text: content }] : (content ?? [])

const messageMax = 2_000

const endOf = (last: Line | null): End => {
  const cut: End = { outcome: "interrupted", message: "Claude stopped working on this turn before its end." }
  if (last === null) return cut
  // A turn whose last word is the user's was interrupted by him.
  if (last.type === "user") return isToolResult(last) ? cut : { outcome: "interrupted", message: null }
  if (last.isApiErrorMessage === true) {
    const message = partsOf(last.message?.content).map(({ text }) => text ?? "")
    return { outcome: "failed", message: message.join("").slice(0, messageMax) }
  }
  const reason = last.message?.stop_reason ?? null
  return reason === null || reason === "tool_use" ? cut : { outcome: "completed", message: null }
}

export const evidenceOf = (uuid: string, turn: Turn): Evidence => ({
  type: "found",
  providerTurnId: ProviderTurnId.make(uuid),
  running: false,
  ...turn
})

const tailBytes = 256 * 1024

/** What the conversation has cost so far, as its record says near its end; null when it does not. */
export const costIn = (path: string): number | null => {
  const file = openSync(path, "r")
  try {
    const { size } = fstatSync(file)
    const tail = Buffer.alloc(Math.min(size, tailBytes))
    readSync(file, tail, 0, tail.length, size - tail.length)
    const line = tail
      .toString("utf8")
      .split("\n")
      .findLast((text) => text.startsWith('{"type":"cost-state"'))
    const { totalCostUSD } = Object(JSON.parse(line ?? "null")) as { totalCostUSD?: unknown }
    return typeof totalCostUSD === "number" ? totalCostUSD : null
  } catch {
    return null
  } finally {
    closeSync(file)
  }
}
