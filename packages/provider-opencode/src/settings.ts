/** Freedom, model, mode and input in OpenCode's terms. Pure, but for the clock in a message's name. */
import type { TurnId } from "@turnkeeper/domain/ids"
import type { Attachment, InteractionMode, RuntimeMode } from "@turnkeeper/domain/thread/Command"
import type { Prompt } from "@turnkeeper/provider-kit/Provider"
import { createHash } from "node:crypto"
import { pathToFileURL } from "node:url"
import type { Rule } from "./protocol.ts"
import { turnMark } from "./record.ts"

export interface Freedom {
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
}

export const sameFreedom = (a: Freedom, b: Freedom): boolean =>
  a.runtimeMode === b.runtimeMode && a.interactionMode === b.interactionMode

/**
 * The rules of a session. OpenCode reads them behind those of the user's own configuration, the last one
 * that fits wins, and a later list is put behind an earlier one: so every list says all that it means.
 */
export const rulesOf = ({ runtimeMode, interactionMode }: Freedom): ReadonlyArray<Rule> => {
  // A plan changes nothing, however free its thread is; a command might.
  const plan = interactionMode === "plan" ? ({ edit: "deny", bash: "ask", task: "deny" } as const) : {}
  return Object.entries({ ...actions[runtimeMode], ...plan }).map(([permission, action]) => ({
    permission,
    pattern: "*",
    action
  }))
}

/** `task` is a sub-agent: its session has none of these rules, so that it may not begin where they matter most. */
const actions: Record<RuntimeMode, Readonly<Record<string, Rule["action"]>>> = {
  read_only: {
    bash: "ask",
    edit: "deny",
    task: "deny",
    external_directory: "ask",
    webfetch: "ask",
    doom_loop: "ask"
  },
  approval_required: {
    bash: "ask",
    edit: "ask",
    task: "ask",
    external_directory: "ask",
    webfetch: "ask",
    doom_loop: "ask"
  },
  full_access: {
    bash: "allow",
    edit: "allow",
    task: "allow",
    external_directory: "allow",
    webfetch: "allow",
    doom_loop: "allow"
  }
}

/** `provider/model`, as OpenCode's own command line writes it. Null: the one that is configured. */
export const modelOf = (model: string | null) => {
  if (model === null) return null
  const slash = model.indexOf("/")
  return slash <= 0 ? null : { providerID: model.slice(0, slash), modelID: model.slice(slash + 1) }
}

/**
 * The name of the message that carries a turn of ours. Its end is derived from the turn, so that the record
 * can be asked for it; its beginning is the time, as in OpenCode's own names, which its windows sort by.
 */
export const messageIdOf = (turnId: TurnId, now: number): string => {
  const time = (BigInt(now) * 0x1000n) & 0xffff_ffff_ffffn
  return `msg_${time.toString(16).padStart(12, "0")}${endOfMessageId(turnId)}`
}

/** 14 characters, as in OpenCode's own names. */
export const endOfMessageId = (turnId: TurnId): string => {
  const digest = createHash("sha256").update(turnId).digest()
  return [...digest.subarray(0, 14)].map((byte) => letters[byte % letters.length]).join("")
}

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** The body of a prompt; null for an attachment whose bytes OpenCode cannot reach, or a model without its provider. */
export const promptOf = (prompt: Prompt, messageID: string) => {
  const model = modelOf(prompt.model)
  const files = prompt.attachments.map(fileOf)
  if (files.includes(null) || (prompt.model !== null && model === null)) return null
  return {
    messageID,
    agent: prompt.interactionMode === "plan" ? "plan" : "build",
    ...(model === null ? {} : { model }),
    parts: [{ type: "text", text: prompt.text, metadata: { [turnMark]: prompt.turnId } }, ...files]
  }
}

const fileOf = ({ name, mediaType, source }: Attachment) => {
  const file = { type: "file", mime: mediaType, filename: name }
  if (source.startsWith("/")) return { ...file, url: pathToFileURL(source).href }
  return /^(https?:|data:)/.test(source) ? { ...file, url: source } : null
}
