/**
 * What Codex asks its client, in our words, and our answers in Codex's. Pure.
 *
 * A request that is not understood is `null`: it is refused on the wire, for Codex waits for ever.
 */
import type { Decision, Question, RequestKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Ask } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import { Schema } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import { byName } from "@turnkeeper/provider-kit/byName"
import type { PeerRequest } from "@turnkeeper/provider-kit/JsonRpc"

export interface Held {
  readonly id: Protocol.RequestId
  readonly threadId: string
  /** The turn that waits for it; null where Codex could not tell. */
  readonly turnId: string | null
  /** The item that is to be agreed to, where it names one. */
  readonly itemId?: string
  readonly kind: RequestKind
  readonly ask: Ask
  /** What to send back. */
  readonly reply: (answer: Answer) => unknown
}

export const understand = ({ id, method, params }: PeerRequest): Held | null => {
  const read = readers(method)
  if (read === undefined) return null
  try {
    const held = read(params as never)
    return held !== null && isName(held.threadId) && isTurn(held.turnId) && isAsk(held.ask)
      ? { id, ...held }
      : null
  } catch {
    // Not the shape it should have: as good as unknown.
    return null
  }
}

type Read = Omit<Held, "id">

// The generated types say what should come; what did come is checked before anybody is asked.
const isAsk = Schema.is(Ask)
const isName = Schema.is(Schema.String)
const isTurn = Schema.is(Schema.NullOr(Schema.String))

const readers = byName<(params: never) => Read | null>({
  "item/commandExecution/requestApproval": (params: Protocol.CommandExecutionRequestApprovalParams) => ({
    threadId: params.threadId,
    turnId: params.turnId,
    itemId: params.itemId,
    kind: "command_approval",
    ask: {
      title: text(params.command ?? params.reason ?? "Run a command"),
      detail: present({
        command: params.command,
        cwd: params.cwd,
        reason: params.reason,
        network: params.networkApprovalContext,
        itemId: params.itemId
      }),
      decisions: commandDecisions(params.availableDecisions ?? null),
      questions: []
    },
    reply: ({ decision }) => ({ decision: native(decision) })
  }),

  "item/fileChange/requestApproval": (params: Protocol.FileChangeRequestApprovalParams) => ({
    threadId: params.threadId,
    turnId: params.turnId,
    itemId: params.itemId,
    kind: "file_change_approval",
    ask: {
      title: text(params.reason ?? "Change files"),
      detail: present({ reason: params.reason, grantRoot: params.grantRoot, itemId: params.itemId }),
      decisions: ["accept", "accept_for_session", "decline", "cancel"],
      questions: []
    },
    reply: ({ decision }) => ({ decision: native(decision) })
  }),

  "item/permissions/requestApproval": (params: Protocol.PermissionsRequestApprovalParams) => ({
    threadId: params.threadId,
    turnId: params.turnId,
    kind: "permission",
    ask: {
      title: text(params.reason ?? "Grant permissions"),
      detail: present({ permissions: params.permissions, cwd: params.cwd, itemId: params.itemId }),
      decisions: ["accept", "accept_for_session", "decline"],
      questions: []
    },
    reply: ({ decision }): Protocol.PermissionsRequestApprovalResponse =>
      decision === "accept" || decision === "accept_for_session"
        ? { permissions: granted(params.permissions), scope: decision === "accept" ? "turn" : "session" }
        : { permissions: {}, scope: "turn" }
  }),

  "item/tool/requestUserInput": (params: Protocol.ToolRequestUserInputParams) => ({
    threadId: params.threadId,
    turnId: params.turnId,
    kind: "question",
    ask: {
      title: text(params.questions[0]?.header ?? "Question"),
      detail: {},
      decisions: [],
      questions: params.questions.slice(0, questionsMax).map(question)
    },
    reply: ({ answers }): Protocol.ToolRequestUserInputResponse => ({
      answers: Object.fromEntries(
        Object.entries(answers).map(([key, given]) => [key, { answers: [...given] }])
      )
    })
  }),

  "mcpServer/elicitation/request": (params: Protocol.McpServerElicitationRequestParams) => elicitation(params)
})

const questionsMax = 20

const question = ({ id, question, options }: Protocol.ToolRequestUserInputQuestion): Question => ({
  id,
  question: text(question),
  options: (options ?? []).slice(0, 50).map(({ label, description }) => ({ label, description }))
})

/**
 * The decisions that Codex offers, in its order. It takes `decline` for every command, though its list
 * often leaves it out: the model is told and goes on, where `cancel` ends the turn. Decisions that change
 * the user's own rules for good are not passed on.
 */
const commandDecisions = (
  offered: ReadonlyArray<Protocol.CommandExecutionApprovalDecision> | null
): ReadonlyArray<Decision> => {
  if (offered === null) return ["accept", "accept_for_session", "decline", "cancel"]
  const ours = offered.flatMap((decision): ReadonlyArray<Decision> => {
    switch (decision) {
      case "accept":
        return ["accept"]
      case "acceptForSession":
        return ["accept_for_session"]
      case "decline":
        return ["decline"]
      case "cancel":
        return ["cancel"]
      default:
        return []
    }
  })
  if (ours.includes("decline")) return ours
  const last = ours.indexOf("cancel")
  return last === -1 ? [...ours, "decline"] : [...ours.slice(0, last), "decline", ...ours.slice(last)]
}

/** No decision at all is never an agreement. */
const native = (decision: Decision | null): Protocol.FileChangeApprovalDecision => {
  switch (decision) {
    case "accept":
      return "accept"
    case "accept_for_session":
      return "acceptForSession"
    case "cancel":
      return "cancel"
    case "decline":
    case null:
      return "decline"
  }
}

const granted = ({
  network,
  fileSystem
}: Protocol.RequestPermissionProfile): Protocol.GrantedPermissionProfile => ({
  ...(network === null ? {} : { network }),
  ...(fileSystem === null ? {} : { fileSystem })
})

/** A tool server's own question. Its form becomes one question per field; a link is to be agreed to. */
const elicitation = (params: Protocol.McpServerElicitationRequestParams): Read | null => {
  if (params.mode !== "form" && params.mode !== "url") return null
  const fields = params.mode === "form" ? fieldsOf(params.requestedSchema) : []
  return {
    threadId: params.threadId,
    turnId: params.turnId,
    kind: fields.length > 0 ? "question" : "permission",
    ask: {
      title: text(params.message),
      detail: present({ server: params.serverName, url: params.mode === "url" ? params.url : null }),
      // Giving the answers is the agreement.
      decisions: fields.length > 0 ? [] : ["accept", "decline", "cancel"],
      questions: fields.map(({ name, title, options }) => ({
        id: name,
        question: title,
        options: options.map((label) => ({ label }))
      }))
    },
    reply: ({ decision, answers }): Protocol.McpServerElicitationRequestResponse => {
      const action =
        decision === null ? (fields.length > 0 ? "accept" : "decline") : elicitationActions[decision]
      return { action, content: action === "accept" ? contentOf(fields, answers) : null, _meta: null }
    }
  }
}

const elicitationActions = {
  accept: "accept",
  accept_for_session: "accept",
  decline: "decline",
  cancel: "cancel"
} as const satisfies Record<Decision, Protocol.McpServerElicitationAction>

interface Field {
  readonly name: string
  readonly title: string
  readonly type: string
  readonly options: ReadonlyArray<string>
}

const fieldsOf = (schema: unknown): ReadonlyArray<Field> => {
  const properties = record(record(schema)["properties"])
  return Object.entries(properties)
    .slice(0, questionsMax)
    .map(([name, value]) => {
      const { type, title, description, enum: values } = record(value)
      return {
        name,
        title: text(String(title ?? description ?? name)),
        type: typeof type === "string" ? type : "string",
        options: Array.isArray(values)
          ? values.slice(0, 50).map(String)
          : type === "boolean"
            ? ["true", "false"]
            : []
      }
    })
}

const contentOf = (fields: ReadonlyArray<Field>, answers: Answer["answers"]): Record<string, unknown> =>
  Object.fromEntries(
    fields.flatMap(({ name, type }): ReadonlyArray<[string, unknown]> => {
      const [first] = answers[name] ?? []
      if (first === undefined) return []
      if (type === "boolean") return [[name, first === "true"]]
      if (type === "number" || type === "integer") return [[name, Number(first)]]
      return [[name, type === "array" ? answers[name] : first]]
    })
  )

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}

const text = (value: string) => value.slice(0, 2_000)

const present = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined))
