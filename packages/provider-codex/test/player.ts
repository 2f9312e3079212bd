/**
 * The other end of the wire, played: only the transport is replaced, everything above it is the real thing.
 *
 * `play` follows a recording of the real program: it says what the program said,
 * and where the recording's client spoke it waits until ours has said the same kind of thing. Request ids
 * are translated between the two; a request that the recording does not have at that point goes to `extra`.
 */
import { wire } from "@turnkeeper/provider-kit/testing/wire"
import type { Frame, Wire } from "@turnkeeper/provider-kit/testing/wire"
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { readFileSync } from "node:fs"

export { wire } from "@turnkeeper/provider-kit/testing/wire"
export type { Frame, Wire } from "@turnkeeper/provider-kit/testing/wire"

type Recorded = { readonly send: Frame } | { readonly recv: Frame }

export const recording = (name: string): ReadonlyArray<Recorded> =>
  readFileSync(new URL(`transcripts/${name}.jsonl`, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Recorded)

/** What the program said in a recording. */
export const said = (name: string): ReadonlyArray<Frame> =>
  recording(name).flatMap((entry) => ("recv" in entry ? [entry.recv] : []))

export type Extra = (method: string, params: Frame) => ReadonlyArray<Frame>

export interface Played extends Wire {
  /** Everything that our side wrote, in order. */
  readonly wrote: () => ReadonlyArray<Frame>
  /** Resolves when the recording is at its end. */
  readonly finished: Effect.Effect<void>
}

/**
 * `extra` answers a request that is not in the recording with frames; in them `id: "$id"` stands for the
 * id of the request. Without it such a request is refused.
 */
export const play = Effect.fnUntraced(function* (
  name: string,
  extra: Extra = () => [{ id: "$id", error: { code: -32601, message: "not in the recording" } }]
): Effect.fn.Return<Played, never, Scope.Scope> {
  const ends = yield* wire
  const wrote: Array<Frame> = []
  const finished = yield* Deferred.make<void>()
  const ids = new Map<unknown, unknown>()

  const listen = Effect.tap(ends.heard, (frame) => Effect.sync(() => wrote.push(frame)))
  const answerExtra = (frame: Frame) =>
    ends.say(
      ...extra(frame["method"] as string, frame["params"] as Frame).map((each) =>
        each["id"] === "$id" ? { ...each, id: frame["id"] } : each
      )
    )
  const awaitLike = (wanted: Frame): Effect.Effect<void> =>
    Effect.flatMap(listen, (frame) => {
      const alike =
        "method" in wanted
          ? frame["method"] === wanted["method"]
          : !("method" in frame) && frame["id"] === wanted["id"]
      if (!alike)
        return Effect.andThen("method" in frame ? answerExtra(frame) : Effect.void, awaitLike(wanted))
      ids.set(wanted["id"], frame["id"])
      return Effect.void
    })

  yield* Effect.gen(function* () {
    for (const entry of recording(name)) {
      if ("send" in entry) yield* awaitLike(entry.send)
      else if ("method" in entry.recv) yield* ends.say(entry.recv)
      else yield* ends.say({ ...entry.recv, id: ids.get(entry.recv["id"]) })
    }
    yield* Deferred.succeed(finished, undefined)
    return yield* Effect.forever(
      Effect.flatMap(listen, (frame) =>
        "method" in frame && "id" in frame ? answerExtra(frame) : Effect.void
      )
    )
  }).pipe(Effect.forkScoped)

  return { ...ends, wrote: () => wrote, finished: Deferred.await(finished) }
})
