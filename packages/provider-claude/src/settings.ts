/** Freedom, model, mode and input in Claude's terms. Pure, but for reading an attached image. */
import type { MessageId } from "@turnkeeper/domain/ids"
import type { Attachment, InteractionMode, RuntimeMode } from "@turnkeeper/domain/thread/Command"
import type { Prompt } from "@turnkeeper/provider-kit/Provider"
import { createHash } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import type { ContentBlock, FlagSettings, PermissionMode, UserMessage } from "./sdk.ts"
import { changesFiles, kindOf, leavesPlan, questionTool } from "./tools.ts"

export interface Freedom {
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
}

export const sameFreedom = (a: Freedom, b: Freedom): boolean =>
  a.runtimeMode === b.runtimeMode && a.interactionMode === b.interactionMode

/** Full access is not Claude's `bypassPermissions`, which it refuses to root: it asks, and is answered at once. */
export const permissionModeOf = ({ interactionMode }: Freedom): PermissionMode =>
  interactionMode === "plan" ? "plan" : "default"

/** The user's own files may allow what this thread may not; and where he is asked, no model answers for him. */
export const flagsOf = ({ runtimeMode }: Freedom): FlagSettings => ({
  permissions: runtimeMode === "read_only" ? { deny: changesFiles, ask: ["Bash"] } : { deny: [], ask: [] },
  useAutoModeDuringPlan: false
})

/** What is decided without the user when Claude asks for a tool; `ask` where he decides. */
export const policyOf = (
  { runtimeMode, interactionMode }: Freedom,
  tool: string
): "allow" | "deny" | "ask" => {
  if (tool === questionTool || tool === leavesPlan) return "ask"
  const plan = interactionMode === "plan"
  if (kindOf(tool) === "file_change" && (plan || runtimeMode === "read_only")) return "deny"
  // A plan changes nothing, however free its thread is; a command might.
  return runtimeMode === "full_access" && !(plan && kindOf(tool) === "command") ? "allow" : "ask"
}

/**
 * The name of a message at Claude, and of its turn: a pure function of ours, so that the record can be asked
 * for it, and so that Claude itself drops a second copy.
 */
export const uuidOf = (messageId: MessageId): string => {
  const hex = createHash("sha256").update(`turnkeeper ${messageId}`).digest("hex")
  const variant = ((Number.parseInt(hex[16]!, 16) & 0x3) | 0x8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `5${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32)
  ].join("-")
}

/** Null for an attachment whose bytes cannot be reached, or that are too many. */
export const messageOf = (prompt: Prompt): UserMessage | null => {
  const attached = prompt.attachments.map(blockOf)
  const reachable = attached.filter((block) => block !== null)
  if (reachable.length < attached.length) return null
  const text: ReadonlyArray<ContentBlock> = prompt.text === "" ? [] : [{ type: "text", text: prompt.text }]
  return {
    type: "user",
    message: { role: "user", content: [...text, ...reachable] },
    parent_tool_use_id: null,
    uuid: uuidOf(prompt.messageId)
  }
}

const blockOf = ({ name, mediaType, source }: Attachment): ContentBlock | null => {
  const isFile = source.startsWith("/")
  if (!mediaType.startsWith("image/")) {
    return isFile ? { type: "text", text: `Attached file ${name}: ${source}` } : null
  }
  if (isFile) return imageIn(source, mediaType)
  if (/^https?:/.test(source)) return { type: "image", source: { type: "url", url: source } }
  const [, data] = /^data:[^,]*;base64,(.*)$/.exec(source) ?? []
  return data === undefined
    ? null
    : { type: "image", source: { type: "base64", media_type: mediaType, data } }
}

/** The model service takes no larger one. */
const imageBytesMax = 5 * 1024 * 1024

const imageIn = (path: string, mediaType: string): ContentBlock | null => {
  try {
    if (statSync(path).size > imageBytesMax) return null
    const data = readFileSync(path).toString("base64")
    return { type: "image", source: { type: "base64", media_type: mediaType, data } }
  } catch {
    return null
  }
}
