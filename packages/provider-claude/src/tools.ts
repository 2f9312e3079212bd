/** How a tool of Claude is shown. Pure. */
import type { ItemDetail, ItemKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { byName } from "@turnkeeper/provider-kit/byName"
import { bounded } from "@turnkeeper/provider-kit/detail"

export interface Call {
  readonly tool: string
  readonly input: Readonly<Record<string, unknown>>
}

export const questionTool = "AskUserQuestion"
export const leavesPlan = "ExitPlanMode"
export const changesFiles: ReadonlyArray<string> = ["Edit", "MultiEdit", "Write", "NotebookEdit"]

const kinds = byName<ItemKind>({
  Bash: "command",
  PowerShell: "command",
  ...Object.fromEntries(changesFiles.map((tool) => [tool, "file_change" as const])),
  WebFetch: "web_search",
  WebSearch: "web_search",
  TodoWrite: "plan",
  [leavesPlan]: "plan"
})

export const kindOf = (tool: string): ItemKind => kinds(tool) ?? "tool_call"

const titleMax = 500

export const titleOf = ({ tool, input }: Call): string => {
  if (kindOf(tool) === "plan") return "Plan"
  const said = ["command", "file_path", "notebook_path", "url", "query", "description"]
    .map((key) => input[key])
    .find((text) => typeof text === "string" && text !== "")
  return String(said ?? tool).slice(0, titleMax)
}

/** What a tool gave back: its text for the model, and Claude's own account of it where there is one. */
export interface Result {
  readonly text: string
  readonly isError: boolean
  readonly account: unknown
}

/** The diff comes with the end only: it would be stored twice. */
export const detailOf = ({ tool, input }: Call, result: Result | null): ItemDetail => {
  const error = result?.isError === true ? result.text : undefined
  switch (kindOf(tool)) {
    case "command":
      return bounded({ command: input["command"], error })
    case "file_change": {
      const change = result === null || result.isError ? {} : { diff: diffOf(result.account) }
      return bounded({ tool, path: input["file_path"] ?? input["notebook_path"], ...change, error })
    }
    case "plan":
      return bounded({ steps: stepsOf(input["todos"]), error })
    default:
      return bounded({ tool, arguments: input, error })
  }
}

/** Null keeps what was streamed: nothing, for a tool. */
export const textOf = ({ tool, input }: Call, { text, account }: Result): string | null => {
  switch (kindOf(tool)) {
    case "command": {
      const { stdout, stderr } = recordOf(account)
      const printed = [stdout, stderr].filter((part) => typeof part === "string" && part !== "")
      return printed.length > 0 ? printed.join("\n") : text
    }
    case "file_change":
      return null
    case "plan":
      return typeof input["plan"] === "string" ? input["plan"] : null
    default:
      return text
  }
}

interface Hunk {
  readonly oldStart: number
  readonly oldLines: number
  readonly newStart: number
  readonly newLines: number
  readonly lines: ReadonlyArray<string>
}

/** Claude tells the changed parts, and of a new file its whole content. */
const diffOf = (account: unknown): string | undefined => {
  const { filePath, structuredPatch, type, content } = recordOf(account)
  if (typeof filePath !== "string") return undefined
  if (type === "create" && typeof content === "string") {
    return [`--- /dev/null`, `+++ ${filePath}`, ...addition(content)].join("\n")
  }
  if (!Array.isArray(structuredPatch) || structuredPatch.length === 0) return undefined
  return [`--- ${filePath}`, `+++ ${filePath}`, ...(structuredPatch as ReadonlyArray<Hunk>).map(hunkOf)].join(
    "\n"
  )
}

const addition = (content: string): ReadonlyArray<string> => {
  const whole = content.endsWith("\n")
  const lines = (whole ? content.slice(0, -1) : content).split("\n").map((line) => `+${line}`)
  return [`@@ -0,0 +1,${lines.length} @@`, ...lines, ...(whole ? [] : ["\\ No newline at end of file"])]
}

const hunkOf = ({ oldStart, oldLines, newStart, newLines, lines }: Hunk): string =>
  [`@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`, ...lines].join("\n")

const stepsOf = (todos: unknown) =>
  Array.isArray(todos)
    ? todos.map((todo) => {
        const { content, status } = recordOf(todo)
        return { step: content, status: status === "in_progress" ? "inProgress" : status }
      })
    : undefined

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}
