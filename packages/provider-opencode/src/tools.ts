/** How a tool of OpenCode is shown. Pure. */
import type { ItemDetail, ItemEnd, ItemKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { byName } from "@turnkeeper/provider-kit/byName"
import { bounded } from "@turnkeeper/provider-kit/detail"
import type { ToolPart } from "./protocol.ts"

const kinds = byName<ItemKind>({
  bash: "command",
  edit: "file_change",
  multiedit: "file_change",
  write: "file_change",
  patch: "file_change",
  apply_patch: "file_change",
  webfetch: "web_search",
  websearch: "web_search",
  codesearch: "web_search"
})

export const kindOf = ({ tool }: ToolPart): ItemKind => kinds(tool) ?? "tool_call"

const titleMax = 500

export const titleOf = ({ tool, state }: ToolPart): string => {
  const said = [state.input?.["command"], state.input?.["filePath"], state.title].find(
    (text) => typeof text === "string" && text !== ""
  )
  return String(said ?? tool).slice(0, titleMax)
}

/** The diff comes with the end only: it would be stored twice. */
export const detailOf = (part: ToolPart, done: boolean): ItemDetail => {
  const { tool, state } = part
  const { metadata = {} } = state
  if (kindOf(part) === "command") {
    return bounded({ command: state.input?.["command"], exitCode: metadata["exit"], error: state.error })
  }
  if (kindOf(part) === "file_change") {
    const { filePath, content } = state.input ?? {}
    // A tool that writes a whole file makes no diff of it.
    const change = done ? { diff: metadata["diff"] ?? content } : {}
    return bounded({ tool, path: filePath, ...change, error: state.error })
  }
  return bounded({ tool, arguments: state.input, error: state.error })
}

/** What the tool has printed so far, where it prints; OpenCode sends all of it each time. */
export const outputOf = (part: ToolPart): string | null => {
  if (kindOf(part) === "file_change") return null
  const output = part.state.output ?? part.state.metadata?.["output"]
  return typeof output === "string" ? output : null
}

export const endOf = ({ state }: ToolPart, declined: boolean): ItemEnd => {
  if (state.status === "completed") return "completed"
  return declined ? "declined" : "failed"
}
