/**
 * What the detail of an item says. Adapters fill it each in their own way and it is for display only, so every
 * field is looked for and none is relied on. Pure.
 */
import type { ItemEntry } from "@turnkeeper/contracts/Rows"

type Detail = ItemEntry["detail"]

const textIn = (detail: Detail, ...names: ReadonlyArray<string>): string | null => {
  for (const name of names) {
    const value = detail[name]
    if (typeof value === "string" && value !== "") return value
  }
  return null
}

const numberIn = (detail: Detail, name: string): number | null => {
  const value = detail[name]
  return typeof value === "number" && Number.isFinite(value) ? value : null
}

export interface CommandDetail {
  readonly command: string
  readonly cwd: string | null
  readonly exitCode: number | null
  readonly durationMs: number | null
}

export const commandOf = (title: string, detail: Detail): CommandDetail => ({
  command: textIn(detail, "command") ?? title,
  cwd: textIn(detail, "cwd"),
  exitCode: numberIn(detail, "exitCode"),
  durationMs: numberIn(detail, "durationMs")
})

export interface FileChange {
  readonly path: string
  readonly kind: "add" | "delete" | "update"
  /** A unified diff, or the whole text of a file that was written anew. */
  readonly diff: string | null
}

const kindOf = (kind: unknown): FileChange["kind"] => {
  const name = typeof kind === "object" && kind !== null && "type" in kind ? kind.type : kind
  return name === "add" || name === "delete" ? name : "update"
}

export const changesOf = (title: string, detail: Detail): ReadonlyArray<FileChange> => {
  const { changes } = detail
  if (Array.isArray(changes)) {
    return changes.flatMap((change: unknown): ReadonlyArray<FileChange> => {
      if (typeof change !== "object" || change === null) return []
      const fields = change as Detail
      return [
        {
          path: textIn(fields, "path") ?? title,
          kind: kindOf(fields["kind"]),
          diff: textIn(fields, "diff", "unifiedDiff")
        }
      ]
    })
  }
  const oldText = textIn(detail, "oldText", "old_string")
  const newText = textIn(detail, "newText", "new_string")
  const whole = oldText === null && newText === null ? null : replaced(oldText ?? "", newText ?? "")
  return [
    {
      path: textIn(detail, "path", "filePath", "file_path") ?? title,
      kind: kindOf(detail["kind"]),
      diff: textIn(detail, "diff", "patch") ?? whole
    }
  ]
}

/** Two texts as a diff without places: everything old, then everything new. */
const replaced = (before: string, after: string): string =>
  [...linesOf(before).map((line) => `-${line}`), ...linesOf(after).map((line) => `+${line}`)].join("\n")
const linesOf = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"))

export interface PlanStep {
  readonly text: string
  readonly status: "done" | "active" | "todo"
}

export const stepsOf = (detail: Detail): ReadonlyArray<PlanStep> => {
  const steps = [detail["steps"], detail["entries"], detail["todos"]].find((one) => Array.isArray(one))
  if (steps === undefined) return []
  return (steps as ReadonlyArray<unknown>).flatMap((step): ReadonlyArray<PlanStep> => {
    if (typeof step !== "object" || step === null) return []
    const fields = step as Detail
    const text = textIn(fields, "step", "content", "text", "title")
    return text === null ? [] : [{ text, status: stepStatus(fields["status"]) }]
  })
}

const stepStatus = (status: unknown): PlanStep["status"] => {
  if (status === "completed" || status === "done") return "done"
  return status === "inProgress" || status === "in_progress" || status === "active" ? "active" : "todo"
}

/** Everything else, as people read it: one line per field, long values indented. */
export const fieldsOf = (
  detail: Detail,
  without: ReadonlyArray<string> = []
): ReadonlyArray<{ readonly name: string; readonly value: string }> =>
  Object.entries(detail).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === "" || without.includes(name)) return []
    return [{ name, value: typeof value === "string" ? value : JSON.stringify(value, null, 2) }]
  })
