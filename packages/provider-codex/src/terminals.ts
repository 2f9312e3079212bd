/**
 * Commands that Codex lets run on after their turn: found by its own list, and ended one by one. Codex answers
 * before the process is gone: the end of its item is the proof.
 */
import type { CallFailed } from "@turnkeeper/provider-kit/JsonRpc"
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import { noAnswer } from "./Connection.ts"
import type { Conversation } from "./Conversation.ts"
import type { Hearing } from "./Hearing.ts"
import type { Asking } from "./history.ts"
import { notice } from "./translate.ts"

/** Of one thread. */
export interface Terminals {
  readonly asking: Asking
  readonly codexThread: string
  readonly conversation: Pick<Conversation, "commandEnd">
}

/** `commands` names their items; null ends all of the thread. */
export const end = Effect.fnUntraced(function* (
  terminals: Terminals,
  commands: ReadonlySet<string> | null
): Effect.fn.Return<void, CallFailed> {
  const { asking, codexThread } = terminals
  const { data } = yield* asking.connection.call(
    "thread/backgroundTerminals/list",
    { threadId: codexThread, limit: terminalsMax },
    { deadline: asking.deadline }
  )
  const left = data.filter(({ itemId }) => commands === null || commands.has(itemId))
  yield* Effect.forEach(left, (terminal) => endOne(terminals, terminal), { discard: true, concurrency: 4 })
})

const terminalsMax = 200

const endOne = Effect.fnUntraced(function* (
  { asking, codexThread, conversation }: Terminals,
  { itemId, processId }: Protocol.ThreadBackgroundTerminal
) {
  const over = conversation.commandEnd(itemId)
  yield* asking.connection.call(
    "thread/backgroundTerminals/terminate",
    { threadId: codexThread, processId },
    { deadline: asking.deadline }
  )
  if (over === null) return
  yield* Deferred.await(over).pipe(
    Effect.timeoutOrElse({
      duration: asking.deadline,
      orElse: () => noAnswer("thread/backgroundTerminals/terminate")
    })
  )
})

/** The commands of a turn that was interrupted just now. */
export interface LeftRunning {
  readonly note: (commands: ReadonlySet<string>) => void
  /** Ends them, behind what was said with the turn's end. Does nothing where there are none. */
  readonly end: Effect.Effect<unknown>
}

export const leftRunning = (
  terminals: Terminals,
  { scope, tell }: { readonly scope: Scope.Scope; readonly tell: Hearing["tell"] }
): LeftRunning => {
  let noted: ReadonlySet<string> | null = null

  /** Not waited for: its calls are answered by the reader, which is what runs this. */
  const endAll = (commands: ReadonlySet<string>) =>
    end(terminals, commands).pipe(
      Effect.catch((error) =>
        tell([notice(`A command of the interrupted turn may still run: ${error.message}`)])
      ),
      Effect.forkIn(scope)
    )

  return {
    note: (commands) => {
      noted = commands
    },
    end: Effect.suspend((): Effect.Effect<unknown> => {
      const commands = noted
      noted = null
      return commands === null ? Effect.void : endAll(commands)
    })
  }
}
