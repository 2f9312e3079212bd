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

export const settled = (view: View, { turnId }: Pick<Message, "turnId">): Promise<Turn> =>
  view.settled(turnId, deadlineMs)

export const until = (view: View, predicate: (view: View) => boolean): Promise<void> =>
  view.until(predicate, deadlineMs)

export const untilSpeaking = ({ view, turnId }: Pick<Begun, "turnId" | "view">): Promise<void> =>
  until(view, (one) => one.answer(turnId).split(" ").length > 5)

export const untilAsked = async (view: View): Promise<Request> => {
  await until(view, (one) => one.openRequests().length > 0)
  return view.openRequests()[0]!
}

/** The events of one type that this view was told, in order. */
export const told = (view: View, type: string) =>
  view.history.flatMap(({ item }) => (item.type === "event" && item.event.type === type ? [item.event] : []))

export const toolOf = (view: View, turnId: string): Shown | undefined =>
  view.entries.find((entry) => entry.turnId === turnId && entry.kind === "command")

/** In the world of now. */
export const field = (world: () => World) => {
  let views: Array<View> = []

  const watch = async (threadId: string) => {
    const view = await openView(world().client, threadId)
    views.push(view)
    return view
  }

  const begin = async (text: string, options: Parameters<World["chat"]["begin"]>[1] = {}): Promise<Begun> => {
    const { threadId, turnId } = await world().chat.begin(text, options)
    return { view: await watch(threadId), threadId, turnId }
  }

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
    for (const text of knows) expect(world().model.contextTexts(next.turnId)).toContain(text)
    return next
  }

  /** To be called after each test: where it has failed, the log of each of its threads is shown. */
  const conclude = (failed: boolean) => {
    if (failed) explain(world(), views)
    views = []
  }

  return { begin, expectAtRest, expectNextMessageWorks, conclude }
}

const explain = (world: World, views: ReadonlyArray<View>) => {
  process.stderr.write(`${world.server.stderr().slice(-4_000)}\n`)
  for (const view of views) {
    const events = view.history.flatMap(({ item }) => (item.type === "event" ? [item] : []))
    for (const { at, event, version } of events)
      process.stderr.write(`${view.threadId} ${version} ${at} ${JSON.stringify(event).slice(0, 300)}\n`)
  }
}
