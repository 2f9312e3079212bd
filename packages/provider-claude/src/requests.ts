/** What Claude asks its user, in our words, and our answers in Claude's. Pure. */
import type { Decision, Question, RequestKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Ask } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import { bounded } from "@turnkeeper/provider-kit/detail"
import { Schema } from "effect"
import type { AskContext, PermissionResult, PermissionUpdate } from "./sdk.ts"
import { kindOf, leavesPlan, questionTool, titleOf } from "./tools.ts"

export interface Held {
  readonly key: string
  readonly toolUseId: string
  readonly kind: RequestKind
  readonly ask: Ask
  readonly reply: (answer: Answer) => PermissionResult
}

type Input = Readonly<Record<string, unknown>>
type Context = Omit<AskContext, "signal">

const isAsk = Schema.is(Ask)

/** Null when it has not the shape that it should have. */
export const understand = (tool: string, input: Input, context: Context): Held | null => {
  try {
    const held = tool === questionTool ? question(input, context) : permission(tool, input, context)
    return isAsk(held.ask) && typeof held.key === "string" ? held : null
  } catch {
    return null
  }
}

const titleMax = 500

const permission = (tool: string, input: Input, context: Context): Held => {
  const grants = grantsOf(tool, context)
  const decisions: ReadonlyArray<Decision> = [
    "accept",
    ...(grants.length > 0 ? (["accept_for_session"] as const) : []),
    "decline",
    "cancel"
  ]
  return {
    key: context.requestId,
    toolUseId: context.toolUseID,
    kind: kinds[kindOf(tool)] ?? "permission",
    ask: {
      title: (tool === leavesPlan ? "Leave plan mode and begin?" : titleOf({ tool, input })).slice(
        0,
        titleMax
      ),
      detail: bounded({
        tool,
        ...input,
        description: context.description,
        reason: context.decisionReason,
        blockedPath: context.blockedPath
      }),
      decisions,
      questions: []
    },
    reply: ({ decision }) => {
      switch (decision) {
        case "accept":
          return { behavior: "allow", updatedInput: input }
        case "accept_for_session":
          return { behavior: "allow", updatedInput: input, updatedPermissions: grants }
        default:
          return refusal(decision)
      }
    }
  }
}

const kinds: Readonly<Record<string, RequestKind>> = {
  command: "command_approval",
  file_change: "file_change_approval"
}

/**
 * What Claude proposes to allow from now on, kept for this session only: its own proposal for a command would
 * be written into the project's settings. Leave for all changes of files is not part of leave for a command.
 */
const grantsOf = (
  tool: string,
  { suggestions = [], suppressAlwaysAllowRule }: Context
): ReadonlyArray<PermissionUpdate> =>
  suppressAlwaysAllowRule === true
    ? []
    : suggestions
        .filter(({ type }) => (kindOf(tool) === "file_change" ? type !== "addRules" : type !== "setMode"))
        .map((update) => ({ ...update, destination: "session" }))

/** A refusal lets the model go on without it; a cancellation ends the turn. */
const refusal = (decision: Decision | null): PermissionResult => ({
  behavior: "deny",
  message: "The user declined this. Go on without it.",
  ...(decision === "cancel" && { interrupt: true })
})

interface NativeQuestion {
  readonly question: string
  readonly header?: string
  readonly options?: ReadonlyArray<{ readonly label: string; readonly description?: string }>
}

const question = (input: Input, context: Context): Held => {
  const native = input["questions"] as ReadonlyArray<NativeQuestion>
  return {
    key: context.requestId,
    toolUseId: context.toolUseID,
    kind: "question",
    ask: {
      title: (native[0]?.header ?? native[0]?.question ?? "A question").slice(0, titleMax),
      detail: {},
      // Giving the answers is the agreement.
      decisions: [],
      questions: native.map(questionOf)
    },
    reply: ({ decision, answers }) => {
      if (decision === "decline" || decision === "cancel") return refusal(decision)
      const given = native.map(({ question }, index) => [question, (answers[String(index)] ?? []).join(", ")])
      return { behavior: "allow", updatedInput: { ...input, answers: Object.fromEntries(given) } }
    }
  }
}

const questionOf = ({ question, options = [] }: NativeQuestion, index: number): Question => ({
  id: String(index),
  question,
  options: options.map(({ label, description }) => ({
    label,
    ...(description === undefined ? {} : { description })
  }))
})
