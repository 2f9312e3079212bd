/** The rules under test, as one value: so that a broken rule can be put in place of a true one. */
import { repetition } from "../src/receipt.ts"
import { decide } from "../src/thread/decide.ts"
import { evolve } from "../src/thread/evolve.ts"
import { observe } from "../src/thread/observe.ts"
import { begin, pending } from "../src/thread/pending.ts"
import { reconcile } from "../src/thread/reconcile.ts"

export interface Kernel {
  readonly decide: typeof decide
  readonly observe: typeof observe
  readonly reconcile: typeof reconcile
  readonly evolve: typeof evolve
  readonly pending: typeof pending
  readonly begin: typeof begin
  readonly repetition: typeof repetition
}

export const kernel: Kernel = { decide, observe, reconcile, evolve, pending, begin, repetition }
