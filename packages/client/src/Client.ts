/**
 * The client as a program sees it: stores to show, commands to give. `connect` makes one.
 */
import type { Api } from "@turnkeeper/contracts/Api"
import type { Malformed } from "@turnkeeper/contracts/Checked"
import type { Accepted, Command } from "@turnkeeper/contracts/Command"
import type { Brand } from "effect/Brand"
import type { Rpc, RpcGroup } from "effect/rpc"
import type { Connection } from "./Connection.ts"
import type { DispatchFailed } from "./Errors.ts"
import type { ProvidersModel, ShellModel, ThreadModel } from "./Models.ts"
import type { OutboxStorage } from "./OutboxStorage.ts"
import type { Readable } from "./Readable.ts"

export type Credential =
  /** For programs: `Authorization: Bearer`. Not for browsers, whose WebSocket can send no header. */
  | { readonly type: "token"; readonly token: string | (() => string | Promise<string>) }
  /**
   * For browsers: a ticket for one connection, asked for before each. `browserTicket` asks the server with
   * the cookie of the page. A rejection with `_tag: "Unauthorized"` means signed out, any other: try again.
   */
  | { readonly type: "ticket"; readonly ticket: () => Promise<string> }
  /** For a door before the server that lets in whoever comes, or a WebSocket that brings its own. */
  | { readonly type: "none" }

export interface ConnectOptions {
  /** `http(s)://host:port` or `ws(s)://host:port`. */
  readonly url: string
  readonly credential: Credential
  /** Told to the server, for its log. */
  readonly client?: { readonly name: string; readonly version: string }
  /** Default: memory, which ends with the program. */
  readonly outbox?: OutboxStorage
  /** A ping after so many silent milliseconds; a connection silent for twice as long is lost. Default: 5,000. */
  readonly heartbeatMillis?: number
  /** Default: the global one, which Node 22, browsers and Electron have. */
  readonly webSocket?: WebSocketConstructor
}

/** `headers` are given only to a constructor that takes them: where there is a token. */
export type WebSocketConstructor = new (
  url: string,
  options?: { readonly headers: Readonly<Record<string, string>> }
) => WebSocket

/** The answer to a command, and at once the ids that were made for it. */
export type Receipt<Ids = object> = Promise<Accepted> & Ids & { readonly commandId: string }

/** A branded string is written as a plain one. */
export type Plain<T> =
  T extends Brand<string>
    ? string
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends ReadonlyArray<infer A>
        ? ReadonlyArray<Plain<A>>
        : { readonly [K in keyof T]: Plain<T[K]> }

type Sendable<C> = C extends { readonly commandId: string }
  ? Omit<C, "commandId"> & { readonly commandId?: string }
  : never
/** A command as `dispatch` takes it: without a command id one is made. */
export type AnyCommand = Sendable<typeof Command.Encoded>
type CommandOf<Type extends AnyCommand["type"]> = Extract<AnyCommand, { readonly type: Type }>
type Start = CommandOf<"thread.turn.start">
type Fields<C, Optional extends keyof C = never> = Omit<C, "type" | Optional> & Partial<Pick<C, Optional>>

export type SendInput = Fields<Start, "turnId" | "messageId">
export type NewThreadInput = Fields<CommandOf<"thread.create">, "threadId">
export type NewProjectInput = Fields<CommandOf<"project.create">, "projectId">
export type ThreadChanges = Omit<CommandOf<"thread.update">, "type" | "threadId" | "commandId">
export type ProjectChanges = Omit<CommandOf<"project.update">, "type" | "projectId" | "commandId">
export type AnswerInput = Pick<CommandOf<"thread.request.answer">, "decision" | "answers">

export interface SentIds {
  readonly threadId: string
  readonly turnId: string
  readonly messageId: string
}

type Rpcs = RpcGroup.Rpcs<typeof Api>
type RpcOf<Method extends string> = Rpc.ExtractTag<Rpcs, Method>
/** The calls that are answered once. */
export type CallMethod = {
  readonly [Method in Rpcs["_tag"]]: [Rpc.SuccessChunk<RpcOf<Method>>] extends [never] ? Method : never
}[Rpcs["_tag"]]
export type PayloadOf<Method extends string> = Plain<Exclude<Rpc.Payload<RpcOf<Method>>, Malformed>>
export type ResultOf<Method extends string> = Rpc.Success<RpcOf<Method>>
/** The typed errors that a call may be answered with. */
export type FailureOf<Method extends string> = Rpc.Error<RpcOf<Method>>

/** One command that the server has not accepted yet. */
export interface OutboxEntry {
  readonly commandId: string
  readonly command: typeof Command.Encoded
  readonly createdAt: number
  readonly epoch: string | null
  readonly state: "waiting" | "sending" | "held" | "refused"
  readonly failure: DispatchFailed | null
}

export interface OutboxModel {
  /** In the order in which they were given. */
  readonly entries: ReadonlyArray<OutboxEntry>
  /** `failing`: the storage did not take the newest change, so a reload may lose what waits. */
  readonly storage: "loading" | "ready" | "failing"
}

export interface Outbox extends Readable<OutboxModel> {
  /** Sends a held or refused command again, as a new one for the database that answers now. */
  readonly resend: (commandId: string) => Receipt
  /** Takes a command out that is not being sent. True when it is gone: then the server never gets it. */
  readonly discard: (commandId: string) => Promise<boolean>
}

export interface ThreadHandle {
  readonly threadId: string
  readonly model: Readable<ThreadModel>
  /** Puts a page of older entries before the others. Resolves at once when there are none. */
  readonly loadOlder: () => Promise<void>
  /**
   * Puts as many pages before the others as it takes to have the entry at this position: the `position` of a
   * hit of `orchestration.search`. Everything between is loaded too.
   */
  readonly loadBackTo: (position: number) => Promise<void>
  /** The last handle of a thread to close ends its subscription, a moment later. */
  readonly close: () => void
}

/**
 * Every command resolves when the server has committed it and rejects with a typed error (`_tag`) when it
 * is refused. While there is no connection a command waits in the outbox and is sent once there is one;
 * only a stop of the session, and an interrupt that names no turn, are about this moment and are refused
 * with `NotConnected` then.
 *
 * A rejection that nobody handles is no crash: the outbox and the thread's `pending` show it too.
 */
export interface Client {
  readonly connection: Readable<Connection>
  /** Followed from the first look on, by `get` or `subscribe`. */
  readonly shell: Readable<ShellModel>
  /** Followed from the first look on. */
  readonly providers: Readable<ProvidersModel>
  readonly outbox: Outbox
  /** Follows a thread until the handle is closed. Handles of one thread share one subscription. */
  readonly thread: (threadId: string) => ThreadHandle

  readonly send: (input: SendInput) => Receipt<SentIds>
  /** Into the turn that runs, where the provider can; else behind it. */
  readonly steer: (input: Omit<SendInput, "delivery">) => Receipt<SentIds>
  /**
   * Ends what runs or is being sent. Where only the session is started for it yet, the message that is next is
   * withdrawn. `turnId`: that turn, whatever its state.
   */
  readonly interrupt: (threadId: string, turnId?: string) => Receipt
  /** Asks the agent at once whether it is at work on the turn that runs; its `quiet` tells the answer. */
  readonly check: (threadId: string, turnId: string) => Receipt
  /** Ends the session: withdraws what waits, then stops. `force` goes straight to the provider's process. */
  readonly stop: (threadId: string, options?: { readonly force?: boolean }) => Receipt
  /** A settled turn's message again, as a new turn. */
  readonly retry: (threadId: string, turnId: string) => Receipt<SentIds>
  readonly editQueued: (threadId: string, turnId: string, text: string) => Receipt
  /** Right before another queued turn, or last. */
  readonly reorder: (threadId: string, turnId: string, before: string | null) => Receipt
  /** Withdraws a queued turn. */
  readonly removeQueued: (threadId: string, turnId: string) => Receipt
  readonly answer: (threadId: string, requestId: string, answer: AnswerInput) => Receipt

  readonly createProject: (input: NewProjectInput) => Receipt<{ readonly projectId: string }>
  readonly updateProject: (projectId: string, changes: ProjectChanges) => Receipt
  readonly deleteProject: (projectId: string) => Receipt
  readonly createThread: (input: NewThreadInput) => Receipt<{ readonly threadId: string }>
  readonly updateThread: (threadId: string, changes: ThreadChanges) => Receipt
  readonly rename: (threadId: string, title: string) => Receipt
  readonly archive: (threadId: string) => Receipt
  readonly unarchive: (threadId: string) => Receipt
  readonly deleteThread: (threadId: string) => Receipt
  /** Any command. */
  readonly dispatch: (command: AnyCommand) => Receipt

  /** Any call of the API that is not a subscription. Not repeated: a lost connection is `ConnectionLost`. */
  readonly call: <Method extends CallMethod>(
    method: Method,
    payload: PayloadOf<Method>
  ) => Promise<ResultOf<Method>>
  /** Asks every provider anew; resolves when all have answered or ran out of time. */
  readonly refreshProviders: () => Promise<void>
  /** Tries to connect at once: after signing in, or when the user asks. */
  readonly retryNow: () => void
  /** Ends everything. Commands that wait stay in the storage; their promises reject with `Closed`. */
  readonly close: () => Promise<void>
}
