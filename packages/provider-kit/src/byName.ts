/**
 * A table that is asked by a name from outside. Only what stands in it is found: `constructor` and the like, which
 * every object answers to, are names as any other.
 */
export const byName = <A>(table: Readonly<Record<string, A>>): ((name: string) => A | undefined) => {
  const entries = new Map(Object.entries(table))
  return (name) => entries.get(name)
}
