/**
 * Answers what an agent asks: by the flag, or by asking the person at the terminal, or not at all.
 */
import { decisionWords } from "@turnkeeper/contracts/Words"
import type { RequestId } from "@turnkeeper/domain/ids"
import type { Ask, Decision } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect } from "effect"
import { Prompt } from "effect/cli"
import { terminal } from "./print.ts"

/** `ask`: a person sits at the terminal. `wait`: somebody else has to answer. */
export type Approve = "accept" | "decline" | "ask" | "wait"

export interface Asked {
  readonly requestId: RequestId
  readonly ask: Ask
}

/** Null leaves the request open. */
export const answerTo = Effect.fn("cli.answerTo")(function* ({ ask }: Asked, approve: Approve) {
  terminal.note(`The agent asks: ${ask.title}`)
  for (const [name, value] of Object.entries(ask.detail)) terminal.note(`  ${name}: ${plain(value)}`)
  if (approve === "ask") return yield* fromPerson(ask)
  if (approve === "wait" || ask.questions.length > 0) {
    terminal.note("Waiting for an answer from another client.")
    return null
  }
  const decision = offered(ask, approve)
  if (decision === null) return null
  terminal.note(`Answered: ${decisionWords[decision]}`)
  return { decision }
})

const fromPerson = Effect.fnUntraced(function* (ask: Ask) {
  const answers: Record<string, ReadonlyArray<string>> = {}
  for (const { id, question, options } of ask.questions) {
    const answer =
      options.length === 0
        ? yield* Prompt.run(Prompt.String({ message: question }))
        : yield* Prompt.run(
            Prompt.Select({
              message: question,
              choices: options.map(({ label }) => ({ title: label, value: label }))
            })
          )
    answers[id] = [answer]
  }
  if (ask.questions.length > 0 || ask.decisions.length === 0) return { answers }
  const decision = yield* Prompt.run(
    Prompt.Select({
      message: "Your answer",
      choices: ask.decisions.map((value) => ({ title: decisionWords[value], value }))
    })
  )
  return { decision }
})

/** The offered decision that comes nearest to the flag. */
const offered = (ask: Ask, approve: "accept" | "decline"): Decision | null => {
  const wanted: ReadonlyArray<Decision> =
    approve === "accept" ? ["accept", "accept_for_session"] : ["decline", "cancel"]
  return wanted.find((decision) => ask.decisions.includes(decision)) ?? null
}

const plain = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value))
