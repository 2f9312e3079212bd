/** Shapes a tool call for the tools an agent really offers: agents name theirs differently. */
import type { Tool } from "./Api.ts"
import type { Plan } from "./script.ts"

export interface ToolCall {
  readonly name: string
  /** What a call with JSON arguments carries. */
  readonly arguments: Readonly<Record<string, unknown>>
  /** Set for a tool that takes plain text instead of JSON. */
  readonly input: string | null
}

/** The call that a plan asks for, or null when it asks for none or no offered tool can do it. */
export const toolCall = (plan: Plan, tools: ReadonlyArray<Tool>): ToolCall | null => {
  if (plan.kind === "shell") return shell(tools, plan.command, plan.ask)
  if (plan.kind === "write") return write(tools, plan.path, plan.text)
  if (plan.kind === "tool") return find(tools, [plan.name]) === undefined ? null : json(plan.name, plan.input)
  return null
}

const shell = (tools: ReadonlyArray<Tool>, command: string, ask: boolean): ToolCall | null => {
  const offered = find(tools, ["exec_command", "shell_command", "shell", "Bash", "bash", "run_shell_command"])
  if (offered === undefined) return null
  switch (offered.name) {
    case "exec_command":
      return json("exec_command", { cmd: command, ...(ask && escalation) })
    case "shell_command":
      return json("shell_command", { command, ...(ask && escalation) })
    case "shell":
      return json("shell", { command: ["bash", "-lc", command], ...(ask && escalation) })
    default:
      return json(offered.name, { command, description: "Run a command" })
  }
}

const escalation = { sandbox_permissions: "require_escalated", justification: "May I run this?" }

const write = (tools: ReadonlyArray<Tool>, path: string, text: string): ToolCall | null => {
  const offered = find(tools, ["Write", "write_file", "write", "apply_patch"])
  const added = text.split("\n").map((line) => `+${line}`)
  const patch = ["*** Begin Patch", `*** Add File: ${path}`, ...added, "*** End Patch", ""].join("\n")
  // Codex recognises a patch in a shell command and shows it as a change of files.
  if (offered === undefined) return shell(tools, `apply_patch <<'PATCH'\n${patch}PATCH\n`, false)
  switch (offered.name) {
    case "Write":
    case "write_file":
      return json(offered.name, { file_path: path, content: text })
    case "write":
      return json("write", { filePath: path, path, content: text })
    default:
      return {
        name: "apply_patch",
        arguments: { input: patch },
        input: offered.type === "custom" ? patch : null
      }
  }
}

const find = (tools: ReadonlyArray<Tool>, names: ReadonlyArray<string>): Tool | undefined => {
  for (const name of names) {
    const tool = tools.find((one) => one.name === name)
    if (tool !== undefined) return tool
  }
  return undefined
}

const json = (name: string, args: Readonly<Record<string, unknown>>): ToolCall => ({
  name,
  arguments: args,
  input: null
})
