/** What a credential is good for. */
import { Schema } from "effect"

/** Each includes the ones before it: to look, to work with agents, to say who else may. */
export const Scope = Schema.Literals(["read", "operate", "admin"])
export type Scope = typeof Scope.Type

const order: ReadonlyArray<Scope> = Scope.literals

/** Everything that a credential with this scope may do. */
export const scopesUpTo = (scope: Scope): ReadonlyArray<Scope> => order.slice(0, order.indexOf(scope) + 1)

export const allows = (held: Scope, needed: Scope): boolean => order.indexOf(held) >= order.indexOf(needed)
