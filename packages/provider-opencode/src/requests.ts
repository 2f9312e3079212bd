/** What OpenCode asks its user, in our words, and our answers in OpenCode's. Pure. */
import type { Decision, Question, RequestKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Ask } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import { byName } from "@turnkeeper/provider-kit/byName"
import { bounded } from "@turnkeeper/provider-kit/detail"
import { Schema } from "effect"
import type { PermissionRequest, QuestionRequest, Rule } from "./protocol.ts"

/** An answer is calls: the last one is the answer itself. */
export interface Reply {
  readonly path: string
  readonly body: unknown
}

export interface Held {
  readonly id: string
  readonly sessionID: string
  readonly callID: string | null
  readonly kind: RequestKind
  readonly ask: Ask
  /** What the user allows from now on in this session, where he says so. */
  readonly grants: ReadonlyArray<Rule>
  /** `abort`: the turn is to end instead. */
  readonly reply: (answer: Answer) => Reply | "abort"
}

const isAsk = Schema.is(Ask)

/** Null when it has not the shape that it should have. */
export const permission = (request: PermissionRequest): Held | null => {
  try {
    const { id, sessionID, patterns, metadata, always, tool } = request
    const kind = kinds(request.permission) ?? "permission"
    const decisions: ReadonlyArray<Decision> =
      always.length > 0
        ? ["accept", "accept_for_session", "decline", "cancel"]
        : ["accept", "decline", "cancel"]
    const ask = {
      title: titleOf(request).slice(0, titleMax),
      detail: bounded({ permission: request.permission, patterns, ...metadata }),
      decisions,
      questions: []
    }
    if (!isAsk(ask) || typeof id !== "string") return null
    const grants = always.map((pattern): Rule => ({
      permission: request.permission,
      pattern,
      action: "allow"
    }))
    return { id, sessionID, callID: tool?.callID ?? null, kind, ask, grants, reply: replyTo(id) }
  } catch {
    return null
  }
}

const titleMax = 500

const kinds = byName<RequestKind>({
  bash: "command_approval",
  edit: "file_change_approval"
})

const titleOf = ({ permission, patterns, metadata }: PermissionRequest): string => {
  const said = metadata["command"] ?? metadata["filepath"]
  if (typeof said === "string") return said
  return permission === "bash" || permission === "edit"
    ? patterns.join(", ")
    : `${permission}: ${patterns.join(", ")}`
}

/**
 * OpenCode's own "always" counts for every session of the directory: what the user allows for this session
 * is said by the session's rules instead, and the request itself is accepted once. A refusal with a message
 * lets the model go on; without one OpenCode ends the turn.
 */
const replyTo =
  (id: string) =>
  ({ decision }: Answer): Reply | "abort" => {
    const path = `/permission/${encodeURIComponent(id)}/reply`
    switch (decision) {
      case "accept":
      case "accept_for_session":
        return { path, body: { reply: "once" } }
      case "cancel":
        return "abort"
      default:
        return { path, body: { reply: "reject", message: "The user declined this. Go on without it." } }
    }
  }

export const question = (request: QuestionRequest): Held | null => {
  try {
    const { id, sessionID, tool } = request
    const questions = request.questions.map(questionOf)
    const ask = {
      title: (request.questions[0]?.header ?? request.questions[0]?.question ?? "A question").slice(
        0,
        titleMax
      ),
      detail: {},
      decisions: ["decline", "cancel"] as const,
      questions
    }
    if (!isAsk(ask) || typeof id !== "string") return null
    const path = `/question/${encodeURIComponent(id)}`
    return {
      id,
      sessionID,
      callID: tool?.callID ?? null,
      kind: "question",
      ask,
      grants: [],
      reply: ({ decision, answers }) => {
        if (decision === "cancel") return "abort"
        if (decision === "decline") return { path: `${path}/reject`, body: {} }
        return { path: `${path}/reply`, body: { answers: questions.map((one) => answers[one.id] ?? []) } }
      }
    }
  } catch {
    return null
  }
}

const questionOf = (
  { question, options }: QuestionRequest["questions"][number],
  index: number
): Question => ({
  id: String(index),
  question,
  options: options.map(({ label, description }) => ({
    label,
    ...(description === undefined ? {} : { description })
  }))
})
