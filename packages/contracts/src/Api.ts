/**
 * Every call a client can make. The same group is served as Effect RPC on `/rpc` and as JSON-RPC 2.0 on
 * `/jsonrpc`.
 */
import { ItemId, ThreadId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { checked } from "./Checked.ts"
import { Accepted, Command } from "./Command.ts"
import { BrowseFailure, DispatchFailure, HelloFailure, ReadFailure } from "./Errors.ts"
import { RebuildItem } from "./Maintenance.ts"
import { ProviderItem, ProviderRow, Refreshed } from "./Providers.ts"
import { SearchInput, SearchPage } from "./Search.ts"
import { Cursor, ItemText, Page, ShellCursor, ShellItem, ThreadItem } from "./Streams.ts"
import { ProtocolRange } from "./Version.ts"
import { BrowseInput, Folder } from "./Workspace.ts"

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
const ShellInput = Schema.Struct({ after: Schema.optionalKey(ShellCursor) })
export type ShellInput = typeof ShellInput.Type
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
const ItemTextInput = Schema.Struct({
  threadId: ThreadId,
  itemId: ItemId,
  /** UTF-16 units, as in `limit` and in a delta. */
  offset: count,
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
  /** A part of an item's text. Ask on from where it ends until `length` is reached. */
  Rpc.make("orchestration.itemText", {
    payload: checked(ItemTextInput),
    success: ItemText,
    error: ReadFailure
  }),
  /** Words in prompts and answers of all threads, or of one. */
  Rpc.make("orchestration.search", {
    payload: checked(SearchInput),
    success: SearchPage,
    error: ReadFailure
  }),
  Rpc.make("providers.list", {
    payload: checked(NoInput),
    success: Schema.Array(ProviderRow),
    error: ReadFailure
  }),
  Rpc.make("providers.subscribe", {
    payload: checked(NoInput),
    success: ProviderItem,
    error: ReadFailure,
    stream: true
  }),
  /** Reads the settings file again and asks every provider anew. Answered when all have, or ran out of time. */
  Rpc.make("providers.refresh", { payload: checked(NoInput), success: Refreshed, error: ReadFailure }),
  /** The folders of a directory of the server's machine, to choose a project's from. */
  Rpc.make("workspace.browse", { payload: checked(BrowseInput), success: Folder, error: BrowseFailure }),
  /** Makes all tables anew from the log while the server works. Whoever leaves the stream takes it back. */
  Rpc.make("maintenance.rebuild", {
    payload: checked(NoInput),
    success: RebuildItem,
    error: ReadFailure,
    stream: true
  })
) {}
