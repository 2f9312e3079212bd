/** How a tool of an agent is shown. Pure, and total: an agent may leave out anything but the tool's id. */
import type { ItemDetail, ItemKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { byName } from "@turnkeeper/provider-kit/byName"
import { bounded } from "@turnkeeper/provider-kit/detail"
import { unified } from "./diff.ts"
import { record, textOf } from "./protocol.ts"
import type { ToolCallUpdate } from "./protocol.ts"

/** A tool call as it is known by now: an update says only what changes. */
export interface Tool {
  readonly title: string | null
  readonly name: string | null
  readonly kind: string | null
  readonly status: string | null
  readonly content: ReadonlyArray<unknown>
  readonly locations: ReadonlyArray<unknown>
  readonly rawInput: unknown
  readonly rawOutput: unknown
  /** What its terminal has printed, where the agent shows one of its own. */
  readonly terminal: string | null
  readonly exitCode: number | null
}

export const unseen: Tool = {
  title: null,
  name: null,
  kind: null,
  status: null,
  content: [],
  locations: [],
  rawInput: null,
  rawOutput: null,
  terminal: null,
  exitCode: null
}

const terminalMax = 1024 * 1024

export const updated = (tool: Tool, update: Partial<ToolCallUpdate>): Tool => {
  const meta = record(update._meta)
  return {
    title: textOf(update.title) ?? tool.title,
    name: textOf(update.name) ?? tool.name,
    kind: textOf(update.kind) ?? tool.kind,
    status: textOf(update.status) ?? tool.status,
    content: Array.isArray(update.content) ? update.content : tool.content,
    locations: Array.isArray(update.locations) ? update.locations : tool.locations,
    rawInput: update.rawInput ?? tool.rawInput,
    rawOutput: update.rawOutput ?? tool.rawOutput,
    terminal: terminalOf(tool.terminal, meta),
    exitCode: exitCodeOf(meta, update.rawOutput) ?? tool.exitCode
  }
}

/** Agents whose commands run in terminals of their own tell what these print beside the protocol's fields. */
const terminalOf = (before: string | null, meta: Record<string, unknown>): string | null => {
  const whole = textOf(record(meta["terminal_output"])["data"])
  if (whole !== null) return whole.slice(-terminalMax)
  const more = textOf(record(meta["terminal_output_delta"])["data"])
  return more === null ? before : ((before ?? "") + more).slice(-terminalMax)
}

const exitCodeOf = (meta: Record<string, unknown>, rawOutput: unknown): number | null => {
  const output = record(rawOutput)
  const said = [
    record(meta["terminal_exit"])["exit_code"],
    output["exitCode"],
    output["exit_code"],
    record(output["metadata"])["exit"]
  ].find((one) => typeof one === "number")
  return typeof said === "number" ? said : null
}

/** `think`, `search`, `read` and what is not known are tools like any other: their text is no thought of the model. */
const kinds = byName<ItemKind>({
  execute: "command",
  edit: "file_change",
  delete: "file_change",
  move: "file_change",
  fetch: "web_search"
})

export const kindOf = ({ kind }: Tool): ItemKind => kinds(kind ?? "other") ?? "tool_call"

const titleMax = 500

export const titleOf = (tool: Tool): string =>
  (tool.title ?? tool.name ?? pathsOf(tool)[0] ?? tool.kind ?? "tool").slice(0, titleMax)

/** Has it said anything that a card could show? Its first mention often comes before its input. */
export const isBare = ({ status, content, terminal }: Tool): boolean =>
  (status === null || status === "pending") && content.length === 0 && terminal === null

/** The diffs come with the end only: they would be stored twice. */
export const detailOf = (tool: Tool, done: boolean): ItemDetail => {
  const input = record(tool.rawInput)
  const error = tool.status === "failed" ? outputOf(tool) : null
  switch (kindOf(tool)) {
    case "command":
      return bounded({ command: commandOf(tool), cwd: input["cwd"], exitCode: tool.exitCode })
    case "file_change":
      return bounded({ tool: tool.name, path: pathsOf(tool)[0], changes: changesOf(tool, done), error })
    case "web_search":
      return bounded({ query: input["query"] ?? tool.title, url: input["url"], error })
    default:
      return bounded({
        tool: tool.name ?? tool.kind,
        arguments: tool.rawInput,
        paths: pathsOf(tool),
        error
      })
  }
}

const commandOf = ({ rawInput, title }: Tool): string | null => {
  const { command } = record(rawInput)
  return Array.isArray(command) ? command.join(" ") : (textOf(command) ?? title)
}

const pathsOf = ({ content, locations }: Tool): ReadonlyArray<string> => {
  const named = [...content, ...locations].map((one) => textOf(record(one)["path"]))
  return [...new Set(named.filter((path) => path !== null))]
}

const diffMax = 256 * 1024

/** In the shape of Codex's file changes, so that one card shows them all. */
const changesOf = (tool: Tool, done: boolean): ReadonlyArray<object> => {
  const diffs = tool.content.map(record).filter(({ type }) => type === "diff")
  return diffs.flatMap(({ path, oldText, newText }) => {
    const after = typeof newText === "string" ? newText : ""
    const before = typeof oldText === "string" ? oldText : null
    const type = before === null ? "add" : tool.kind === "delete" ? "delete" : "update"
    const change = { path, kind: { type } }
    if (!done) return [change]
    const tooLong = after.length + (before ?? "").length > diffMax
    return [{ ...change, diff: tooLong ? "" : unified(before ?? "", after) }]
  })
}

/** The changes that an approval is about: there the diff is what is decided on. */
export const proposedChanges = (tool: Tool): ReadonlyArray<object> => changesOf(tool, true)

/** What the tool has given back so far, as text; agents put it in different places. */
export const outputOf = (tool: Tool): string | null => {
  if (tool.terminal !== null) return tool.terminal
  const { output, stdout } = record(tool.rawOutput)
  const raw = textOf(tool.rawOutput) ?? textOf(output) ?? textOf(stdout)
  return raw ?? contentText(tool.content)
}

const contentText = (content: ReadonlyArray<unknown>): string | null => {
  const texts = content
    .map(record)
    .filter(({ type }) => type === "content")
    .map(({ content: block }) => blockText(block))
  return textOf(texts.join("\n"))
}

/** A block of content as text. A picture or a sound is named, not shown. */
export const blockText = (block: unknown): string => {
  const { type, text, uri, name, resource } = record(block)
  switch (type) {
    case "text":
      return typeof text === "string" ? text : ""
    case "resource_link":
      return `[${textOf(name) ?? "link"}](${textOf(uri) ?? ""})`
    case "resource":
      return textOf(record(resource)["text"]) ?? `[${textOf(record(resource)["uri"]) ?? "resource"}]`
    default:
      return textOf(type) === null ? "" : `[${type as string}]`
  }
}
