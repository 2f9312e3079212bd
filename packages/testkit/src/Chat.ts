/**
 * What a user does, in one line each: sends commands through the public API, with ids of their own as
 * every client makes them. Each call resolves with the server's acknowledgement, which means: committed.
 */
import { randomUUID } from "node:crypto"
import type { Command } from "@turnkeeper/contracts/Command"
import type { Client } from "./jsonrpc/Client.ts"

export interface Accepted {
  readonly status: "accepted"
  readonly sequence: number
  readonly version: number
}

export interface Message {
  readonly threadId: string
  readonly turnId: string
}

/** As it goes over the wire; without a command id a new one is made. */
export type Sendable<C = typeof Command.Encoded> = C extends { readonly commandId: string }
  ? Omit<C, "commandId"> & { readonly commandId?: string }
  : never

type TurnStart = Extract<Sendable, { readonly type: "thread.turn.start" }>
type TurnOptions = Partial<Omit<TurnStart, "type" | "threadId" | "text">>

export interface ChatOptions {
  readonly provider: string
  /** Where the provider works. */
  readonly directory: string
  readonly runtimeMode?: NonNullable<TurnStart["runtimeMode"]>
}

export const dispatch = (client: Client, command: Sendable): Promise<Accepted> =>
  client.call("orchestration.dispatch", { command: { commandId: newId("command"), ...command } })

/** The ids a client makes; unlike any other. */
export const newId = (kind: string): string => `${kind}-${randomUUID()}`

/** `[[id:…]]`, by which a prompt is counted at the fake model: here named after its turn. */
export const marked = (text: string, turnId: string): string => `${text} [[id:${turnId}]]`

export class Chat {
  readonly projectId: string
  private readonly options: ChatOptions
  private client: Client

  private constructor(client: Client, projectId: string, options: ChatOptions) {
    this.client = client
    this.projectId = projectId
    this.options = options
  }

  /** Makes a project for its threads. */
  static async open(client: Client, options: ChatOptions): Promise<Chat> {
    const projectId = newId("project")
    const { directory } = options
    await dispatch(client, { type: "project.create", projectId, title: "Test", directory })
    return new Chat(client, projectId, options)
  }

  /** Goes on over another connection. */
  use(client: Client) {
    this.client = client
  }

  /** The first message of a new thread: one command. Its text is marked with its turn. */
  begin(text: string, options: TurnOptions & { readonly threadId?: string } = {}): Promise<Message> {
    const { provider, runtimeMode } = this.options
    const { threadId = newId("thread"), ...rest } = options
    return this.say(threadId, text, {
      ...rest,
      createThread: {
        projectId: this.projectId,
        title: text.slice(0, 80),
        provider,
        ...(runtimeMode !== undefined && { runtimeMode })
      }
    })
  }

  /** Another message of a thread. Its text is marked with its turn. */
  async say(threadId: string, text: string, options: TurnOptions = {}): Promise<Message> {
    const turnId = options.turnId ?? newId("turn")
    await dispatch(this.client, {
      type: "thread.turn.start",
      messageId: newId("message"),
      ...options,
      threadId,
      turnId,
      text: marked(text, turnId)
    })
    return { threadId, turnId }
  }

  interrupt(threadId: string, turnId?: string): Promise<Accepted> {
    return dispatch(this.client, {
      type: "thread.turn.interrupt",
      threadId,
      ...(turnId !== undefined && { turnId })
    })
  }

  answer(
    threadId: string,
    requestId: string,
    decision: "accept" | "accept_for_session" | "decline" | "cancel"
  ): Promise<Accepted> {
    return dispatch(this.client, { type: "thread.request.answer", threadId, requestId, decision })
  }

  stop(threadId: string, force = false): Promise<Accepted> {
    return dispatch(this.client, { type: "thread.session.stop", threadId, force })
  }
}
