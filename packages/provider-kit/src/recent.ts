/**
 * What was noted last, under at most `max` names: for a new one the oldest is forgotten. So what a provider may say
 * again can be known again, and a conversation of any length takes the same room.
 */
export interface Recent<A> {
  readonly has: (name: string) => boolean
  readonly get: (name: string) => A | undefined
  /** A name that is there keeps its age. */
  readonly set: (name: string, value: A) => void
}

export const recent = <A>(max: number): Recent<A> => {
  const kept = new Map<string, A>()
  return {
    has: (name) => kept.has(name),
    get: (name) => kept.get(name),
    set: (name, value) => {
      if (!kept.has(name) && kept.size >= max) kept.delete(kept.keys().next().value!)
      kept.set(name, value)
    }
  }
}

export interface RecentNames {
  readonly has: (name: string) => boolean
  /** Whether the name is new. */
  readonly add: (name: string) => boolean
}

/** Names alone. */
export const recentNames = (max: number): RecentNames => {
  const kept = recent<true>(max)
  return {
    has: kept.has,
    add: (name) => {
      const isNew = !kept.has(name)
      if (isNew) kept.set(name, true)
      return isNew
    }
  }
}
