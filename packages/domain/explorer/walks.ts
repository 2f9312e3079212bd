/**
 * The walks that together make one exploration.
 *
 * A single walk with everything in it has several million worlds, for what goes on inside a turn (its
 * items, its request) multiplies with what goes on between turns. The two meet in few rules: a turn's end
 * closes what is in it, and an open request holds off the deadline of quiet. So the dimensions are walked
 * in overlapping groups, such that any two of them meet in one walk, and those that meet in a rule by
 * threes too: (own turns, requests, items), (two turns, own turns, deliveries), (two turns, requests,
 * items, deliveries). Two generations and a restart between any two steps are in every walk.
 */
import type { Bounds } from "./World.ts"

export interface Walk {
  readonly name: string
  readonly bounds: Bounds
}

const two = { generations: 2, own: 0, requests: 0, items: 0, deliveries: false } as const

export const walks: ReadonlyArray<Walk> = [
  {
    name: "two turns with every delivery, and a turn of the provider's own",
    bounds: { ...two, turns: 2, own: 1, deliveries: true }
  },
  {
    name: "two turns with every delivery, with items, retries and a request",
    bounds: { ...two, turns: 2, requests: 1, items: 1, deliveries: true }
  },
  {
    name: "a turn and one of the provider's own, with items, retries and a request",
    bounds: { ...two, turns: 1, own: 1, requests: 1, items: 1 }
  },
  {
    name: "two turns with every delivery, moved, on two providers, in a thread that may be deleted",
    bounds: { ...two, turns: 2, deliveries: true, edges: true }
  },
  {
    name: "a turn, one of the provider's own and a request, in a thread that may be deleted",
    bounds: { ...two, turns: 1, own: 1, requests: 1, edges: true }
  }
]

/**
 * Takes many minutes and several gigabytes. Two turns with a turn of the provider's own, a request, items and
 * every delivery at once do not end within the memory of an ordinary machine: that is why they are walked in
 * groups.
 */
export const deepWalks: ReadonlyArray<Walk> = [
  {
    name: "three turns with every delivery",
    bounds: { ...two, turns: 3, deliveries: true }
  },
  {
    name: "three turns with every delivery, and a turn of the provider's own",
    bounds: { ...two, turns: 3, own: 1, deliveries: true }
  }
]
