/**
 * `turnkeeper send`: one message to an agent, and its answer.
 *
 *     find the thread, or make project and thread ─▶ dispatch ─▶ follow until the turn has settled
 *                                                                 │ asked: answer   Ctrl-C: interrupt
 *
 * Known limit: when the connection was lost for more than a thousand events, the end of a turn whose newest
 * entry is not among the newest of the thread is not seen.
 */
import type { ShellItem, ThreadItem } from "@turnkeeper/contracts/Streams"
import { nothingUsed, withUsage } from "@turnkeeper/contracts/TurnUsage"
import type { TurnUsage } from "@turnkeeper/contracts/TurnUsage"
import { turnEndWords, usageWords } from "@turnkeeper/contracts/Words"
import { CommandId, MessageId, ProjectId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { SettledTurnState } from "@turnkeeper/domain/thread/lifecycle"
import { isSettled } from "@turnkeeper/domain/thread/lifecycle"
import { Effect, Option, Stream } from "effect"
import { randomUUID } from "node:crypto"
import { basename, resolve } from "node:path"
import { answerTo } from "./approve.ts"
import type { Approve, Asked } from "./approve.ts"
import { dispatch, follow, visit } from "./follow.ts"
import { codes, CommandFailed, failed } from "./Outcome.ts"
import { makePrinter, printJson, terminal } from "./print.ts"
import { Stop } from "./Stop.ts"

export interface SendOptions {
  readonly data: string
  readonly json: boolean
  readonly text: string
  readonly thread: ThreadId | null
  readonly project: string
  readonly provider: ProviderInstanceId | null
  readonly approve: Approve
}

export const send = Effect.fn("cli.send")(function* (options: SendOptions) {
  const { data, json } = options
  const threadId = options.thread ?? ThreadId.make(randomUUID())
  const turnId = TurnId.make(randomUUID())
  const createThread = options.thread === null ? yield* newThread(options) : undefined
  const accepted = yield* dispatch(data, {
    type: "thread.turn.start",
    commandId: newCommandId(),
    threadId,
    turnId,
    messageId: MessageId.make(randomUUID()),
    text: options.text,
    ...(options.provider !== null && { provider: options.provider }),
    ...(createThread !== undefined && { createThread })
  })
  if (json) printJson({ event: "accepted", threadId, turnId, ...accepted })

  const printer = makePrinter(turnId, terminal)
  const show = (item: ThreadItem) => {
    if (!json) return printer.show(item)
    if (item.type !== "heartbeat") printJson(item)
  }
  const turn = makeTurn(turnId)
  const answered = new Set<string>()
  const following = follow(data, threadId).pipe(
    Stream.tap((item) =>
      Effect.gen(function* () {
        show(item)
        turn.observe(item)
        for (const request of turn.requests()) {
          if (answered.has(request.requestId)) continue
          answered.add(request.requestId)
          printer.finish()
          const answer = yield* answerTo(request, options.approve)
          if (answer !== null) yield* answerRequest(data, threadId, request, answer)
        }
      })
    ),
    Stream.takeUntil(() => turn.end() !== null),
    Stream.runDrain
  )

  yield* Effect.raceFirst(following, stopping(data, threadId, turnId))
  printer.finish()
  return yield* ended(options, threadId, turnId, turn.end())
})

const newCommandId = () => CommandId.make(randomUUID())

/** The project of the directory, made when there is none, and a provider that is ready. */
const newThread = Effect.fn("cli.newThread")(function* (options: SendOptions) {
  const directory = resolve(options.project)
  const { shell, providers } = yield* visit(options.data, (client) =>
    Effect.all({
      shell: Stream.runHead(Stream.filter(client["orchestration.subscribeShell"]({}), isShellSnapshot)),
      providers: client["providers.list"]({})
    })
  )
  const provider =
    options.provider ?? (providers.find((one) => one.health.status === "ready") ?? providers[0])?.id ?? null
  if (provider === null) return yield* failed("No provider is configured. Nothing was sent.")

  const projects = Option.match(shell, { onNone: () => [], onSome: ({ projects }) => projects })
  const known = projects.find((project) => project.directory === directory)
  const projectId = known?.projectId ?? ProjectId.make(randomUUID())
  if (known === undefined) {
    const title = basename(directory) || directory
    yield* dispatch(options.data, {
      type: "project.create",
      commandId: newCommandId(),
      projectId,
      title,
      directory
    })
  }
  return { projectId, title: titleOf(options.text), provider }
})

const isShellSnapshot = (item: ShellItem): item is Extract<ShellItem, { readonly type: "snapshot" }> =>
  item.type === "snapshot"

const titleOf = (text: string) => {
  const line = text.trim().split("\n", 1)[0] ?? ""
  return line.length <= 60 ? line : `${line.slice(0, 59)}…`
}

/** Somebody else may have been quicker, or the agent may not wait any more: both are fine. */
const answerRequest = (data: string, threadId: ThreadId, request: Asked, answer: object) =>
  dispatch(data, {
    type: "thread.request.answer",
    commandId: newCommandId(),
    threadId,
    requestId: request.requestId,
    ...answer
  }).pipe(
    Effect.catchIf(
      (error) => error.rule === "RequestNotOpen",
      (error) => Effect.sync(() => terminal.note(error.message))
    )
  )

/** After Ctrl-C the turn is interrupted, and its end is waited for; not for ever. */
const stopping = (data: string, threadId: ThreadId, turnId: TurnId) =>
  Effect.gen(function* () {
    const stop = yield* Stop
    yield* stop.asked
    yield* dispatch(data, {
      type: "thread.turn.interrupt",
      commandId: newCommandId(),
      threadId,
      turnId
    }).pipe(
      // It has ended by itself meanwhile.
      Effect.catchIf(
        (error) => error.code === codes.refused,
        () => Effect.void
      )
    )
    yield* Effect.sleep(patience)
    return yield* new CommandFailed({
      code: codes.stopped,
      message: "The turn is still stopping. The server goes on with it.",
      rule: null
    })
  })

const patience = "20 seconds"

interface End {
  readonly state: SettledTurnState
  readonly reason: string | null
  readonly delivered: "delivered" | "not_delivered" | "unknown" | null
  /** null: the provider reported nothing. */
  readonly usage: TurnUsage | null
}

const ended = Effect.fnUntraced(function* (
  options: SendOptions,
  threadId: ThreadId,
  turnId: TurnId,
  end: End | null
) {
  if (options.json) printJson({ event: "settled", threadId, turnId, ...end })
  else if (options.thread === null) terminal.note(`Continue with: turnkeeper send --thread ${threadId} …`)
  if (end === null) return yield* failed("The turn's end was not seen.")
  const words = turnEndWords(end) ?? end.state
  const used = usageWords(end.usage)
  if (end.state !== "completed" && end.state !== "steered") {
    if (!options.json && used !== null) terminal.note(used)
    return yield* failed(words)
  }
  if (!options.json) terminal.note(used === null ? words : `${words} · ${used}`)
})

/** What matters here of the turn that was sent. */
const makeTurn = (turnId: TurnId) => {
  const open = new Map<string, Asked>()
  let end: Omit<End, "usage"> | null = null
  let usage: TurnUsage | null = null
  return {
    end: (): End | null => (end === null ? null : { ...end, usage }),
    requests: () => [...open.values()],
    observe: (item: ThreadItem) => {
      if (item.type === "snapshot") {
        for (const request of item.requests)
          if (request.turnId === turnId) open.set(request.requestId, request)
        const row = item.turns.find((turn) => turn.turnId === turnId)
        if (row !== undefined) usage = row.usage ?? null
        if (row !== undefined && isSettled(row.state))
          end = { state: row.state, reason: row.reason, delivered: row.delivered }
      }
      if (item.type !== "event") return
      const { event } = item
      if (event.type === "request.opened" && event.turnId === turnId) {
        open.set(event.requestId, { requestId: event.requestId, ask: event.ask })
      }
      if (event.type === "request.closed") open.delete(event.requestId)
      if (event.type === "usage.reported" && event.turnId === turnId) {
        usage = withUsage(usage ?? nothingUsed, event.usage)
      }
      if (event.type === "turn.settled" && event.turnId === turnId) {
        end = { state: event.state, reason: event.reason, delivered: event.delivery }
      }
    }
  }
}
