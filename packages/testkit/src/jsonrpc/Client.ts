/**
 * A client of `/jsonrpc` that knows nothing of Effect or of the server's code: what any other program
 * would write. JSON-RPC 2.0 over one WebSocket, with streams as subscriptions:
 *
 *     call "orchestration.subscribeThread"  ─▶  {"result":{"subscription":"ID"}}
 *     notification "subscription"           ─▶  {"subscription":"ID","items":[…]}, again and again
 *     notification "subscription.end"       ─▶  {"subscription":"ID","error"?:{…}}
 *     call "unsubscribe"                    ends it early
 *
 * Every call ends: with its result, with a typed error, or with the connection. Nothing is sent again by
 * itself. A subscription whose reader is too slow ends with `ReaderTooSlow` instead of growing for ever.
 */
import { WebSocket } from "ws"
import type { RawData } from "ws"

/** The server's answer was an error. `data._tag` names a typed one. */
export class JsonRpcError extends Error {
  override readonly name = "JsonRpcError"
  readonly code: number
  readonly data: unknown

  constructor(error: { readonly code: number; readonly message: string; readonly data?: unknown }) {
    super(`${error.message} (${error.code}${tagOf(error.data) === null ? "" : `, ${tagOf(error.data)}`})`)
    this.code = error.code
    this.data = error.data
  }

  /** The tag of a typed error, or null. */
  get tag(): string | null {
    return tagOf(this.data)
  }
}

/** The connection ended; whether the call had an effect is not known. */
export class ConnectionClosed extends Error {
  override readonly name = "ConnectionClosed"
  readonly code: number

  constructor(code: number, reason: string) {
    super(`The connection is closed: ${code}${reason === "" ? "" : ` ${reason}`}.`)
    this.code = code
  }
}

/** There is no connection: nobody listens, or the server refused it with an HTTP status. */
export class ConnectionRefused extends Error {
  override readonly name = "ConnectionRefused"
  readonly status: number | null

  constructor(status: number | null, reason: string) {
    super(`Could not connect: ${reason}.`)
    this.status = status
  }
}

/** More items waited for their reader than the buffer holds. */
export class ReaderTooSlow extends Error {
  override readonly name = "ReaderTooSlow"
}

export interface Subscription<Item> extends AsyncIterable<Item> {
  readonly id: string
  /** Ends the iteration and tells the server. Resolves when the server has confirmed, or is gone. */
  readonly cancel: () => Promise<void>
}

export interface Client {
  readonly call: <Result>(method: string, params?: object) => Promise<Result>
  readonly subscribe: <Item>(method: string, params?: object) => Promise<Subscription<Item>>
  readonly isOpen: () => boolean
  /** Resolves once the connection has ended, however it ended. */
  readonly closed: Promise<ConnectionClosed>
  /** Closes in order; resolves when it is closed. */
  readonly close: () => Promise<void>
  /** Cuts the connection without a word, as a lost network does. */
  readonly cut: () => void
}

export interface ConnectOptions {
  readonly deadlineMs?: number
  /** Items that may wait for the reader of one subscription. */
  readonly buffer?: number
  readonly headers?: Readonly<Record<string, string>>
}

const limits = {
  frameBytes: 64 * 1024 * 1024,
  callsWaiting: 10_000,
  buffer: 50_000,
  deadlineMs: 30_000
} as const

/** `url`: the server's own, `http://127.0.0.1:PORT`. A null token sends no credential. */
export const connect = (url: string, token: string | null, options: ConnectOptions = {}): Promise<Client> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace(/^http/, "ws")}/jsonrpc`, {
      maxPayload: limits.frameBytes,
      handshakeTimeout: options.deadlineMs ?? limits.deadlineMs,
      perMessageDeflate: false,
      headers: { ...options.headers, ...(token !== null && { authorization: `Bearer ${token}` }) }
    })
    const refused = (error: Error) => reject(new ConnectionRefused(null, error.message))
    socket.once("error", refused)
    socket.once("unexpected-response", (_, response) => {
      const status = response.statusCode ?? null
      response.resume()
      reject(new ConnectionRefused(status, `the server answered with HTTP status ${status}`))
      socket.terminate()
    })
    socket.once("open", () => {
      socket.off("error", refused)
      resolve(overSocket(socket, options.buffer ?? limits.buffer))
    })
  })

interface Waiting {
  readonly succeed: (result: unknown) => void
  readonly fail: (error: Error) => void
}

const overSocket = (socket: WebSocket, buffer: number): Client => {
  const calls = new Map<number, Waiting>()
  const subscriptions = new Map<string, Buffered<unknown>>()
  let lastId = 0
  let gone: ConnectionClosed | null = null

  const closed = new Promise<ConnectionClosed>((resolve) => {
    socket.once("close", (code, reason) => {
      gone = new ConnectionClosed(code, reason.toString())
      for (const call of calls.values()) call.fail(gone)
      for (const subscription of subscriptions.values()) subscription.end(gone)
      calls.clear()
      subscriptions.clear()
      resolve(gone)
    })
  })
  // `close` follows every error and carries what callers need.
  socket.on("error", () => {})
  socket.on("message", (raw) => {
    const message = parse(raw)
    if (message === null) return socket.close(1002, "not JSON-RPC")
    receive(message)
  })

  const receive = (message: Message) => {
    if (typeof message.id === "number") {
      const call = calls.get(message.id)
      if (call === undefined) return
      calls.delete(message.id)
      if (message.error === undefined) call.succeed(message.result)
      else call.fail(new JsonRpcError(message.error))
      return
    }
    const id = message.params?.subscription
    if (id === undefined) return
    const subscription = subscriptions.get(id)
    if (subscription === undefined) return
    if (message.method === "subscription") {
      if (subscription.push(message.params?.items ?? [])) return
      subscriptions.delete(id)
      subscription.end(new ReaderTooSlow(`More than ${buffer} items wait for the reader of ${id}.`))
      unsubscribe(id).catch(() => {})
    }
    if (message.method === "subscription.end") {
      const error = message.params?.error
      subscriptions.delete(id)
      subscription.end(error === undefined ? null : new JsonRpcError(error))
    }
  }

  /** `accept` runs before the next message is read: what follows an answer at once finds its subscription. */
  const send = <Result>(
    method: string,
    params: object,
    accept: (result: unknown) => Result
  ): Promise<Result> => {
    if (gone !== null) return Promise.reject(gone)
    if (calls.size >= limits.callsWaiting) {
      return Promise.reject(new Error(`More than ${limits.callsWaiting} calls wait for their answer.`))
    }
    lastId += 1
    const id = lastId
    return new Promise((resolve, reject) => {
      const succeed = (result: unknown) => {
        try {
          resolve(accept(result))
        } catch (error) {
          reject(error)
        }
      }
      calls.set(id, { succeed, fail: reject })
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }), (error) => {
        if (error === undefined || error === null || !calls.delete(id)) return
        reject(new ConnectionClosed(1006, error.message))
      })
    })
  }

  const unsubscribe = (id: string) => send("unsubscribe", { subscription: id }, () => {})

  const subscribe = <Item>(method: string, params: object): Promise<Subscription<Item>> =>
    send(method, params, (result) => {
      const id = (result as { readonly subscription?: unknown } | null)?.subscription
      if (typeof id !== "string") throw new TypeError(`${method} did not answer with a subscription.`)
      const items = new Buffered<Item>(buffer)
      subscriptions.set(id, items as Buffered<unknown>)
      const cancel = async () => {
        const open = subscriptions.delete(id)
        items.end(null, true)
        if (open && gone === null) await unsubscribe(id).catch(() => {})
      }
      return { id, cancel, [Symbol.asyncIterator]: () => items.iterator(cancel) }
    })

  return {
    call: <Result>(method: string, params: object = {}) => send(method, params, (result) => result as Result),
    subscribe: <Item>(method: string, params: object = {}) => subscribe<Item>(method, params),
    isOpen: () => gone === null && socket.readyState === WebSocket.OPEN,
    closed,
    close: async () => {
      socket.close(1000)
      await closed
    },
    cut: () => socket.terminate()
  }
}

interface Message {
  readonly id?: unknown
  readonly method?: unknown
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
  readonly params?: {
    readonly subscription?: string
    readonly items?: ReadonlyArray<unknown>
    readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
  }
}

const parse = (raw: RawData): Message | null => {
  try {
    // One frame is one Buffer: the socket's binary type is left as it is.
    const message: unknown = JSON.parse((raw as Buffer).toString("utf8"))
    return typeof message === "object" && message !== null ? (message as Message) : null
  } catch {
    return null
  }
}

const tagOf = (data: unknown): string | null => {
  const tag = typeof data === "object" && data !== null && "_tag" in data ? data._tag : null
  return typeof tag === "string" ? tag : null
}

/** Items between the socket and their one reader. */
class Buffered<Item> {
  private readonly items: Array<Item> = []
  private readonly limit: number
  private ended: { readonly error: Error | null } | null = null
  private wake: (() => void) | null = null

  constructor(limit: number) {
    this.limit = limit
  }

  /** False when they do not fit; then none was taken. */
  push(items: ReadonlyArray<unknown>): boolean {
    if (this.items.length + items.length > this.limit) return false
    // One by one: a spread of a large batch overflows the stack.
    for (const item of items) this.items.push(item as Item)
    this.wake?.()
    return true
  }

  /** The first end counts. What waits is still read, unless it is dropped. */
  end(error: Error | null, drop = false) {
    this.ended ??= { error }
    if (drop) this.items.length = 0
    this.wake?.()
  }

  async *iterator(cancel: () => Promise<void>): AsyncGenerator<Item, void> {
    try {
      for (;;) {
        while (this.items.length > 0) yield this.items.shift()!
        if (this.ended !== null) {
          if (this.ended.error !== null) throw this.ended.error
          return
        }
        await new Promise<void>((resolve) => {
          this.wake = resolve
        })
        this.wake = null
      }
    } finally {
      await cancel()
    }
  }
}
