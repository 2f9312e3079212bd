/** What it means for a call that the wire under it failed: the same for every agent that speaks JSON-RPC. */
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { StartFailed } from "./Child.ts"
import type { CallFailed, Refused } from "./JsonRpc.ts"

/** `ofRefusal`: what the agent's own codes mean. Never what a message says. */
export const reasonBy =
  (ofRefusal: (refused: Refused) => FaultReason) =>
  (error: CallFailed | StartFailed): FaultReason => {
    switch (error._tag) {
      case "StartFailed":
        return error.missing ? "NotInstalled" : "Unavailable"
      case "NoAnswer":
        return "Unknown"
      case "TransportBroke":
        return error.delivered === "no" ? "Unavailable" : "Unknown"
      case "Refused":
        return ofRefusal(error)
    }
  }
