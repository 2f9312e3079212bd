/**
 * The protocol's version. It rises when an old client would misread a new server; an added call, an added
 * field and an added member of an enumeration do not count, because clients ignore what they do not know.
 *
 * History
 *   1  server.hello, providers.list, orchestration.{dispatch, subscribeShell, subscribeThread, history}
 */
import { Schema } from "effect"

export const ProtocolRange = Schema.Struct({ min: Schema.Int, max: Schema.Int })
export type ProtocolRange = typeof ProtocolRange.Type

/** What this build speaks. */
export const supported: ProtocolRange = { min: 1, max: 1 }

/** The highest version that both sides speak, or null. */
export const agree = (client: ProtocolRange, server: ProtocolRange = supported): number | null => {
  const highest = Math.min(client.max, server.max)
  return highest >= Math.max(client.min, server.min) ? highest : null
}
