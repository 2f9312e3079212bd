/**
 * Sends a message in a new thread and prints the answer as it comes. What the agent asks is declined.
 *
 *     node examples/node/ask.ts "What does this project do?" [provider]
 */
import { newId, until } from "../../packages/client/src/index.ts"
import type { ThreadModel } from "../../packages/client/src/index.ts"
import { turnEndWords } from "../../packages/contracts/src/Words.ts"
import { connectHere } from "./local.ts"

const [text = "Hello", provider = "scripted"] = process.argv.slice(2)

const client = connectHere()
const project = client.createProject({ title: "Example", directory: process.cwd() })
const threadId = newId("thread")
const thread = client.thread(threadId)
const { projectId } = project
const sent = client.send({ threadId, text, createThread: { projectId, title: text.slice(0, 80), provider } })

// The model is complete at each moment: what is new in it is what was not printed yet.
const printed = new Map<string, number>()
const print = ({ entries }: ThreadModel) => {
  for (const entry of entries) {
    if (entry.type !== "message" || entry.role !== "assistant") continue
    process.stdout.write(entry.text.slice(printed.get(entry.id) ?? 0))
    printed.set(entry.id, entry.text.length)
  }
}
const decline = ({ requests }: ThreadModel) => {
  for (const request of requests) {
    if (request.status === "open") void client.answer(threadId, request.requestId, { decision: "decline" })
  }
}
thread.model.subscribe(() => {
  print(thread.model.get())
  decline(thread.model.get())
})

try {
  // Accepted means: it will become a turn, or end with a reason. Lost connections are no business of ours.
  await sent
  const turnOf = (model: ThreadModel) => model.turns.find((turn) => turn.turnId === sent.turnId)
  const model = await until(thread.model, (model) => turnOf(model)?.settledAt != null)
  process.stdout.write(`\n— ${turnEndWords(turnOf(model)!)}\n`)
} finally {
  await client.close()
}
