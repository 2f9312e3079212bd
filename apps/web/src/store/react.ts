/** Stores in components. */
import type { Readable } from "@turnkeeper/client"
import { useEffect, useMemo, useState, useSyncExternalStore } from "react"

export const useReadable = <A>(readable: Readable<A>): A =>
  useSyncExternalStore(readable.subscribe, readable.get)

/** The same, drawn at most once per frame: a fast stream costs no more than the screen can show. */
export const useFrames = <A>(readable: Readable<A>): A =>
  useReadable(useMemo(() => framed(readable), [readable]))

export const framed = <A>(readable: Readable<A>): Readable<A> => ({
  get: readable.get,
  subscribe: (listener) => {
    let cancel: (() => void) | null = null
    const run = () => {
      cancel?.()
      cancel = null
      listener()
    }
    const unsubscribe = readable.subscribe(() => {
      cancel ??= nextFrame(run)
    })
    return () => {
      unsubscribe()
      cancel?.()
    }
  }
})

/** A page in the background gets no frames: then a timer. */
const nextFrame = (run: () => void): (() => void) => {
  const frame = requestAnimationFrame(run)
  const timer = setTimeout(run, 250)
  return () => {
    cancelAnimationFrame(frame)
    clearTimeout(timer)
  }
}

/** Tells what a promise comes to, until the function that it gives is called. For effects. */
export const follow = <A>(
  promise: Promise<A>,
  onValue: (value: A) => void,
  onFailure: (error: unknown) => void
): (() => void) => {
  let current = true
  const wait = async () => {
    try {
      const value = await promise
      if (current) onValue(value)
    } catch (error) {
      if (current) onFailure(error)
    }
  }
  void wait()
  return () => {
    current = false
  }
}

/** The time, renewed while `active`. */
export const useNow = (active: boolean, everyMillis = 1_000): number => {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (!active) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), everyMillis)
    return () => clearInterval(timer)
  }, [active, everyMillis])
  return now
}
