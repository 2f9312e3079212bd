/** The turns that settle in a batch: whatever is open inside them closes with them (L5). */
import type { Cells } from "../store/rows.ts"
import type { Batch } from "./Batch.ts"

/** Thread, turn, time. */
export const settledTurns = (batch: Batch): ReadonlyArray<Cells> =>
  batch.steps.flatMap(({ record: { threadId, event, at } }) =>
    event.type === "turn.settled" ? [[threadId, event.turnId, at]] : []
  )
