/** The pages of a thread before those that are there, one at a time. */
import type { ThreadFold } from "@turnkeeper/contracts/Fold"
import type { Page } from "@turnkeeper/contracts/Streams"
import { Effect, Semaphore } from "effect"
import { callOver } from "./call.ts"
import type { Link } from "./Link.ts"

/** Entries of a page that is scrolled to, and of one on the way to a place far back. */
const entriesOf = { next: 75, far: 200 } as const

export interface Pages {
  readonly threadId: string
  /** What is there; null: nothing is known. */
  readonly fold: () => ThreadFold | null
  /** A page is on its way, or none is any more. */
  readonly onLoading: (loading: boolean) => void
  /** It joins what is there. */
  readonly onPage: (page: Page) => void
  /** Whether anybody still wants them. */
  readonly isFollowed: () => boolean
}

export const makeOlder = (link: Link, { fold, isFollowed, onLoading, onPage, threadId }: Pages) => {
  const oneAtATime = Semaphore.makeUnsafe(1)

  const load = Effect.fnUntraced(function* (limit: number) {
    const there = fold()
    if (there === null || there.before === null) return
    const { before, epoch } = there
    onLoading(true)
    const page = yield* callOver(link, "orchestration.history", { threadId, before, limit }).pipe(
      Effect.ensuring(Effect.sync(() => onLoading(false)))
    )
    // A snapshot may have come meanwhile, of another place or another database.
    const now = fold()
    if (now !== null && now.epoch === epoch && now.before === before) onPage(page)
  })

  /** Something at the position is missing, and can be had. */
  const isMissing = (position: number): boolean => {
    const before = fold()?.before ?? null
    return isFollowed() && before !== null && before > position
  }

  return {
    /** Done at once while another page is on its way: it will be shown too. */
    loadOlder: Effect.asVoid(oneAtATime.withPermitsIfAvailable(1)(load(entriesOf.next))),
    /** Each page is closer to the place, so it ends. */
    loadBackTo: Effect.fnUntraced(function* (position: number) {
      while (isMissing(position)) yield* oneAtATime.withPermit(load(entriesOf.far))
    })
  }
}
