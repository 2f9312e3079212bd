/**
 * A client of the simulated server, as careful as a real one has to be: a command that was not answered
 * goes out again under its own id, and a view that was cut off goes on from where it is.
 */
import type { Command } from "@turnkeeper/contracts/Command"
import type { Cursor, ThreadItem } from "@turnkeeper/contracts/Streams"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import { initial } from "@turnkeeper/domain/thread/State"
import type { Session, ThreadState } from "@turnkeeper/domain/thread/State"
import { Result } from "effect"
import type { Client, Subscription } from "../jsonrpc/Client.ts"
import { View } from "../View.ts"
import type { Item } from "../View.ts"
import type { Machine } from "./Machine.ts"

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
  /** A server listens: what waits goes out, and the views go on. */
  readonly connect: (machine: Machine) => void
  readonly disconnect: () => void
  readonly isConnected: () => boolean
  readonly view: (threadId: ThreadId) => View
  /** The session as it follows from what was told, by the kernel's own rule. */
  readonly session: (threadId: ThreadId) => Session
}

export const makeCustomer = (
  threads: ReadonlyArray<ThreadId>,
  complain: (what: string) => void
): Customer => {
  const views = new Map(threads.map((threadId) => [threadId, new View(threadId)]))
  const states = new Map<ThreadId, ThreadState>()
  const sent: Array<Sent> = []
  let machine: Machine | null = null
  const following = new Set<Following>()

  const go = (one: Sent) =>
    machine?.dispatch(one.command, (answer) => {
      if (Result.isSuccess(answer)) return acknowledge(one, JSON.stringify(answer.success))
      if (one.answer === "accepted") {
        return complain(`L11: ${one.command.commandId} was accepted, and then: ${answer.failure._tag}`)
      }
      // Storage trouble is no answer; every other refusal is one.
      one.answer = answer.failure._tag === "StorageUnavailable" ? "waiting" : "refused"
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
    const one = followed(from, threadId, (item) => {
      if (item.type === "reset") complain(`A client of ${threadId} has seen what is gone: ${item.reason}`)
      states.set(threadId, joined(states.get(threadId) ?? initial, item))
    })
    following.add(one)
    // It is rejected when the line is cut before everything was told: the next attachment tries again.
    view.attach(one.client, { tail: 500 }).catch(() => {})
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
        const refused = Result.isFailure(answer) && answer.failure._tag === "CommandIdReused"
        if (!refused) complain(`L11: ${one.command.commandId} with another body was not refused as reused`)
      }),
    connect: (to) => {
      machine = to
      for (const one of sent) if (one.answer === "waiting") go(one)
      for (const view of views.values()) follow(to, view)
    },
    disconnect: () => {
      machine = null
      for (const one of following) one.end()
      following.clear()
    },
    isConnected: () => machine !== null,
    view: (threadId) => views.get(threadId)!,
    session: (threadId) => (states.get(threadId) ?? initial).session
  }
}

/** A fresh client's view of what it is shown first. */
export const viewOf = async (threadId: ThreadId, snapshot: ThreadItem): Promise<View> => {
  const view = new View(threadId)
  const channel = makeChannel()
  channel.push(snapshot)
  if (snapshot.type === "snapshot") {
    channel.push({ type: "synchronized", epoch: snapshot.epoch, version: snapshot.version })
  }
  await view.attach(
    clientOf(() => channel),
    {}
  )
  channel.end()
  return view
}

interface Following {
  readonly client: Client
  readonly end: () => void
}

/** The subscription of a thread, in the shape in which a view takes it. */
const followed = (machine: Machine, threadId: ThreadId, heard: (item: ThreadItem) => void): Following => {
  const channel = makeChannel()
  let subscription: { readonly cancel: () => void } | null = null
  let ended = false
  return {
    client: clientOf((after) => {
      // A view subscribes a moment after it was told to; the line may be cut by then.
      if (ended) return channel
      subscription = machine.subscribe(threadId, after, (item) => {
        heard(item)
        channel.push(item)
      })
      return channel
    }),
    end: () => {
      ended = true
      subscription?.cancel()
      channel.end()
    }
  }
}

/** What a thread's items say of its session. A snapshot begins anew, with all of the thread that a rule may ask for. */
const joined = (state: ThreadState, item: ThreadItem): ThreadState => {
  if (item.type === "reset") return initial
  if (item.type === "event" && item.event.type !== "unknown") return evolve(state, item.event)
  if (item.type !== "snapshot") return state
  const { thread, session } = item
  const known = {
    projectId: thread.projectId,
    title: thread.title,
    provider: thread.provider,
    model: thread.model,
    runtimeMode: thread.runtimeMode,
    interactionMode: thread.interactionMode,
    cwd: thread.cwd,
    archived: thread.archivedAt !== null,
    deleted: thread.deletedAt !== null
  }
  const { activeTurnId, generation, lastError, provider, recovering, status, stopping: stopAsked } = session
  // Whether the generation is open is not told; for what a client sees only a stopped one differs.
  const told = {
    activeTurnId,
    generation,
    lastError,
    recovering,
    status,
    stopAsked,
    open: status !== "stopped"
  }
  return {
    ...initial,
    info: known as ThreadState["info"],
    session: { ...initial.session, ...told, provider } as Session
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
