/**
 * A server in one file, to be killed: opens a session, sends one prompt, and says when it has called a tool or
 * said something.
 *
 *     node serverToKill.ts <options as JSON> <prompt>
 */
import { MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { Effect, Stream } from "effect"
import * as Claude from "../src/Claude.ts"

const [options, text] = process.argv.slice(2) as [string, string]
const { cwd, ...claude } = JSON.parse(options) as Claude.ClaudeOptions & { readonly cwd: string }

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const provider = yield* Claude.make(claude)
      const mode = { model: null, runtimeMode: "full_access", interactionMode: "default" } as const
      const session = yield* provider.open({
        threadId: ThreadId.make("t"),
        generation: 1,
        cwd,
        resume: null,
        ...mode
      })
      yield* session.send({
        turnId: TurnId.make("turn-1"),
        messageId: MessageId.make("m"),
        text,
        attachments: [],
        ...mode
      })
      yield* session.events.pipe(
        Stream.filter((event) => event.type === "item.started"),
        Stream.take(1),
        Stream.runDrain
      )
      process.stdout.write(`${JSON.stringify({ resume: session.resume, turnId: "turn-1" })}\n`)
      yield* Effect.never
    })
  )
)
