/**
 * One conversation with an agent as we know it: which prompt is unanswered, what was said in its turn, what
 * is still waited for. No I/O: updates in, events out, in order.
 *
 * The protocol has no turn, no turn's name and no "turn started": a turn is a prompt that is not answered.
 *
 *     written ──▶ (not told) ──first words, or it is still there a moment later──▶ running ──answer──▶ over
 *                      └─ refused, or the agent ended: nothing is said of it, the sender is told
 *
 * Promises: the events of a turn begin with a `turn.started` that names our turn and end with its one
 * terminal event, which is the answer of its prompt; nothing is said of it afterwards. What an agent says
 * while no prompt is unanswered belongs to no turn: nobody could tell when such work ends.
 *
 * Known limit: what an agent says of an earlier turn after its answer, and after the next prompt, cannot be
 * told from what it says of the next.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type {
  ItemDetail,
  ItemEnd,
  ProviderEvent,
  TurnOutcome
} from "@turnkeeper/domain/runtime/ProviderEvent"
import { byName } from "@turnkeeper/provider-kit/byName"
import { bounded } from "@turnkeeper/provider-kit/detail"
import { recent } from "@turnkeeper/provider-kit/recent"
import { Cause, Deferred, Effect, Exit, Option } from "effect"
import { isRefusal } from "./faults.ts"
import { list, record, textOf } from "./protocol.ts"
import type { Answered, Refused, RequestId } from "@turnkeeper/provider-kit/JsonRpc"
import type { TransportBroke } from "@turnkeeper/provider-kit/Transport"
import type { Calls } from "./protocol.ts"
import type { Held } from "./requests.ts"
import { blockText, detailOf, isBare, kindOf, outputOf, titleOf, unseen, updated } from "./tools.ts"
import type { Tool } from "./tools.ts"

export interface Turn {
  readonly id: ProviderTurnId
  readonly turnId: TurnId
  /** Resolves when the agent has taken the prompt; fails when it has not, or when that is not known. */
  readonly taken: Deferred.Deferred<void, Refused | TransportBroke>
  readonly over: Deferred.Deferred<void>
  interruptAsked: boolean
}

export interface Conversation {
  readonly active: () => Turn | null
  /** A prompt is about to be written, under this request id. At most one at a time. */
  readonly begin: (requestId: number, turnId: TurnId) => Turn
  /** It was never written. */
  readonly withdraw: () => void
  /** It is written, and the agent is still there: it counts as taken. */
  readonly take: (turn: Turn) => ReadonlyArray<ProviderEvent>
  /** The prompt was answered, or never will be. */
  readonly answered: (answer: Answered<Calls["session/prompt"][1]>) => ReadonlyArray<ProviderEvent>
  /** One `session/update`. */
  readonly hear: (update: unknown) => ReadonlyArray<ProviderEvent>
  /** What was said of a tool call of the running turn. */
  readonly tool: (toolCallId: string) => Tool | null
  /** The agent waits for an answer. Null: no turn waits with it, or too many do. */
  readonly ask: (held: Held) => ReadonlyArray<ProviderEvent> | null
  /** Hands the request over to be answered, once. `declined`: its tool will not run. */
  readonly release: (requestKey: string, declined: boolean) => Held | null
  /** The agent no longer waits for it. */
  readonly forget: (id: RequestId) => ReadonlyArray<ProviderEvent>
  /** Hands over everything that waits: the turn is to end. */
  readonly releaseAll: () => ReadonlyArray<Held>
  /** How an earlier turn ended, as far back as that is kept. */
  readonly ended: (id: ProviderTurnId) => Ended | null
  /** Nothing more will be heard: whoever waits for a turn is told. */
  readonly end: () => void
}

export interface Ended {
  readonly outcome: TurnOutcome
  readonly message: string | null
}

export const keyOf = (id: RequestId): string => JSON.stringify(id)

const requestsMax = 256
const toolsMax = 2_000
const endedKept = 64

/** A run of text of one kind: an agent says where one ends only by beginning something else. */
interface Text {
  readonly itemId: string
  readonly kind: "assistant_message" | "reasoning"
  readonly messageId: string | null
}

interface ToolItem {
  readonly itemId: string
  tool: Tool
  /** `bare`: mentioned, and nothing to show yet. */
  state: "bare" | "open" | "done"
  printed: string
  declined: boolean
}

interface Running extends Turn {
  told: boolean
  text: Text | null
  items: number
  readonly tools: Map<string, ToolItem>
  /** Its steps as they were told last. */
  plan: ItemDetail | null
  readonly costBefore: number | null
}

export interface ConversationOptions {
  /** Nothing was said in it before. */
  readonly fresh: boolean
  /** The first message was taken: from now on there is something to lose. Told once. */
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
}

export const make = ({ fresh, onFirstMessage }: ConversationOptions): Conversation => {
  let active: Running | null = null
  let isFirst = true
  let strayed = false
  /** What the conversation has cost so far, in US dollars, where the agent tells it. */
  let cost: number | null = fresh ? 0 : null
  const ended = recent<Ended>(endedKept)
  const requests = new Map<string, Held>()

  const begin = (requestId: number, turnId: TurnId): Turn => {
    strayed = false
    active = {
      // The request's id is the only handle there is; with our turn's it is unlike that of any other process.
      id: ProviderTurnId.make(`${turnId}#${requestId}`),
      turnId,
      taken: Deferred.makeUnsafe(),
      over: Deferred.makeUnsafe(),
      interruptAsked: false,
      told: false,
      text: null,
      items: 0,
      tools: new Map(),
      plan: null,
      costBefore: cost
    }
    return active
  }

  const leave = (turn: Running) => {
    active = null
    requests.clear()
    Deferred.doneUnsafe(turn.over, Effect.void)
  }

  const tell = (turn: Running): ReadonlyArray<ProviderEvent> => {
    if (turn.told) return []
    turn.told = true
    Deferred.doneUnsafe(turn.taken, Effect.void)
    const first = isFirst ? onFirstMessage() : []
    isFirst = false
    return [...first, { type: "turn.started", providerTurnId: turn.id, turnId: turn.turnId }]
  }

  const answered = (answer: Answered<Calls["session/prompt"][1]>): ReadonlyArray<ProviderEvent> => {
    const turn = active
    if (turn === null) return []
    if (Exit.isSuccess(answer)) {
      const { stopReason, usage } = record(answer.value)
      return finish(turn, outcomeOf(stopReason), usageOf(turn, usage))
    }
    const error = errorOf(answer)
    const isAnswer = error?._tag === "Refused"
    // An error after the first word, or one that may have come after it: the turn has begun, and failed.
    if (isAnswer && (turn.told || !isRefusal(error)))
      return finish(turn, { outcome: "failed", message: error.message }, [])
    // No answer will come: the end of the session says the rest. Refused before it began: nothing was begun.
    leave(turn)
    if (error !== null) Deferred.doneUnsafe(turn.taken, Effect.fail(error))
    return []
  }

  const finish = (
    turn: Running,
    said: Ended,
    usage: ReadonlyArray<ProviderEvent>
  ): ReadonlyArray<ProviderEvent> => {
    // An agent may answer a cancelled prompt as if it had ended by itself, or with an error: it did as asked.
    const end: Ended = turn.interruptAsked ? { outcome: "interrupted", message: null } : said
    const events = [...tell(turn), ...closing(turn, end.outcome), ...usage]
    leave(turn)
    ended.set(turn.id, end)
    return [...events, { type: "turn.completed", providerTurnId: turn.id, ...end }]
  }

  /**
   * What the agent left open. Its texts have no end of their own: the end of a completed turn is theirs. A tool
   * that the user declined did not run. Everything else is left open: how it went is not known.
   */
  const closing = (turn: Running, outcome: TurnOutcome): ReadonlyArray<ProviderEvent> => {
    const declined = [...turn.tools.values()].filter((item) => item.declined && item.state !== "done")
    return [
      ...declined.flatMap((item) => completeTool(turn, item)),
      ...(outcome === "completed" ? [...completeText(turn), ...completePlan(turn)] : [])
    ]
  }

  const usageOf = (turn: Running, usage: unknown): ReadonlyArray<ProviderEvent> => {
    const counts = record(usage)
    if (typeof counts["inputTokens"] !== "number") return []
    const spent = cost === null || turn.costBefore === null ? null : cost - turn.costBefore
    return [
      {
        type: "usage",
        providerTurnId: turn.id,
        usage: {
          inputTokens: finite(counts["inputTokens"]),
          cachedInputTokens: finite(counts["cachedReadTokens"]),
          outputTokens: finite(counts["outputTokens"]),
          reasoningTokens: finite(counts["thoughtTokens"]),
          // The agent tells the sum of the conversation; a difference of two sums has no more digits than they.
          ...(spent !== null && spent > 0 && { costUsd: Number(spent.toFixed(6)) })
        }
      }
    ]
  }

  const hear = (given: unknown): ReadonlyArray<ProviderEvent> => {
    const update = record(given)
    const kind = textOf(update["sessionUpdate"])
    if (kind === null) return [{ type: "unknown", method: "session/update" }]
    if (quiet.has(kind)) return []
    if (kind === "usage_update") return noteCost(record(update["cost"]))
    if (kind === "notice" || kind === "compaction_update") return remark(kind, update)
    const say = words(kind)
    if (say === undefined) return [{ type: "unknown", method: `session/update ${kind.slice(0, 100)}` }]
    if (active === null) return stray()
    const said = say(active, update)
    return said.length === 0 ? [] : [...tell(active), ...said]
  }

  const stray = (): ReadonlyArray<ProviderEvent> => {
    if (strayed) return []
    strayed = true
    return [
      {
        type: "notice",
        message: "The agent went on outside of a turn. What it said or did there is not shown."
      }
    ]
  }

  const noteCost = ({ amount, currency }: Record<string, unknown>): ReadonlyArray<ProviderEvent> => {
    if (typeof amount === "number" && Number.isFinite(amount) && currency === "USD") cost = amount
    return []
  }

  const ask = (held: Held): ReadonlyArray<ProviderEvent> | null => {
    if (active === null || active.interruptAsked || requests.size >= requestsMax) return null
    requests.set(keyOf(held.id), held)
    const started = tell(active)
    const mentioned = held.tool === null ? [] : mention(active, held.tool.id, held.tool.update, true)
    return [
      ...started,
      ...mentioned,
      {
        type: "request.opened",
        providerTurnId: active.id,
        requestKey: keyOf(held.id),
        kind: held.kind,
        ask: held.ask
      }
    ]
  }

  const release = (requestKey: string, declined: boolean): Held | null => {
    const held = requests.get(requestKey) ?? null
    requests.delete(requestKey)
    const item = held?.tool == null ? undefined : active?.tools.get(held.tool.id)
    if (item !== undefined) item.declined = declined
    return held
  }

  return {
    active: () => active,
    begin,
    withdraw: () => {
      if (active !== null) leave(active)
    },
    take: (turn) => (active === turn ? tell(active) : []),
    answered,
    hear,
    tool: (id) => active?.tools.get(id)?.tool ?? null,
    ask,
    release,
    forget: (id) => {
      const requestKey = keyOf(id)
      return requests.delete(requestKey) ? [{ type: "request.resolved", requestKey }] : []
    },
    releaseAll: () => {
      const all = [...requests.values()]
      for (const held of all) release(keyOf(held.id), false)
      return all
    },
    ended: (id) => ended.get(id) ?? null,
    end: () => {
      if (active !== null) leave(active)
    }
  }
}

/** Its end is asked for: however the agent says it then, it is interrupted. */
export const interruptWasAsked = (turn: Turn): void => {
  turn.interruptAsked = true
}

const errorOf = (answer: Answered<Calls["session/prompt"][1]>): Refused | TransportBroke | null =>
  Exit.isSuccess(answer) ? null : Option.getOrNull(Cause.findErrorOption(answer.cause))

const outcomeOf = (stopReason: unknown): Ended => {
  switch (stopReason) {
    case "end_turn":
      return { outcome: "completed", message: null }
    case "cancelled":
      return { outcome: "interrupted", message: null }
    case "refusal":
      return { outcome: "failed", message: "The agent refused to go on with this." }
    case "max_tokens":
      return { outcome: "failed", message: "The answer reached the model's limit of tokens before its end." }
    case "max_turn_requests":
      return {
        outcome: "failed",
        message: "The agent reached its limit of requests to the model in one turn."
      }
    default:
      return {
        outcome: "failed",
        message: `The agent ended the turn for a reason that is not known: ${String(stopReason).slice(0, 100)}`
      }
  }
}

const finite = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0)

/** Of the conversation, not of a turn, and nothing that is shown. Our own message comes back as its copy. */
const quiet = new Set([
  "user_message_chunk",
  "available_commands_update",
  "current_mode_update",
  "config_option_update",
  "session_info_update",
  "compaction_summary_chunk"
])

const remarkMax = 2_000

const remark = (kind: string, update: Record<string, unknown>): ReadonlyArray<ProviderEvent> => {
  const message =
    kind === "notice"
      ? [update["title"], update["description"]].filter((text) => textOf(text) !== null).join("\n")
      : (compactions(String(update["status"])) ?? "")
  return message === "" ? [] : [{ type: "notice", message: message.slice(0, remarkMax) }]
}

const compactions = byName<string>({
  completed: "The agent shortened its memory of the conversation.",
  failed: "The agent could not shorten its memory of the conversation."
})

type Say = (turn: Running, update: Record<string, unknown>) => ReadonlyArray<ProviderEvent>

const words = byName<Say>({
  agent_message_chunk: (turn, update) => chunk(turn, "assistant_message", update),
  agent_thought_chunk: (turn, update) => chunk(turn, "reasoning", update),
  tool_call: (turn, update) => toolCall(turn, update),
  tool_call_update: (turn, update) => toolCall(turn, update),
  plan: (turn, { entries }) => plan(turn, entries)
})

// Texts

const chunk = (
  turn: Running,
  kind: Text["kind"],
  { content, messageId }: Record<string, unknown>
): ReadonlyArray<ProviderEvent> => {
  const text = blockText(content)
  if (text === "") return []
  const id = textOf(messageId)
  const goesOn = turn.text?.kind === kind && turn.text.messageId === id
  const before = goesOn ? [] : [...completeText(turn), startText(turn, kind, id)]
  return [...before, { type: "text.delta", providerTurnId: turn.id, providerItemId: turn.text!.itemId, text }]
}

const startText = (turn: Running, kind: Text["kind"], messageId: string | null): ProviderEvent => {
  turn.text = { itemId: nextItemId(turn), kind, messageId }
  return {
    type: "item.started",
    providerTurnId: turn.id,
    providerItemId: turn.text.itemId,
    kind,
    title: "",
    detail: {}
  }
}

const completeText = (turn: Running): ReadonlyArray<ProviderEvent> => {
  if (turn.text === null) return []
  const { itemId, kind } = turn.text
  turn.text = null
  return [completed(turn, itemId, kind, "", "completed", null, {})]
}

// Tools

const toolCall = (turn: Running, update: Record<string, unknown>): ReadonlyArray<ProviderEvent> => {
  const id = textOf(update["toolCallId"])
  return id === null
    ? [{ type: "unknown", method: "session/update tool call without an id" }]
    : mention(turn, id, update, false)
}

/** `shown`: it has to be there, for something is asked about it. */
const mention = (
  turn: Running,
  id: string,
  update: Record<string, unknown>,
  shown: boolean
): ReadonlyArray<ProviderEvent> => {
  const known = turn.tools.get(id)
  const isOver = ends(String(update["status"])) !== undefined
  // A name may come again for another call once the first has ended; a word about the ended one is late.
  const isNew =
    known === undefined || (known.state === "done" && update["sessionUpdate"] === "tool_call" && !isOver)
  if (!isNew && known.state === "done") return []
  const item: ToolItem = isNew
    ? { itemId: nextItemId(turn), tool: unseen, state: "bare", printed: "", declined: false }
    : known
  if (isNew) remember(turn, id, item)
  item.tool = updated(item.tool, update)
  if (isNew && !shown && isBare(item.tool)) return []
  return [...startTool(turn, item), ...print(turn, item), ...(isOver ? completeTool(turn, item) : [])]
}

const ends = byName<ItemEnd>({ completed: "completed", failed: "failed" })

const remember = (turn: Running, id: string, item: ToolItem) => {
  turn.tools.delete(id)
  if (turn.tools.size >= toolsMax) {
    const [oldest] = [...turn.tools].find(([, one]) => one.state === "done") ?? [...turn.tools.keys()]
    if (oldest !== undefined) turn.tools.delete(oldest)
  }
  turn.tools.set(id, item)
}

const startTool = (turn: Running, item: ToolItem): ReadonlyArray<ProviderEvent> => {
  if (item.state !== "bare") return []
  item.state = "open"
  return [
    ...completeText(turn),
    {
      type: "item.started",
      providerTurnId: turn.id,
      providerItemId: item.itemId,
      kind: kindOf(item.tool),
      title: titleOf(item.tool),
      detail: detailOf(item.tool, false)
    }
  ]
}

/** More of what a running command has printed. Its output comes as a whole each time, or piece by piece. */
const print = (turn: Running, item: ToolItem): ReadonlyArray<ProviderEvent> => {
  const { tool } = item
  if (kindOf(tool) !== "command" || tool.status !== "in_progress") return []
  const output = outputOf(tool) ?? ""
  if (output.length <= item.printed.length || !output.startsWith(item.printed)) return []
  const text = output.slice(item.printed.length)
  item.printed = output
  return [{ type: "text.delta", providerTurnId: turn.id, providerItemId: item.itemId, text }]
}

const completeTool = (turn: Running, item: ToolItem): ReadonlyArray<ProviderEvent> => {
  const started = startTool(turn, item)
  const { tool, declined } = item
  const end = ends(tool.status ?? "") ?? "failed"
  item.state = "done"
  // What is kept of it only has to tell late words.
  item.tool = unseen
  item.printed = ""
  return [
    ...started,
    completed(
      turn,
      item.itemId,
      kindOf(tool),
      titleOf(tool),
      declined && end === "failed" ? "declined" : end,
      kindOf(tool) === "file_change" ? null : outputOf(tool),
      detailOf(tool, true)
    )
  ]
}

// The plan

const planItemId = "plan"
const planTitle = "Steps"

const plan = (turn: Running, entries: unknown): ReadonlyArray<ProviderEvent> => {
  const steps = list(entries)
    .map(record)
    .map(({ content, status, priority }) => ({ step: content, status: stepStatus(status), priority }))
  const isNew = turn.plan === null
  turn.plan = bounded({ steps })
  const at = { providerTurnId: turn.id, providerItemId: planItemId, detail: turn.plan }
  return [
    isNew ? { type: "item.started", ...at, kind: "plan", title: planTitle } : { type: "item.updated", ...at }
  ]
}

/** As Codex writes it, so that one card shows all plans. */
const stepStatus = (status: unknown) => (status === "in_progress" ? "inProgress" : status)

const completePlan = (turn: Running): ReadonlyArray<ProviderEvent> =>
  turn.plan === null ? [] : [completed(turn, planItemId, "plan", planTitle, "completed", null, turn.plan)]

const nextItemId = (turn: Running): string => String((turn.items += 1))

const completed = (
  turn: Running,
  providerItemId: string,
  kind: Extract<ProviderEvent, { type: "item.completed" }>["kind"],
  title: string,
  end: ItemEnd,
  text: string | null,
  detail: ItemDetail
): ProviderEvent => ({
  type: "item.completed",
  providerTurnId: turn.id,
  providerItemId,
  kind,
  title,
  end,
  text,
  detail
})
