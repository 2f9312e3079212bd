/** What is on its way to Claude: one message at a time, held until the SDK takes it, and open until it is ended. */
import type { UserMessage } from "./sdk.ts"

export interface Inbox extends AsyncIterable<UserMessage> {
  readonly push: (message: UserMessage) => void
  /** The SDK is told that there is no more. */
  readonly end: () => void
}

export const make = (): Inbox => {
  const messages: Array<UserMessage> = []
  let ended = false
  let waiting: ((result: IteratorResult<UserMessage, undefined>) => void) | null = null

  const look = (): IteratorResult<UserMessage, undefined> | null => {
    if (ended) return { done: true, value: undefined }
    const value = messages.shift()
    return value === undefined ? null : { done: false, value }
  }
  const wake = () => {
    const result = waiting === null ? null : look()
    if (result === null) return
    waiting?.(result)
    waiting = null
  }
  return {
    push: (message) => {
      messages.push(message)
      wake()
    },
    end: () => {
      ended = true
      wake()
    },
    [Symbol.asyncIterator]: () => ({
      next: () =>
        new Promise((resolve) => {
          const result = look()
          if (result === null) waiting = resolve
          else resolve(result)
        })
    })
  }
}
