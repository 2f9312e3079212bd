/**
 * One session: a process of its own that works on one conversation.
 *
 * It ends once, with `session.exited`, whatever the cause: asked to, closed with its scope, or dead.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { OpenOptions, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { ChildOptions } from "@turnkeeper/provider-kit/Child"
import { start } from "@turnkeeper/provider-kit/Child"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { Operation, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { failWith } from "@turnkeeper/provider-kit/ProviderError"
import { overChild } from "@turnkeeper/provider-kit/Transport"
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import * as Connection from "./Connection.ts"
import type { NoAnswer, Refused } from "./Connection.ts"
import { Begun, Opened, Status } from "./protocol.ts"
import type { Said } from "./protocol.ts"
import { translate } from "./translate.ts"
import type { ExampleOptions } from "./Example.ts"

export interface Session extends ProviderSession {
  readonly active: () => ProviderTurnId | null
  readonly isOver: () => boolean
}

export const open = Effect.fnUntraced(function* (
  options: ExampleOptions,
  process: Pick<ChildOptions, "program" | "arguments" | "env" | "ledger" | "mark">,
  wanted: OpenOptions
): Effect.fn.Return<Session, ProviderError, Scope.Scope> {
  const outbox = Outbox.make()
  let active: ProviderTurnId | null = null
  let isOver = false
  let isAsked = false

  const fail = failWith(options.instanceId)
  const wrap = (operation: Operation) => (error: Refused | NoAnswer) =>
    error._tag === "Refused"
      ? fail(operation, refusals[error.no], `The agent says: ${error.no}.`)
      : fail(operation, error.delivered === "no" ? "Unavailable" : "Unknown", "The agent did not answer.")

  const exit = (message: string) => {
    isOver = true
    active = null
    outbox.end({ type: "session.exited", clean: isAsked, message: isAsked ? null : message })
  }
  const hear = (said: Said) =>
    Effect.suspend(() => {
      if (said.say === "turn") active = ProviderTurnId.make(said.turn)
      if (said.say === "end") active = null
      return outbox.put([translate(said)])
    })

  // The scope ends things in the reverse order: the reading, the process, and then this is the last word.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isAsked ||= !isOver
      exit("The session was closed.")
    })
  )
  const child = yield* start({ ...process, name, cwd: wanted.cwd, reads: true }).pipe(
    Effect.mapError(({ message }) => fail("open", "Unavailable", message))
  )
  const { call } = yield* Connection.make({
    transport: overChild(child, name),
    deadline: "10 seconds",
    tap: options.tap,
    onSaid: hear,
    onUnknown: (method) => outbox.put([{ type: "unknown", method }])
  })
  yield* Effect.forkScoped(Effect.map(child.gone, ({ message }) => exit(message)))
  const { conversation } = yield* Effect.mapError(
    call({ do: "open", conversation: wanted.resume }, Opened),
    wrap("open")
  )

  /** Nothing is asked of a process that has ended. */
  const whileOpen = <A>(operation: Operation, effect: Effect.Effect<A, ProviderError>) =>
    Effect.suspend(() =>
      isOver ? Effect.fail(fail(operation, "SessionGone", "The session has ended.")) : effect
    )

  const send = (name: string, text: string, asks: boolean) =>
    call({ do: "prompt", name, text, asks }, Begun).pipe(
      Effect.mapError(wrap("send")),
      Effect.map(({ turn }) => ({ providerTurnId: ProviderTurnId.make(turn) }))
    )

  return {
    resume: conversation,
    notice: null,
    events: outbox.events,
    active: () => active,
    isOver: () => isOver,
    send: ({ turnId, text, attachments, runtimeMode }) =>
      whileOpen(
        "send",
        // What it cannot take is refused as a whole: nothing is left out in silence.
        Effect.suspend(() =>
          attachments.length > 0
            ? Effect.fail(fail("send", "Rejected", "The agent takes no attachments."))
            : send(turnId, text, runtimeMode !== "full_access")
        )
      ),
    steer: () => Effect.fail(fail("steer", "Unsupported", "The agent takes one message at a time.")),
    interrupt: (turn) =>
      whileOpen(
        "interrupt",
        Effect.asVoid(Effect.mapError(call({ do: "interrupt", turn }, Schema.Unknown), wrap("interrupt")))
      ),
    answer: (request, { decision }) =>
      whileOpen(
        "answer",
        call({ do: "answer", request, decision: decision ?? "decline" }, Schema.Unknown).pipe(
          Effect.mapError(wrap("answer")),
          Effect.asVoid
        )
      ),
    probe: (turn) =>
      whileOpen(
        "probe",
        call({ do: "status", turn }, Status).pipe(
          Effect.mapError(wrap("probe")),
          Effect.map(({ running, how, why }) => {
            if (running !== null && (turn === null || turn === running)) return { type: "running" as const }
            return how === null
              ? { type: "gone" as const }
              : { type: "ended" as const, outcome: how, message: why }
          })
        )
      ),
    stop: (step) =>
      whileOpen(
        "stop",
        Effect.suspend(() => {
          isAsked = true
          return Effect.flatMap(step === "stop" ? child.close : child.kill, (isProven) =>
            isProven
              ? Effect.sync(() => exit(""))
              : Effect.fail(fail("stop", "Unknown", "The agent could not be ended."))
          )
        })
      )
  }
})

/** What people call it. */
const name = "The agent"

const refusals = {
  gone: "SessionGone",
  busy: "Rejected",
  "not running": "TurnMismatch",
  "not waiting": "RequestGone",
  unknown: "ProtocolViolation"
} as const satisfies Record<Refused["no"], FaultReason>
