/**
 * A server in one file, to be killed: opens a session, sends one prompt, says so, and waits for its end.
 *
 *     node serverToKill.ts <options as JSON> <prompt>
 */
import { MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { Effect, Stream } from "effect"
import * as Codex from "../src/Codex.ts"

const [options, text] = process.argv.slice(2) as [string, string]
const { cwd, ...codex } = JSON.parse(options) as Codex.CodexOptions & { readonly cwd: string }

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const provider = yield* Codex.make(codex)
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
        Stream.filter((event) => event.type === "text.delta"),
        Stream.take(1),
        Stream.runDrain
      )
      process.stdout.write(`${JSON.stringify({ resume: session.resume })}\n`)
      yield* Effect.never
    })
  )
)
