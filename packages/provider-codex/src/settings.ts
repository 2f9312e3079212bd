/**
 * What the user chose, as Codex wants it said. Pure.
 *
 *     read_only          sandbox read-only, approval on-request: reads freely, asks for everything else
 *     approval_required  sandbox workspace-write, approval untrusted: asks before every command and change
 *     full_access        no sandbox, never asks
 *
 * `on-request` in a writable sandbox would not do for the second: there the model decides whether to ask.
 * The reviewer is always the user: Codex can be configured to let a model review approvals instead.
 */
import type { Attachment, InteractionMode, RuntimeMode } from "@turnkeeper/domain/thread/Command"
import type { Prompt } from "@turnkeeper/provider-kit/Provider"
import type * as Protocol from "./_generated/protocol.ts"

interface Policy {
  readonly approvalPolicy: Protocol.AskForApproval
  readonly approvalsReviewer: Protocol.ApprovalsReviewer
  readonly sandbox: Protocol.SandboxMode
}

export const policyOf = (mode: RuntimeMode): Policy => {
  switch (mode) {
    case "read_only":
      return { approvalPolicy: "on-request", approvalsReviewer: "user", sandbox: "read-only" }
    case "approval_required":
      return { approvalPolicy: "untrusted", approvalsReviewer: "user", sandbox: "workspace-write" }
    case "full_access":
      return { approvalPolicy: "never", approvalsReviewer: "user", sandbox: "danger-full-access" }
  }
}

/** What a conversation was last told. A turn that wants the same says nothing, and keeps the user's own settings. */
export interface Current {
  readonly model: string
  readonly effort: Protocol.ReasoningEffort | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
}

export const afterTurn = (current: Current, prompt: Prompt): Current => ({
  ...current,
  model: prompt.model ?? current.model,
  runtimeMode: prompt.runtimeMode,
  interactionMode: prompt.interactionMode
})

/** The fields of `turn/start` that this prompt changes, for this turn and those after it. */
export const changesOf = (current: Current, prompt: Prompt): Partial<Protocol.TurnStartParams> => {
  const next = afterTurn(current, prompt)
  const { approvalPolicy, approvalsReviewer, sandbox } = policyOf(next.runtimeMode)
  return {
    ...(next.model === current.model ? {} : { model: next.model }),
    ...(next.runtimeMode === current.runtimeMode
      ? {}
      : { approvalPolicy, approvalsReviewer, sandboxPolicy: sandboxPolicies[sandbox] }),
    // A mode carries its model with it, so it follows a change of the model too.
    ...(next.interactionMode === current.interactionMode &&
    (next.model === current.model || next.interactionMode === "default")
      ? {}
      : { collaborationMode: { mode: next.interactionMode, settings: settingsOf(next) } })
  }
}

const settingsOf = ({ model, effort }: Current): Protocol.Settings => ({
  model,
  reasoning_effort: effort,
  developer_instructions: null
})

const sandboxPolicies: Record<Protocol.SandboxMode, Protocol.SandboxPolicy> = {
  "read-only": { type: "readOnly", networkAccess: false },
  "workspace-write": {
    type: "workspaceWrite",
    writableRoots: [],
    networkAccess: false,
    excludeTmpdirEnvVar: false,
    excludeSlashTmp: false
  },
  "danger-full-access": { type: "dangerFullAccess" }
}

/** The prompt as Codex's input; null for an attachment whose bytes Codex cannot reach. */
export const inputOf = (prompt: Prompt): Array<Protocol.UserInput> | null => {
  const attached = prompt.attachments.map(attachmentInput)
  const reachable = attached.filter((input) => input !== null)
  if (reachable.length < attached.length) return null
  return [...(prompt.text === "" ? [] : [textInput(prompt.text)]), ...reachable]
}

const textInput = (text: string): Protocol.UserInput => ({ type: "text", text, text_elements: [] })

const attachmentInput = ({ name, mediaType, source }: Attachment): Protocol.UserInput | null => {
  const isFile = source.startsWith("/")
  if (mediaType.startsWith("image/")) {
    if (isFile) return { type: "localImage", path: source }
    return /^(https?:|data:)/.test(source) ? { type: "image", url: source } : null
  }
  return isFile ? textInput(`Attached file ${name}: ${source}`) : null
}
