/** A value that changes, in the shape of React's `useSyncExternalStore`. */

export interface Readable<A> {
  /** The newest value: the same object until something in it has changed. */
  readonly get: () => A
  /** Calls the listener after each change, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void
}

/** A readable and the right to change it. */
export interface Store<A> extends Readable<A> {
  /** Tells the listeners only when it is another object. */
  readonly set: (value: A) => void
}

export const makeStore = <A>(initial: A): Store<A> => {
  const listeners = new Set<() => void>()
  let value = initial
  return {
    get: () => value,
    subscribe: (listener) => {
      // Wrapped, so that one function that subscribes twice is told twice and ends each by itself.
      const own = () => listener()
      listeners.add(own)
      return () => {
        listeners.delete(own)
      }
    },
    set: (next) => {
      if (Object.is(next, value)) return
      value = next
      for (const listener of Array.from(listeners)) tell(listener)
    }
  }
}

/** A listener that throws is reported as any other uncaught error, and keeps nobody else from being told. */
const tell = (listener: () => void) => {
  try {
    listener()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/**
 * Resolves with the value as soon as the predicate holds; rejects with the signal's reason when it aborts
 * first. Without a signal it waits for as long as it takes.
 */
export const until = <A, B extends A>(
  readable: Readable<A>,
  predicate: ((value: A) => value is B) | ((value: A) => boolean),
  signal?: AbortSignal
): Promise<B> =>
  new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      unsubscribe()
      signal?.removeEventListener("abort", aborted)
      act()
    }
    const aborted = () => finish(() => reject(signal?.reason))
    const check = () => {
      const value = readable.get()
      if (predicate(value)) finish(() => resolve(value as B))
    }
    const unsubscribe = readable.subscribe(check)
    if (signal?.aborted === true) return aborted()
    signal?.addEventListener("abort", aborted)
    check()
  })
