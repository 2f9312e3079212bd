/**
 * The wire to an agent. How its lines are read and its answers matched is provider-kit's.
 *
 * The protocol's own library is used for its types only: its connection reads ahead without a bound, answers
 * a malformed line on the wire, and checks what an agent sends against one version's exact shapes, which an
 * agent of tomorrow does not have.
 */
import * as JsonRpc from "@turnkeeper/provider-kit/JsonRpc"
import type { Transport } from "@turnkeeper/provider-kit/Transport"
import type { Calls } from "./protocol.ts"

export type Connection = JsonRpc.Connection<Calls>

const peer: JsonRpc.Peer = { name: "The agent", envelope: { jsonrpc: "2.0" } }

export const make = (transport: Transport, handlers: JsonRpc.Handlers, options?: JsonRpc.ConnectionOptions) =>
  JsonRpc.make<Calls>(peer, transport, handlers, options)

/** The agent has not done in time what it was asked. */
export const noAnswer = (method: string) => new JsonRpc.NoAnswer({ who: peer.name, method })
