/** The threads that are followed: each once, however many look at it, and a moment longer than anybody does. */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Effect } from "effect"
import type { ThreadModel } from "./Models.ts"
import type { makeThread } from "./Thread.ts"

export type Thread = ReturnType<typeof makeThread>

/** A page that is left and opened again at once goes on where it was. */
const lingerMillis = 5_000
/** More than that do not linger: a connection has room for few subscriptions. */
const lingerMost = 8

interface Followed {
  readonly thread: Thread
  readonly end: () => void
  handles: number
  timer: ReturnType<typeof setTimeout> | null
}

/** `start` runs it until the function that it gives is called. */
export const makeThreads = (
  make: (threadId: ThreadId) => Thread,
  start: (run: Effect.Effect<void>) => () => void
) => {
  const followed = new Map<ThreadId, Followed>()

  const begin = (threadId: ThreadId): Followed => {
    const thread = make(threadId)
    const one: Followed = { thread, end: start(thread.run), handles: 0, timer: null }
    followed.set(threadId, one)
    return one
  }

  const end = (threadId: ThreadId, one: Followed) => {
    if (one.timer !== null) clearTimeout(one.timer)
    followed.delete(threadId)
    one.end()
  }

  const leave = (threadId: ThreadId, one: Followed) => {
    one.handles -= 1
    if (one.handles > 0) return
    one.timer = setTimeout(() => end(threadId, one), lingerMillis)
    // It keeps no program alive.
    if (typeof one.timer === "object") one.timer.unref()
    const lingering = [...followed].filter(([, other]) => other.handles === 0)
    const [oldest] = lingering
    if (lingering.length > lingerMost && oldest !== undefined) end(...oldest)
  }

  return {
    /** `close` counts once. */
    open: (threadId: ThreadId) => {
      const one = followed.get(threadId) ?? begin(threadId)
      if (one.timer !== null) clearTimeout(one.timer)
      one.timer = null
      one.handles += 1
      let isOpen = true
      const close = () => {
        if (isOpen) leave(threadId, one)
        isOpen = false
      }
      return { thread: one.thread, close }
    },
    known: (threadId: string): ThreadModel | null =>
      followed.get(threadId as ThreadId)?.thread.model.get() ?? null
  }
}
