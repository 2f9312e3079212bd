/** What the agent says, in our words. Pure. */
import { ProviderTurnId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Said } from "./protocol.ts"

const kinds = { message: "assistant_message", command: "command" } as const

export const translate = (said: Said): ProviderEvent => {
  const providerTurnId = ProviderTurnId.make(said.turn)
  switch (said.say) {
    case "turn":
      return { type: "turn.started", providerTurnId, turnId: TurnId.make(said.name) }
    case "item":
      return {
        type: "item.started",
        providerTurnId,
        providerItemId: said.item,
        kind: kinds[said.kind],
        title: said.title,
        detail: {}
      }
    case "text":
      return { type: "text.delta", providerTurnId, providerItemId: said.item, text: said.text }
    case "item-end":
      return {
        type: "item.completed",
        providerTurnId,
        providerItemId: said.item,
        kind: kinds[said.kind],
        title: said.title,
        end: said.how,
        text: said.text,
        detail: {}
      }
    case "ask":
      return {
        type: "request.opened",
        providerTurnId,
        requestKey: said.request,
        kind: "command_approval",
        ask: {
          title: said.title,
          detail: { command: said.title },
          decisions: ["accept", "decline", "cancel"],
          questions: []
        }
      }
    case "end":
      return { type: "turn.completed", providerTurnId, outcome: said.how, message: said.why }
  }
}
