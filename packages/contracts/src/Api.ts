/**
 * Every call a client can make. The same group is served as Effect RPC on `/rpc` and as JSON-RPC 2.0 on
 * `/jsonrpc`.
 */
import { ThreadId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { checked } from "./Checked.ts"
import { Accepted, Command } from "./Command.ts"
import { DispatchFailure, HelloFailure, ReadFailure } from "./Errors.ts"
import { ProviderRow } from "./Providers.ts"
import { Cursor, Page, ShellItem, ThreadItem } from "./Streams.ts"
import { ProtocolRange } from "./Version.ts"

export const Hello = Schema.Struct({
  /** The version that was agreed on. */
  protocol: Schema.Int,
  server: Schema.Struct({
    version: Schema.String,
    /** Another one after each start of the server. */
    instanceId: Schema.String,
    /** Of the database: versions and cursors of another epoch mean nothing here. */
    epoch: Schema.String,
    startedAt: Schema.Number
  }),
  capabilities: Schema.Array(Schema.String),
  limits: Schema.Record(Schema.String, Schema.Number)
})
export type Hello = typeof Hello.Type

const HelloInput = Schema.Struct({
  protocol: ProtocolRange,
  client: Schema.optionalKey(
    Schema.Struct({
      name: Schema.String.check(Schema.isMaxLength(128)),
      version: Schema.String.check(Schema.isMaxLength(128))
    })
  )
})
const DispatchInput = Schema.Struct({ command: Command.annotate({ message: "no known type of command" }) })
const ShellInput = Schema.Struct({ after: Schema.optionalKey(Schema.Int) })
const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const ThreadInput = Schema.Struct({
  threadId: ThreadId,
  after: Schema.optionalKey(Cursor),
  tail: Schema.optionalKey(count)
})
export type ThreadInput = typeof ThreadInput.Type
const HistoryInput = Schema.Struct({
  threadId: ThreadId,
  /** Only what has a lower position: the `before` of the page or snapshot above. */
  before: Schema.Int,
  limit: count
})
const NoInput = Schema.Struct({})

export class Api extends RpcGroup.make(
  Rpc.make("server.hello", { payload: checked(HelloInput), success: Hello, error: HelloFailure }),
  /** Answered after the commit. The same command id gives the same answer, however often it is sent. */
  Rpc.make("orchestration.dispatch", {
    payload: checked(DispatchInput),
    success: Accepted,
    error: DispatchFailure
  }),
  Rpc.make("orchestration.subscribeShell", {
    payload: checked(ShellInput),
    success: ShellItem,
    error: ReadFailure,
    stream: true
  }),
  Rpc.make("orchestration.subscribeThread", {
    payload: checked(ThreadInput),
    success: ThreadItem,
    error: ReadFailure,
    stream: true
  }),
  Rpc.make("orchestration.history", { payload: checked(HistoryInput), success: Page, error: ReadFailure }),
  Rpc.make("providers.list", {
    payload: checked(NoInput),
    success: Schema.Array(ProviderRow),
    error: ReadFailure
  })
) {}
