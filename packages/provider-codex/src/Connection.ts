/**
 * The wire to `codex app-server`: what can be asked of it, and what it sends. How its lines are read and its
 * answers matched is provider-kit's.
 */
import * as JsonRpc from "@turnkeeper/provider-kit/JsonRpc"
import type { Transport } from "@turnkeeper/provider-kit/Transport"
import type * as Protocol from "./_generated/protocol.ts"

/** What each call sends and gets. */
export interface Calls {
  readonly initialize: [Protocol.InitializeParams, Protocol.InitializeResponse]
  readonly "thread/start": [Protocol.ThreadStartParams, Protocol.ThreadStartResponse]
  readonly "thread/resume": [Protocol.ThreadResumeParams, Protocol.ThreadResumeResponse]
  readonly "thread/read": [Protocol.ThreadReadParams, Protocol.ThreadReadResponse]
  readonly "thread/unsubscribe": [Protocol.ThreadUnsubscribeParams, Protocol.ThreadUnsubscribeResponse]
  readonly "thread/loaded/list": [Protocol.ThreadLoadedListParams, Protocol.ThreadLoadedListResponse]
  readonly "thread/turns/list": [Protocol.ThreadTurnsListParams, Protocol.ThreadTurnsListResponse]
  readonly "thread/items/list": [Protocol.ThreadItemsListParams, Protocol.ThreadItemsListResponse]
  readonly "thread/backgroundTerminals/list": [
    Protocol.ThreadBackgroundTerminalsListParams,
    Protocol.ThreadBackgroundTerminalsListResponse
  ]
  readonly "thread/backgroundTerminals/terminate": [
    Protocol.ThreadBackgroundTerminalsTerminateParams,
    Protocol.ThreadBackgroundTerminalsTerminateResponse
  ]
  readonly "turn/start": [Protocol.TurnStartParams, Protocol.TurnStartResponse]
  readonly "turn/steer": [Protocol.TurnSteerParams, Protocol.TurnSteerResponse]
  readonly "turn/interrupt": [Protocol.TurnInterruptParams, Protocol.TurnInterruptResponse]
  readonly "model/list": [Protocol.ModelListParams, Protocol.ModelListResponse]
  readonly "account/read": [Protocol.GetAccountParams, Protocol.GetAccountResponse]
}
export type Connection = JsonRpc.Connection<Calls>

/** What people call it, and how its messages begin: without a word of their version. */
const peer: JsonRpc.Peer = { name: "Codex", envelope: {} }

export const make = (transport: Transport, handlers: JsonRpc.Handlers, options?: JsonRpc.ConnectionOptions) =>
  JsonRpc.make<Calls>(peer, transport, handlers, options)

/** Codex has not done in time what it was asked. */
export const noAnswer = (method: keyof Calls) => new JsonRpc.NoAnswer({ who: peer.name, method })
