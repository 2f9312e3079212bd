/**
 * Writes one whole answer, whatever the API: the plan says what is said, the API how. `refuse` and `http` never
 * come here; they are the same for every API.
 */
import type { Answer, Api, Conversation, Out } from "./Api.ts"
import { toolCall } from "./tools.ts"

export const write = (api: Api, answer: Answer, conversation: Conversation, out: Out): Promise<void> =>
  conversation.streamed ? stream(api, answer, conversation, out) : whole(api, answer, conversation, out)

const stream = async (
  api: Api,
  { plan, words, serial }: Answer,
  { model, tools }: Conversation,
  out: Out
) => {
  const voice = api.voice({ serial, model }, out.write)
  await voice.begin()
  if (plan.kind === "failed") {
    await voice.fail()
    return out.end()
  }
  const call = toolCall(plan, tools)
  if (call !== null) await voice.call(call)
  else {
    if (plan.kind === "text" && plan.thought !== null) await voice.think(plan.thought)
    await voice.openText()
    for await (const word of words) await voice.word(word)
    if (plan.kind === "stall") return out.left
    if (plan.kind === "drop") return out.destroy()
    await voice.closeText()
  }
  await voice.end(call === null ? "text" : "call")
  return out.end()
}

const whole = async (api: Api, { plan, words, serial }: Answer, { model, tools }: Conversation, out: Out) => {
  if (plan.kind === "drop") return out.destroy()
  if (plan.kind === "failed") return out.json(500, api.errorBody(500))
  const call = toolCall(plan, tools)
  let text = ""
  if (call === null) for await (const word of words) text += word
  if (plan.kind === "stall") return out.left
  return out.json(200, api.whole(call === null ? { text } : { call }, { serial, model }))
}
