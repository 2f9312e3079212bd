/**
 * Writes `src/_generated/protocol.ts`: the types of Codex's app-server protocol that this package uses,
 * and what they need, out of the several hundred that the program can print.
 *
 *     node scripts/generate.ts /path/to/codex
 *
 * `opaque` types become `unknown`: whole subtrees of the protocol hang on optional fields that are never
 * read or set here.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"

/** The version that the adapter is written and tested against. */
const pinned = "0.169.0"

const roots = [
  "InitializeParams",
  "InitializeResponse",
  "RequestId",
  "ThreadStartParams",
  "ThreadStartResponse",
  "ThreadResumeParams",
  "ThreadResumeResponse",
  "ThreadReadParams",
  "ThreadReadResponse",
  "ThreadUnsubscribeParams",
  "ThreadUnsubscribeResponse",
  "ThreadLoadedListParams",
  "ThreadLoadedListResponse",
  "ThreadTurnsListParams",
  "ThreadTurnsListResponse",
  "ThreadItemsListParams",
  "ThreadItemsListResponse",
  "ThreadBackgroundTerminalsListParams",
  "ThreadBackgroundTerminalsListResponse",
  "ThreadBackgroundTerminalsTerminateParams",
  "ThreadBackgroundTerminalsTerminateResponse",
  "TurnStartParams",
  "TurnStartResponse",
  "TurnSteerParams",
  "TurnSteerResponse",
  "TurnInterruptParams",
  "TurnInterruptResponse",
  "ModelListParams",
  "ModelListResponse",
  "GetAccountParams",
  "GetAccountResponse",
  "CommandExecutionRequestApprovalParams",
  "CommandExecutionRequestApprovalResponse",
  "FileChangeRequestApprovalParams",
  "FileChangeRequestApprovalResponse",
  "PermissionsRequestApprovalParams",
  "PermissionsRequestApprovalResponse",
  "ToolRequestUserInputParams",
  "ToolRequestUserInputResponse",
  "McpServerElicitationRequestParams",
  "McpServerElicitationRequestResponse",
  "ErrorNotification",
  "TurnStartedNotification",
  "TurnCompletedNotification",
  "TurnPlanUpdatedNotification",
  "ItemStartedNotification",
  "ItemCompletedNotification",
  "AgentMessageDeltaNotification",
  "PlanDeltaNotification",
  "ReasoningSummaryTextDeltaNotification",
  "ReasoningSummaryPartAddedNotification",
  "ReasoningTextDeltaNotification",
  "CommandExecutionOutputDeltaNotification",
  "McpToolCallProgressNotification",
  "ThreadTokenUsageUpdatedNotification",
  "ThreadStartedNotification",
  "ThreadClosedNotification",
  "ServerRequestResolvedNotification",
  "WarningNotification",
  "ModelReroutedNotification"
]

const opaque = new Set([
  "AdditionalContextEntry",
  "AdditionalPermissionProfile",
  "AgentMessageModeration",
  "AsyncUserInputQuestion",
  "CapabilityRootLocation",
  "CollabAgentState",
  "CyberAccessProgram",
  "DynamicToolCallOutputContentItem",
  "DynamicToolSpec",
  "FunctionCallOutputBody",
  "HookPromptFragment",
  "JsonValue",
  "McpElicitationSchema",
  "McpToolCallAppContext",
  "McpToolCallError",
  "McpToolCallResult",
  "McpAppUi",
  "MemoryCitation",
  "ModelAccessPrograms",
  "ModelUpgradeInfo",
  "NetworkApprovalContext",
  "ResponseItem",
  "SelectedCapabilityRoot",
  "SessionSource",
  "ThreadEnvironment",
  "ThreadExtra",
  "ThreadResumeInitialTurnsPageParams",
  "ThreadSection",
  "TurnEnvironmentParams",
  "TurnToolOutput",
  "WorkspaceRouting"
])

const main = (binary: string | undefined): void => {
  if (binary === undefined) throw new Error("usage: node scripts/generate.ts /path/to/codex")
  const version = execFileSync(binary, ["--version"], { encoding: "utf8" }).trim()
  if (!version.endsWith(` ${pinned}`)) throw new Error(`expected codex ${pinned}, found: ${version}`)
  const printed = mkdtempSync(join(tmpdir(), "codex-protocol-"))
  try {
    execFileSync(binary, ["app-server", "generate-ts", "--experimental", "--out", printed])
    const files = filesByType(printed)
    const types = roots.reduce((found, root) => collect(files, root, found), new Map<string, string>())
    writeFileSync(
      new URL("../src/_generated/protocol.ts", import.meta.url),
      [header(), ...[...types].map(([, text]) => text), notificationMethods(files)].join("\n\n") + "\n"
    )
    console.log(`${types.size} types`)
  } finally {
    rmSync(printed, { recursive: true, force: true, maxRetries: 5 })
  }
}

const header = () =>
  `/** Generated from codex ${pinned} by scripts/generate.ts. Not edited by hand. */\n\nexport const codexVersion = "${pinned}"`

const filesByType = (directory: string): Map<string, string> => {
  const found = new Map<string, string>()
  // The newer protocol's folder comes last, so that its type wins over a namesake.
  for (const folder of [directory, join(directory, "v2")]) {
    for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts") && name !== "index.ts")) {
      found.set(basename(file, ".ts"), readFileSync(join(folder, file), "utf8"))
    }
  }
  return found
}

const collect = (
  files: Map<string, string>,
  type: string,
  found: Map<string, string>
): Map<string, string> => {
  if (found.has(type)) return found
  if (opaque.has(type)) return found.set(type, `export type ${type} = unknown`)
  const text = files.get(type)
  if (text === undefined) throw new Error(`codex ${pinned} prints no type ${type}`)
  found.set(type, declaration(text))
  for (const match of text.matchAll(/^import type \{ (\w+) \}/gm)) collect(files, match[1]!, found)
  return found
}

const declaration = (text: string): string =>
  text
    .replaceAll(/^import .*$/gm, "")
    .replaceAll(/^\/\/.*$/gm, "")
    .replaceAll(/\/\*\*[\s\S]*?\*\//g, "")
    .replaceAll(/\n\s*/g, " ")
    .trim()

/** Every notification the program can send: what is not among them is news to this adapter. */
const notificationMethods = (files: Map<string, string>): string => {
  const methods = [...files.get("ServerNotification")!.matchAll(/"method": "([^"]+)"/g)].map(
    (match) => match[1]!
  )
  return `export const notificationMethods: ReadonlyArray<string> = ${JSON.stringify([...new Set(methods)], null, 2)}`
}

main(process.argv[2])
