/** What the tests of the field's failures do and judge, whichever real provider is behind the server. */
import { expect } from "vitest"
import type { Message } from "../src/Chat.ts"
import { unrest } from "../src/rest.ts"
import { openView } from "../src/View.ts"
import type { Request, Shown, Turn, View } from "../src/View.ts"
import type { World } from "../src/World.ts"

export const deadlineMs = 60_000

export interface Begun extends Message {
  readonly view: View
}

export interface FieldOptions {
  /** The longest wait for anything. */
  readonly waitMs?: number
  /** Where each thread has a process of its own, which may take its time: it has begun when its turn has. */
  readonly beginsUnderWay?: boolean
}

export type Field = ReturnType<typeof field>

/** The events of one type that this view was told, in order. */
export const told = (view: View, type: string) =>
  view.history.flatMap(({ item }) => (item.type === "event" && item.event.type === type ? [item.event] : []))

export const toolOf = (view: View, turnId: string): Shown | undefined =>
  view.entries.find((entry) => entry.turnId === turnId && entry.kind === "command")

/** In the world of now. */
export const field = (
  world: () => World,
  { beginsUnderWay = false, waitMs = deadlineMs }: FieldOptions = {}
) => {
  const waiting = waits(waitMs)
  const { settled, until, untilSpeaking } = waiting
  let views: Array<View> = []

  const begin = async (text: string, options: Parameters<World["chat"]["begin"]>[1] = {}): Promise<Begun> => {
    const { threadId, turnId } = await world().chat.begin(text, options)
    const view = await openView(world().client, threadId)
    views.push(view)
    if (beginsUnderWay) await until(view, (one) => isUnderWay(one.turn(turnId)))
    return { view, threadId, turnId }
  }

  /** Of a slow answer, the first words are there. */
  const beginSpeaking = async (text = "[[slow]]"): Promise<Begun> => {
    const begun = await begin(text)
    await untilSpeaking(begun)
    return begun
  }

  /** What the model was shown with this turn's prompt. */
  const shownWith = (turnId: string): ReadonlyArray<string> =>
    world()
      .model.requests()
      .filter((one) => one.main && one.markers.includes(turnId))
      .flatMap((one) => one.context.map(({ text }) => text))

  /** Of what was cut short, too: it had come to the model, so it must have come there once. */
  const expectSeenOnce = (turnId: string) => expect(world().model.promptsSeen(turnId)).toBe(1)

  const expectAtRest = async (view: View) => {
    // A start goes on when its message is withdrawn, and so does a stop when all else has ended.
    await until(view, ({ session }) => session.stopAsked === null && session.status !== "starting")
    expect(await unrest(view, world().client, world().model)).toEqual([])
  }

  /** The next message gets its answer in an ordinary way, and the model knows what was said before. */
  const expectNextMessageWorks = async (view: View, knows: ReadonlyArray<string> = []) => {
    const next = await world().chat.say(view.threadId, "[[text:it works]]")
    expect(await settled(view, next)).toMatchObject({ state: "completed", reason: null })
    expect(view.answers(next.turnId)).toEqual(["it works"])
    expect(view.session).toMatchObject({ status: "ready", lastError: null, activeTurnId: null })
    for (const text of knows) expect(shownWith(next.turnId)).toContain(text)
  }

  /** It is at rest, takes the next message, and is at rest again. */
  const expectGoesOn = async (view: View, knows: ReadonlyArray<string> = []) => {
    await expectAtRest(view)
    await expectNextMessageWorks(view, knows)
    await expectAtRest(view)
  }

  /** To be called after each test: where it has failed, the log of each of its threads is shown. */
  const conclude = (failed: boolean): ReadonlyArray<View> => {
    if (failed) explain(world(), views)
    const concluded = views
    views = []
    return concluded
  }

  return {
    ...waiting,
    world,
    begin,
    beginSpeaking,
    shownWith,
    expectSeenOnce,
    expectAtRest,
    expectNextMessageWorks,
    expectGoesOn,
    conclude
  }
}

const waits = (waitMs: number) => {
  const until = (view: View, predicate: (view: View) => boolean): Promise<void> =>
    view.until(predicate, waitMs)

  const settled = (view: View, { turnId }: Pick<Message, "turnId">): Promise<Turn> =>
    view.settled(turnId, waitMs)

  const untilSpeaking = ({ turnId, view }: Pick<Begun, "turnId" | "view">): Promise<void> =>
    until(view, (one) => one.answer(turnId).split(" ").length > 5)

  const untilAsked = async (view: View): Promise<Request> => {
    await until(view, (one) => one.openRequests().length > 0)
    return view.openRequests()[0]!
  }

  return { until, settled, untilSpeaking, untilAsked }
}

const isUnderWay = (turn: Turn | undefined) =>
  turn !== undefined && turn.state !== "queued" && turn.state !== "sending"

const explain = (world: World, views: ReadonlyArray<View>) => {
  process.stderr.write(`${world.server.stderr().slice(-4_000)}\n`)
  for (const view of views) {
    const events = view.history.flatMap(({ item }) => (item.type === "event" ? [item] : []))
    for (const { at, event, version } of events)
      process.stderr.write(`${view.threadId} ${version} ${at} ${JSON.stringify(event).slice(0, 300)}\n`)
  }
}
