/** The same wish as a new command, with ids that were never used. */
import type { AnyCommand } from "./Client.ts"
import { newId } from "./newId.ts"

export const resent = (command: AnyCommand): AnyCommand => {
  const { commandId: _, ...rest } = command
  if (rest.type === "thread.turn.start") {
    return { ...rest, turnId: newId("turn"), messageId: newId("message") }
  }
  if (rest.type === "thread.turn.retry") {
    return { ...rest, newTurnId: newId("turn"), newMessageId: newId("message") }
  }
  return rest
}
