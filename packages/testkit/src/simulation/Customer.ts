/**
 * A client of the simulated server, as careful as a real one has to be: a command that was not answered
 * goes out again under its own id, and a view that was cut off goes on from where it is.
 */
import type { Command } from "@turnkeeper/contracts/Command"
import type { Cursor, ThreadItem } from "@turnkeeper/contracts/Streams"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Result } from "effect"
import type { Client, Subscription } from "../jsonrpc/Client.ts"
import { View } from "../View.ts"
import type { Item } from "../View.ts"
import type { Machine } from "./Machine.ts"
import { makeSidebar } from "./Sidebar.ts"
import type { Sidebar } from "./Sidebar.ts"

/** A command and what became of it. Accepted: it was acknowledged, and that is a promise. */
export interface Sent {
  readonly command: Command
  answer: "waiting" | "accepted" | "refused"
  /** The acknowledged answer, to be the same for ever (L11). */
  said: string | null
}

export interface Customer {
  readonly sent: ReadonlyArray<Sent>
  /** Sends the command; `copies` of it at the same time. */
  readonly send: (command: Command, copies?: number) => Sent
  /** The same command once more, as a client does that did not hear the answer. */
  readonly repeat: (sent: Sent) => void
  /** The same id with another body: it has to be refused. */
  readonly reuse: (sent: Sent, command: Command) => void
  /** Sends again what was not answered, and takes up what has broken off: a read of the server's failed. */
  readonly retry: () => void
  /** A server listens: what waits goes out, and the views go on. */
  readonly connect: (machine: Machine) => void
  readonly disconnect: () => void
  readonly isConnected: () => boolean
  readonly view: (threadId: ThreadId) => View
  /** Null: this client has no sidebar. */
  readonly sidebar: Sidebar | null
}

export const makeCustomer = (
  threads: ReadonlyArray<ThreadId>,
  hasSidebar: boolean,
  complain: (what: string) => void
): Customer => {
  const views = new Map(threads.map((threadId) => [threadId, new View(threadId)]))
  const sent: Array<Sent> = []
  let machine: Machine | null = null
  const following = new Set<Following>()
  /** What has to be taken up again. */
  const broken = new Set<() => void>()
  const sidebar = hasSidebar ? makeSidebar() : null

  const go = (one: Sent) =>
    machine?.dispatch(one.command, (answer) => {
      if (Result.isSuccess(answer)) return acknowledge(one, JSON.stringify(answer.success))
      // Storage trouble is no answer; every other refusal is one.
      if (answer.failure._tag === "StorageUnavailable") return
      if (one.answer === "accepted") {
        return complain(`L11: ${one.command.commandId} was accepted, and then: ${answer.failure._tag}`)
      }
      one.answer = "refused"
    })

  const acknowledge = (one: Sent, said: string) => {
    if (one.said !== null && one.said !== said) {
      complain(`L11: ${one.command.commandId} was answered with ${one.said}, and then with ${said}`)
    }
    one.answer = "accepted"
    one.said = said
  }

  const follow = (from: Machine, view: View) => {
    const threadId = view.threadId as ThreadId
    const heard = (item: ThreadItem) => {
      if (item.type === "reset") complain(`A client of ${threadId} has seen what is gone: ${item.reason}`)
    }
    const broke = () => {
      following.delete(one)
      one.end()
      broken.add(() => follow(from, view))
    }
    const one = followed(from, threadId, heard, broke)
    following.add(one)
    // It is rejected when the line is cut before everything was told: the next attachment tries again.
    view.attach(one.client, { tail: 500 }).catch(() => {})
  }

  const followShell = (from: Machine, shown: Sidebar) => {
    let subscription: { readonly cancel: () => void } | null = null
    const one: Following = {
      end: () => {
        subscription?.cancel()
        shown.cut()
      }
    }
    following.add(one)
    // The first read may fail at once.
    subscription = from.subscribeShell(shown.cursor(), shown.hear, () => {
      following.delete(one)
      shown.cut()
      broken.add(() => followShell(from, shown))
    })
  }

  const sendWaiting = () => {
    for (const one of sent) if (one.answer === "waiting") go(one)
  }

  return {
    sent,
    send: (command, copies = 1) => {
      const one: Sent = { command, answer: "waiting", said: null }
      sent.push(one)
      for (let copy = 0; copy < copies; copy++) go(one)
      return one
    },
    repeat: go,
    reuse: (one, command) =>
      machine?.dispatch(command, (answer) => {
        const tag = Result.isFailure(answer) ? answer.failure._tag : null
        if (tag !== "CommandIdReused" && tag !== "StorageUnavailable")
          complain(`L11: ${one.command.commandId} with another body was not refused as reused`)
      }),
    connect: (to) => {
      machine = to
      sendWaiting()
      for (const view of views.values()) follow(to, view)
      if (sidebar !== null) followShell(to, sidebar)
    },
    retry: () => {
      if (machine === null) return
      sendWaiting()
      const again = [...broken]
      broken.clear()
      for (const follow of again) follow()
    },
    disconnect: () => {
      machine = null
      for (const one of following) one.end()
      following.clear()
      broken.clear()
    },
    isConnected: () => machine !== null,
    view: (threadId) => views.get(threadId)!,
    sidebar
  }
}

interface Following {
  readonly end: () => void
}

/** The subscription of a thread, in the shape in which a view takes it. */
const followed = (
  machine: Machine,
  threadId: ThreadId,
  heard: (item: ThreadItem) => void,
  broke: () => void
): Following & { readonly client: Client } => {
  const channel = makeChannel()
  let subscription: { readonly cancel: () => void } | null = null
  let ended = false
  return {
    client: clientOf((after) => {
      // A view subscribes a moment after it was told to; the line may be cut by then.
      if (ended) return channel
      const told = (item: ThreadItem) => {
        heard(item)
        channel.push(item)
      }
      subscription = machine.subscribe(threadId, after, told, broke)
      return channel
    }),
    end: () => {
      ended = true
      subscription?.cancel()
      channel.end()
    }
  }
}

const unused = () => Promise.reject(new Error("A simulated view only subscribes"))

const clientOf = (open: (after: Cursor | null) => Channel): Client => {
  return {
    call: unused,
    subscribe: <A>(_method: string, params: object = {}) => {
      const channel = open((params as { readonly after?: Cursor }).after ?? null)
      // The items of a thread's subscription, which is the only one a view asks for.
      return Promise.resolve(channel as unknown as Subscription<A>)
    },
    isOpen: () => true,
    closed: new Promise(() => {}),
    close: () => Promise.resolve(),
    cut: () => {}
  } as unknown as Client
}

interface Channel extends Subscription<Item> {
  readonly push: (item: ThreadItem) => void
  readonly end: () => void
}

const makeChannel = (): Channel => {
  const items: Array<Item> = []
  let ended = false
  let wake: (() => void) | null = null
  const end = () => {
    ended = true
    wake?.()
  }
  return {
    id: "simulated",
    push: (item) => {
      items.push(item as Item)
      wake?.()
    },
    end,
    cancel: () => Promise.resolve(end()),
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (items.length > 0) yield items.shift()!
        if (ended) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  }
}
