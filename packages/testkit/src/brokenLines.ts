/** A program whose lines are not as they should be, and what an adapter has to make of them all the same. */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { wire } from "@turnkeeper/provider-kit/testing/wire"
import type { Frame, Wire } from "@turnkeeper/provider-kit/testing/wire"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { broken, brokenText } from "./broken.ts"
import { openOptions, prompt } from "./providerRig.ts"

/** The frames as they were said, each of them maybe missing, said twice, with something wrong in it, or cut. */
export const brokenLines = (frames: ReadonlyArray<Frame>): fc.Arbitrary<ReadonlyArray<Frame | string>> =>
  fc
    .tuple(
      ...frames.map((frame) =>
        fc.oneof(
          { weight: 12, arbitrary: fc.constant<ReadonlyArray<Frame | string>>([frame]) },
          { weight: 1, arbitrary: fc.constantFrom<ReadonlyArray<Frame | string>>([], [frame, frame]) },
          {
            weight: 2,
            arbitrary: broken(fc.constant(frame)).map((made) => [JSON.stringify(made) ?? "null"])
          },
          { weight: 1, arbitrary: brokenText(fc.constant(frame)).map((text) => [text.replaceAll("\n", " ")]) }
        )
      )
    )
    .map((all) => all.flat())

export interface Program {
  readonly make: (wired: {
    readonly ledgerDirectory: string
    readonly transport: Effect.Effect<Wire["transport"], never, Scope.Scope>
  }) => Effect.Effect<Provider, never, Scope.Scope>
  /** What it says to something that our side wrote; null: nothing, or what is said later. */
  readonly answer: (frame: Frame) => Frame | null
  /** Resolves when the prompt is with it. */
  readonly prompted: Effect.Effect<unknown>
  /** Asked when it is. */
  readonly said: () => ReadonlyArray<Frame | string>
}

/**
 * Opens a session, sends a prompt, hears all that; then the program dies. Nothing breaks, each turn ends at most
 * once, and the session ends, once.
 */
export const playedToDeath = ({ answer, make, prompted, said }: Program) =>
  Effect.gen(function* () {
    const ledgerDirectory = mkdtempSync(join(tmpdir(), "turnkeeper-fuzz-"))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => rmSync(ledgerDirectory, { recursive: true, force: true }))
    )
    const ends = yield* wire
    yield* Effect.flatMap(ends.heard, (frame) => {
      const answered = "method" in frame && "id" in frame ? answer(frame) : null
      return answered === null ? Effect.void : ends.say({ ...answered, id: frame["id"] })
    }).pipe(Effect.forever, Effect.forkScoped)
    const transport = Effect.acquireRelease(Effect.succeed(ends.transport), ({ close }) => close)
    const provider = yield* make({ ledgerDirectory, transport })
    const opened = yield* inTime(provider.open(openOptions({ project: "/home/user/project" })), "opening")
    const heard = yield* Effect.forkScoped(Stream.runCollect(opened.events))
    const sending = yield* Effect.forkScoped(Effect.exit(opened.send(prompt("hello"))))
    yield* prompted
    for (const line of said()) yield* ends.say(line)
    yield* Effect.repeat(Effect.yieldNow, { times: 50 })
    yield* ends.die()
    const events: ReadonlyArray<ProviderEvent> = [...(yield* inTime(Fiber.join(heard), "the session"))]
    const sent = yield* inTime(Fiber.join(sending), "the send")
    assert.ok(!(Exit.isFailure(sent) && Cause.hasDies(sent.cause)), "the send broke")
    assert.deepEqual(breachesOf(events, true).filter(isEssential), [])
    return events
  }).pipe(Effect.scoped)

/** The same for many ways in which its lines may be wrong. */
export const holdsForAll = (
  lines: fc.Arbitrary<ReadonlyArray<Frame | string>>,
  program: (all: ReadonlyArray<Frame | string>) => Program,
  tries: fc.Parameters<[ReadonlyArray<Frame | string>]>
) =>
  Effect.flatMap(Effect.context<never>(), (context) =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(lines, (all) =>
          Effect.runPromiseWith(context)(Effect.asVoid(playedToDeath(program(all))))
        ),
        tries
      )
    )
  )

/** All the time that it asks for passes at once; a defect where it does not come to an end by that. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E, R> =>
  Effect.raceAllFirst([
    effect,
    Effect.forever(Effect.andThen(Effect.yieldNow, TestClock.adjust("1 second"))),
    Effect.andThen(
      TestClock.withLive(Effect.sleep("5 seconds")),
      Effect.suspend(() => Effect.die(new Error(`${what} does not come to an end`)))
    )
  ])

/** Words of an item whose own line was lost are strays, which whoever listens leaves out: nothing hangs on them. */
export const isEssential = (breach: string) =>
  !breach.startsWith("text of item ") && !breach.startsWith("item ")
