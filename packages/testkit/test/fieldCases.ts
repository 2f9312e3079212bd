/**
 * The failures of the field that more than one real provider has to come through, each written once. What
 * differs between the providers is given as data; each test ends with the judgement of `src/rest.ts`.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { expect, it, vi } from "vitest"
import { answers, slowText } from "../src/fakeModel/script.ts"
import { gone } from "../src/process/tree.ts"
import type { ProcessInfo } from "../src/process/tree.ts"
import { longCommand } from "../src/providerRig.ts"
import { deadlineMs, told, toolOf } from "./field.ts"
import type { Begun, Field } from "./field.ts"

export interface Subject {
  readonly field: Field
  /** It, and one of its processes, in the name of a test. */
  readonly name: string
  readonly one: string
  readonly asking: Asking
  /** Those that run. */
  readonly processes: () => Promise<ReadonlyArray<ProcessInfo>>
  /** Each open session has one of its own; otherwise one has them all. */
  readonly processPerSession: boolean
  /** Some tell a turn that has failed as one that has ended well, with the error as their answer. */
  readonly tellsFailureAs: "error" | "answer"
  /** Whether it says that it tries again: otherwise the half that was cut cannot be known as one. */
  readonly tellsRetries: boolean
}

/** Makes the agent ask before it runs the command. */
export type Asking = (command: string) => string

export const askingShell: Asking = (command) => `[[shell:${command}]]`

/** Those of every provider whose answers stream and whose tools ask. */
export const fieldCases = (subject: Subject) => {
  const { asking, field, name, one, tellsFailureAs, tellsRetries } = subject

  it("a plain text is answered, and its prompt and answer are shown once", () => plainText(field))

  it("A9: an interrupt while it streams ends the turn and keeps its text, and the next message works", () =>
    interruptInStream(field))

  it("an interrupt in a pending approval expires it; an answer that comes later is refused", () =>
    interruptInApproval(field, asking))

  it("HTTP 400 ends the turn at once with a sentence that can be read, and the next message works", () =>
    modelRefuses(field, tellsFailureAs))

  const shown = tellsRetries ? "its text is shown once" : "the answer comes"
  it(`A1: a dropped stream that ${name} retries is never an error, and ${shown}`, () =>
    retried(field, "[[drop:1]]", 1, tellsRetries))

  it("C8: a follow-up while an answer streams waits: the answer is not cut, and it is a turn of its own", () =>
    followUpWaits(field))

  it(`A8: ${one} that is killed in mid-stream ends its turn as an error; the next message starts another`, () =>
    killedInStream(subject))

  it("A10: a server that is killed in a stream and in an approval leaves nothing working, and the model knows what was said", () =>
    serverKilled(subject))
}

/** Of a provider whose turns go on whatever is decided. */
export const decisionCases = (field: Field, asking: Asking) =>
  it.each([
    { decision: "accept", tool: "completed" },
    { decision: "decline", tool: "declined" }
  ] as const)(
    "a tool whose approval is answered with $decision is $tool, and its turn completes",
    ({ decision, tool }) => decided(field, asking, { decision, tool, state: "completed", goesOn: true })
  )

export const plainText = async ({ begin, expectAtRest, settled }: Field) => {
  const { turnId, view } = await begin("[[text:plain and whole]]")
  expect(await settled(view, { turnId })).toMatchObject({ state: "completed", delivered: "delivered" })
  expect(view.answers(turnId)).toEqual(["plain and whole"])
  expect(view.entries.filter(({ kind }) => kind === "user")).toHaveLength(1)
  await expectAtRest(view)
}

export interface Decided {
  readonly decision: "accept" | "decline" | "cancel"
  readonly state: "completed" | "interrupted"
  readonly tool: "completed" | "declined"
  /** Whether it answers behind it. */
  readonly goesOn: boolean
}

export const decided = async (
  { begin, expectGoesOn, settled, untilAsked, world }: Field,
  asking: Asking,
  { decision, goesOn, state, tool }: Decided
) => {
  const { threadId, turnId, view } = await begin(asking(`touch ${decision}`))
  const { decisions, requestId } = await untilAsked(view)
  expect(decisions).toContain(decision)
  expect(view.turn(turnId)?.state).toBe("running")
  await world().chat.answer(threadId, requestId, decision)
  const turn = await settled(view, { turnId })
  expect(turn.state).toBe(state)
  if (state === "completed") expect(turn.reason).toBeNull()
  expect(toolOf(view, turnId)?.status).toBe(tool)
  expect(view.requests.get(requestId)?.status).toBe("answered")
  expect(existsSync(join(world().work, decision))).toBe(tool === "completed")
  if (goesOn) expect(view.answer(turnId)).toBe(answers.afterTool)
  expect(view.session).toMatchObject({ status: "ready", lastError: null })
  await expectGoesOn(view)
}

export const interruptInStream = async (field: Field) => {
  const { beginSpeaking, expectGoesOn, expectSeenOnce, settled, world } = field
  const first = await beginSpeaking()
  const { threadId, turnId, view } = first
  const shown = view.answer(turnId)
  await world().chat.interrupt(threadId)
  expect(await settled(view, first)).toMatchObject({ state: "interrupted", reason: "Interrupted by you" })
  expect(view.answer(turnId).startsWith(shown)).toBe(true)
  expect(view.session).toMatchObject({ status: "ready", lastError: null })
  expectSeenOnce(turnId)
  await expectGoesOn(view)
}

export const interruptInApproval = async (field: Field, asking: Asking) => {
  const { begin, expectGoesOn, expectSeenOnce, settled, untilAsked, world } = field
  const { threadId, turnId, view } = await begin(asking("touch never"))
  const { requestId } = await untilAsked(view)
  await world().chat.interrupt(threadId)
  expect(await settled(view, { turnId })).toMatchObject({ state: "interrupted" })
  expect(view.requests.get(requestId)?.status).toBe("expired")
  await expect(world().chat.answer(threadId, requestId, "accept")).rejects.toMatchObject({
    tag: "RequestNotOpen"
  })
  expect(existsSync(join(world().work, "never"))).toBe(false)
  expectSeenOnce(turnId)
  await expectGoesOn(view)
}

/** `ends`: what it says of the command that was cut. */
export const interruptInTool = async (field: Field, ends: "failed" | "interrupted") => {
  const { begin, expectGoesOn, settled, until, world } = field
  const { threadId, turnId, view } = await begin(`[[shell:${longCommand}]]`, { runtimeMode: "full_access" })
  await until(view, (one) => toolOf(one, turnId) !== undefined)
  const command = await vi.waitFor(
    async () => {
      const running = (await world().server.children()).find((child) => child.command.includes("seq 600"))
      if (running === undefined) throw new Error("The command does not run.")
      return running
    },
    { timeout: deadlineMs }
  )
  await world().chat.interrupt(threadId)
  expect(await settled(view, { turnId })).toMatchObject({ state: "interrupted" })
  expect(toolOf(view, turnId)?.status).toBe(ends)
  await gone(command)
  await expectGoesOn(view)
}

export const interruptAtOnce = async ({ begin, expectGoesOn, settled, world }: Field) => {
  const { threadId, turnId, view } = await begin("[[slow]]")
  await world().chat.interrupt(threadId, turnId)
  expect(["interrupted", "cancelled"]).toContain((await settled(view, { turnId })).state)
  await expectGoesOn(view)
}

/** The model fails for ever, and so many tries were told. */
export const interruptInRetry = async (field: Field, prompt: string, tries: number) => {
  const { begin, expectGoesOn, settled, until, world } = field
  const { threadId, turnId, view } = await begin(prompt)
  await until(view, (one) => (one.session.recovering?.attempt ?? 0) >= tries)
  await world().chat.interrupt(threadId)
  expect(await settled(view, { turnId })).toMatchObject({ state: "interrupted" })
  expect(view.session).toMatchObject({ status: "ready", recovering: null, lastError: null })
  await expectGoesOn(view)
}

/** Gives the turn as it ended. */
export const modelRefuses = async (field: Field, tellsFailureAs: Subject["tellsFailureAs"]) => {
  const { begin, expectGoesOn, expectSeenOnce, settled } = field
  const { turnId, view } = await begin("[[http:400]]")
  const turn = await settled(view, { turnId })
  const isError = tellsFailureAs === "error"
  expect(turn).toMatchObject({ state: isError ? "error" : "completed", delivered: "delivered" })
  expect(isError ? turn.reason : view.answer(turnId)).toContain("The fake model answers 400.")
  expect(view.session).toMatchObject({
    status: isError ? "error" : "ready",
    lastError: turn.reason,
    activeTurnId: null
  })
  expect(told(view, "session.recovering")).toEqual([])
  expectSeenOnce(turnId)
  await expectGoesOn(view)
  expect(view.turn(turnId)).toEqual(turn)
  return turn
}

/** The model fails so often. */
export const retried = async (field: Field, prompt: string, failures: number, tellsRetries: boolean) => {
  const { begin, expectAtRest, settled } = field
  const { turnId, view } = await begin(prompt)
  expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
  const retrying = view.history.filter(({ session }) => session.recovering !== null)
  expect(retrying.length > 0).toBe(tellsRetries)
  expect(retrying.every(({ session }) => session.status === "running")).toBe(true)
  expect(view.history.every(({ session }) => session.lastError === null)).toBe(true)
  expect(view.statuses()).not.toContain("error")
  if (tellsRetries) expect(view.answers(turnId)).toEqual([answers.recovered(failures)])
  else expect(view.answers(turnId).join("")).toContain(answers.recovered(failures))
  await expectAtRest(view)
}

/** The stream breaks for ever, and the provider gives up after so many tries. */
export const givenUp = async ({ begin, expectGoesOn, settled }: Field, tries: number) => {
  const { turnId, view } = await begin("[[drop]]")
  const turn = await settled(view, { turnId })
  expect(turn).toMatchObject({ state: "error", delivered: "delivered" })
  expect(turn.reason).toMatch(/\w/)
  expect(told(view, "session.recovering")).toHaveLength(tries)
  expect(view.session).toMatchObject({ status: "error", recovering: null, lastError: turn.reason })
  await expectGoesOn(view)
}

/** Gives the message that was answered, and the one that waited. */
export const followUpWaits = async (field: Field) => {
  const { beginSpeaking, expectAtRest, settled, shownWith, until, world } = field
  const first = await beginSpeaking("[[slow:60]]")
  const { threadId, turnId, view } = first
  const second = await world().chat.say(threadId, "[[text:the second answer]]")
  await until(view, (one) => one.turn(second.turnId)?.state === "queued")
  expect(world().model.promptsSeen(second.turnId)).toBe(0)
  expect(await settled(view, first)).toMatchObject({ state: "completed" })
  expect(await settled(view, second)).toMatchObject({ state: "completed", into: null })
  expect(view.answers(turnId).map((text) => text.trimEnd())).toEqual([slowText(60).trimEnd()])
  expect(view.answers(second.turnId)).toEqual(["the second answer"])
  // It was asked when the first answer was whole, and not amid it.
  expect(shownWith(second.turnId).join("\n")).toContain("w59")
  await expectAtRest(view)
  return [first, second] as const
}

const killedInStream = async ({ field, processes }: Subject) => {
  const { beginSpeaking, expectGoesOn, expectSeenOnce, settled, until } = field
  const first = await beginSpeaking()
  const { turnId, view } = first
  const shown = view.answer(turnId)
  const killed = (await processes()).map(({ pid }) => pid)
  for (const pid of killed) process.kill(pid, "SIGKILL")
  const turn = await settled(view, first)
  expect(turn).toMatchObject({ state: "error", delivered: "delivered" })
  expect(view.answer(turnId).startsWith(shown)).toBe(true)
  await until(view, (one) => one.session.status === "error")
  expect(view.session.lastError).toBe(turn.reason)
  expectSeenOnce(turnId)
  await expectGoesOn(view)
  const after = await processes()
  expect(after.length).toBeGreaterThan(0)
  expect(after.filter(({ pid }) => killed.includes(pid))).toEqual([])
  expect(view.turn(turnId)).toEqual(turn)
}

const serverKilled = async ({ asking, field, processPerSession, processes }: Subject) => {
  const { begin, expectAtRest, expectGoesOn, settled, untilAsked, untilSpeaking, world } = field
  const before = await begin("[[text:the colour is blue]]")
  await settled(before.view, before)
  const cut = { ...before, ...(await world().chat.say(before.threadId, "[[slow]]")) }
  const pending = await begin(asking("touch never"))
  await Promise.all([untilSpeaking(cut), untilAsked(pending.view)])
  const shown = cut.view.answer(cut.turnId)
  const left = await processes()
  expect(left.length).toBeGreaterThanOrEqual(processPerSession ? 2 : 1)
  await world().restart("SIGKILL")
  // The next server ends what the killed one has left.
  for (const one of left) await gone(one)
  for (const one of [cut, pending]) {
    await expectCutByServer(field, one)
    await expectAtRest(one.view)
  }
  expect(cut.view.answer(cut.turnId).startsWith(shown)).toBe(true)
  expect(toolOf(pending.view, pending.turnId)?.status).toBe("interrupted")
  expect([...pending.view.requests.values()].map(({ status }) => status)).toEqual(["expired"])
  await expectGoesOn(cut.view, ["the colour is blue"])
  await expectGoesOn(pending.view)
  expect(existsSync(join(world().work, "never"))).toBe(false)
}

/** By the next server's words: its turn was cut, and the session has ended with a word about it. */
export const expectCutByServer = async ({ expectSeenOnce, world }: Field, { turnId, view }: Begun) => {
  await view.attach(world().client)
  expect(view.turn(turnId)).toMatchObject({ state: "interrupted" })
  expect(view.session).toMatchObject({ status: "stopped", activeTurnId: null })
  expect(view.session.lastError).toMatch(/server/)
  expectSeenOnce(turnId)
}
