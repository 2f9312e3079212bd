/**
 * The database fails at every single prepare, step, commit and read of a conversation, with an error as
 * SQLite gives it. Nothing acknowledged is lost, nothing is half written, no prompt goes out twice, and as
 * soon as the storage works again the conversation goes on to its end.
 *
 * Each scenario breaks every n-th place, each from another one on, so that together they break every place.
 * `TURNKEEPER_TEST_DEEP=1` breaks each place by itself, with every error, once and several times in a row.
 */
import { assert, describe } from "@effect/vitest"
import { breakDisk, errors, mendDisk, places } from "@turnkeeper/testkit/simulation/Disk"
import type { DiskFault, Place } from "@turnkeeper/testkit/simulation/Disk"
import { Effect } from "effect"
import { conversation, rest, truthful, turns } from "../lifecycle/conversation.ts"
import type { Turn } from "../lifecycle/conversation.ts"
import type { App } from "../lifecycle/harness.ts"
import { isSettled, Onlooker, scenario } from "../lifecycle/harness.ts"

const deep = process.env["TURNKEEPER_TEST_DEEP"] === "1"

/** More than the conversation passes of each kind; the first scenario of each holds this against the truth. */
const passed: Readonly<Record<Place, number>> = {
  prepare: 90,
  step: 400,
  "commit denied": 60,
  "commit unheard": 60,
  read: 120
}
/** How far apart the places of one scenario are: the storage has to work in between for work to be done. */
const stride: Readonly<Record<Place, number>> = {
  prepare: 13,
  step: 19,
  "commit denied": 7,
  "commit unheard": 7,
  read: 11
}

const kinds = Object.keys(errors) as ReadonlyArray<DiskFault["error"]>

const allWays = (place: Place): ReadonlyArray<DiskFault> =>
  Array.from({ length: passed[place] }, (_, before) =>
    kinds.flatMap((error) =>
      [true, false].flatMap((undoes) =>
        [1, 5].map((times): DiskFault => ({ place, at: before + 1, error, undoes, times }))
      )
    )
  ).flat()

const someWays = (place: Place): ReadonlyArray<DiskFault> =>
  Array.from({ length: stride[place] }, (_, before): DiskFault => ({
    place,
    at: before + 1,
    error: kinds[before % kinds.length]!,
    undoes: before % 2 === 0,
    times: 1,
    every: stride[place]
  }))

const named = ({ place, at, error, undoes, times, every }: DiskFault) =>
  `${place} ${at}${every === undefined ? "" : ` and each ${every}th behind it`}: ${error}, ${times} in a row${
    undoes ? ", undone by SQLite" : ""
  }`

/** What was acknowledged is there, and every turn has its true end. */
const survives = (app: App, way: DiskFault) =>
  Effect.gen(function* () {
    const told = new Set<Turn>()
    breakDisk(app.database, way, Onlooker)
    yield* conversation(app, told)
    yield* rest(app)
    const count = yield* Effect.sync(mendDisk)
    yield* app.say("last", "[[id:last]][[text:Last]]")
    const view = yield* app.passUntil(isSettled("last"))
    yield* truthful(app, view)
    assert.deepStrictEqual([...told], [...turns])
    const ends = [...turns, "last"].map((turn) => view.turn(turn).state)
    // Of a marker that is there although its commit was denied nobody can say whether the call was made.
    if (way.place !== "commit unheard")
      assert.deepStrictEqual(ends, ["completed", "completed", "error", "completed", "completed"])
    else assert.strictEqual(ends.at(-1), "completed")
    return count
  }).pipe(Effect.ensuring(Effect.sync(mendDisk)))

describe("the database fails at each place", () => {
  for (const place of places) {
    scenario(`${place}: the conversation passes fewer places than are tried`, (app) =>
      Effect.gen(function* () {
        const way = { place, at: Infinity, error: "full", undoes: false, times: 1 } as const
        const count = yield* survives(app, way)
        assert.isAbove(count, 0)
        assert.isBelow(count, passed[place])
      })
    )

    for (const way of deep ? allWays(place) : someWays(place)) {
      scenario(
        `L12, L14: ${named(way)}: nothing is lost, doubled or half written, and all goes on`,
        (app) => survives(app, way),
        { mayLogErrors: true }
      )
    }
  }
})
