/**
 * What an agent asks its client, in our words, and our answers in the protocol's. Pure.
 *
 * A request that is not understood is `null`: it is refused on the wire, for an agent waits for ever.
 */
import type { Decision, Question, RequestKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Ask } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import { bounded } from "@turnkeeper/provider-kit/detail"
import { Schema } from "effect"
import { list, record, textOf } from "./protocol.ts"
import type { PeerRequest, RequestId } from "@turnkeeper/provider-kit/JsonRpc"
import { detailOf, kindOf, proposedChanges, titleOf, unseen, updated } from "./tools.ts"
import type { Tool } from "./tools.ts"

export interface Held {
  readonly id: RequestId
  readonly sessionId: string | null
  /** The tool call that waits for it, where it names one. */
  readonly tool: ToolMention | null
  readonly kind: RequestKind
  /** It is about what the agent does from here on, such as the end of planning: the user's to say, always. */
  readonly isAboutMode: boolean
  readonly ask: Ask
  /** What to send back. */
  readonly reply: (answer: Answer) => unknown
  /** What to send back when nobody will answer any more. */
  readonly cancelled: unknown
}

export interface ToolMention {
  readonly id: string
  readonly update: Record<string, unknown>
}

/** `known` is what was said of a tool call before. */
export const understand = (request: PeerRequest, known: (toolCallId: string) => Tool | null): Held | null => {
  try {
    const read =
      request.method === "session/request_permission"
        ? permission(record(request.params), known)
        : request.method === "elicitation/create"
          ? elicitation(record(request.params))
          : null
    return read !== null && isAsk(read.ask) ? { id: request.id, ...read } : null
  } catch {
    // Not the shape it should have: as good as unknown.
    return null
  }
}

type Read = Omit<Held, "id">

const isAsk = Schema.is(Ask)

// Permissions

const kinds: Readonly<Record<string, RequestKind>> = {
  command: "command_approval",
  file_change: "file_change_approval"
}

const permission = (
  params: Record<string, unknown>,
  known: (toolCallId: string) => Tool | null
): Read | null => {
  const update = record(params["toolCall"])
  const id = textOf(update["toolCallId"])
  const choices = choicesOf(params["options"])
  if (choices.length === 0) return null
  const tool = updated((id === null ? null : known(id)) ?? unseen, update)
  const changes = proposedChanges(tool)
  return {
    sessionId: textOf(params["sessionId"]),
    tool: id === null ? null : { id, update },
    kind: kinds[kindOf(tool)] ?? "permission",
    isAboutMode: tool.kind === "switch_mode",
    ask: {
      title: titleOf(tool),
      detail: bounded({
        ...detailOf(tool, false),
        ...(changes.length > 0 && { changes }),
        options: choices.map(({ decision, name }) => ({ decision, name }))
      }),
      // To cancel is always possible: the turn ends with it.
      decisions: [...choices.map(({ decision }) => decision), "cancel"],
      questions: []
    },
    reply: ({ decision }) => {
      const choice = choices.find((one) => one.decision === decision) ?? choices.find(isRefusal)
      return choice === undefined
        ? cancelledPermission
        : { outcome: { outcome: "selected", optionId: choice.optionId } }
    },
    cancelled: cancelledPermission
  }
}

const cancelledPermission = { outcome: { outcome: "cancelled" } }

interface Choice {
  readonly decision: Decision
  readonly optionId: string
  readonly name: string
}

const isRefusal = ({ decision }: Choice): boolean => decision === "decline"

/** An option is known by its kind; its id and its name are each agent's own. */
const decisions: Readonly<Record<string, Decision>> = {
  allow_once: "accept",
  allow_always: "accept_for_session",
  reject_once: "decline",
  reject_always: "decline"
}

/** The milder of two options that mean the same stands first. */
const order = ["allow_once", "allow_always", "reject_once", "reject_always"]

/** What is really offered, one option for each decision. */
const choicesOf = (options: unknown): ReadonlyArray<Choice> => {
  const offered = list(options).map(record)
  const choices = new Map<Decision, Choice>()
  for (const kind of order) {
    const option = offered.find((one) => one["kind"] === kind && textOf(one["optionId"]) !== null)
    const decision = decisions[kind]
    if (option === undefined || decision === undefined || choices.has(decision)) continue
    const optionId = textOf(option["optionId"])!
    choices.set(decision, { decision, optionId, name: (textOf(option["name"]) ?? optionId).slice(0, 200) })
  }
  return [...choices.values()]
}

// Questions

const questionsMax = 20
const optionsMax = 50
const textMax = 2_000

/** A form becomes one question per field. An address to be opened is not offered as a capability. */
const elicitation = (params: Record<string, unknown>): Read | null => {
  if (params["mode"] !== "form") return null
  const fields = fieldsOf(params["requestedSchema"])
  if (fields.length === 0) return null
  return {
    sessionId: textOf(params["sessionId"]),
    tool: null,
    kind: "question",
    isAboutMode: false,
    ask: {
      title: (textOf(params["message"]) ?? "A question").slice(0, textMax),
      detail: {},
      decisions: ["decline", "cancel"],
      questions: fields.map(({ name, title, options }): Question => ({ id: name, question: title, options }))
    },
    reply: ({ decision, answers }) =>
      decision === "decline" || decision === "cancel"
        ? { action: decision }
        : { action: "accept", content: contentOf(fields, answers) },
    cancelled: { action: "cancel" }
  }
}

interface Field {
  readonly name: string
  readonly title: string
  readonly type: string
  readonly options: Question["options"]
  /** What an option's label stands for. */
  readonly values: ReadonlyMap<string, string>
}

const fieldsOf = (schema: unknown): ReadonlyArray<Field> =>
  Object.entries(record(record(schema)["properties"]))
    .slice(0, questionsMax)
    .map(([name, value]) => fieldOf(name, record(value)))

const fieldOf = (name: string, property: Record<string, unknown>): Field => {
  const type = textOf(property["type"]) ?? "string"
  const items = record(property["items"])
  const titled = [...list(property["oneOf"]), ...list(items["anyOf"])].map(record).slice(0, optionsMax)
  const plain = [...list(property["enum"]), ...list(items["enum"])].map(String).slice(0, optionsMax)
  const options =
    titled.length > 0
      ? titled.map((one) => {
          const label = (textOf(one["title"]) ?? String(one["const"])).slice(0, textMax)
          const description = textOf(one["description"])
          return { label, ...(description !== null && { description: description.slice(0, textMax) }) }
        })
      : (type === "boolean" ? ["true", "false"] : plain).map((label) => ({ label }))
  return {
    name,
    title: (textOf(property["title"]) ?? textOf(property["description"]) ?? name).slice(0, textMax),
    type,
    options,
    values: new Map(titled.map((one, index) => [options[index]!.label, String(one["const"])]))
  }
}

const contentOf = (fields: ReadonlyArray<Field>, answers: Answer["answers"]): Record<string, unknown> =>
  Object.fromEntries(
    fields.flatMap(({ name, type, values }): ReadonlyArray<[string, unknown]> => {
      const given = (answers[name] ?? []).map((answer) => values.get(answer) ?? answer)
      const [first] = given
      if (first === undefined) return []
      if (type === "array") return [[name, given]]
      if (type === "boolean") return [[name, first === "true"]]
      const number = Number(first)
      const isNumber = (type === "number" || type === "integer") && Number.isFinite(number)
      return [[name, isNumber ? number : first]]
    })
  )
