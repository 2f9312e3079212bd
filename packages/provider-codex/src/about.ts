/** The turn and the item that a notification is about, where it names them. Pure, and total. */
import type { Notification } from "@turnkeeper/provider-kit/JsonRpc"
import type * as Protocol from "./_generated/protocol.ts"

export interface About {
  readonly id: string | null
  readonly item: Protocol.ThreadItem | null
  readonly itemId: string | null
}

export const about = ({ params }: Notification): About => {
  const { turnId, turn, item, itemId } = Object(params) as {
    turnId?: unknown
    turn?: { id?: unknown } | null
    item?: unknown
    itemId?: unknown
  }
  const id = turnId ?? turn?.id
  return {
    id: typeof id === "string" ? id : null,
    item: typeof item === "object" && item !== null ? (item as Protocol.ThreadItem) : null,
    itemId: typeof itemId === "string" ? itemId : null
  }
}
