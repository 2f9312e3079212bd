/**
 * Agents that outlive the server: the real server process is killed in the middle of their work, and the
 * next one goes on with them. The real Codex and the real OpenCode, a fake model behind them, and a client
 * that speaks the public API. Needs the programs:
 *
 *     TURNKEEPER_CODEX_BIN=$(node scripts/providers.ts codex) \
 *     TURNKEEPER_OPENCODE_BIN=$(node scripts/providers.ts opencode) npx vitest run outliving
 *
 * Each test ends with the same judgement (`src/rest.ts`): every turn settled and stamped, nothing open, the
 * session not running, a later client told the same, each prompt at the model as often as its turn says.
 */
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { createServer } from "node:net"
import type { Server } from "node:net"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Chat } from "../src/Chat.ts"
import { CodexWorld, codexConfig } from "../src/CodexWorld.ts"
import { writeCodexHome } from "../src/codexHome.ts"
import { answers, slowText } from "../src/fakeModel/script.ts"
import { OpenCodeWorld, opencodeConfig } from "../src/OpenCodeWorld.ts"
import { descendants, gone, isAlive } from "../src/process/tree.ts"
import type { ProviderConfig } from "../src/process/Server.ts"
import type { ProcessInfo } from "../src/process/tree.ts"
import { openView } from "../src/View.ts"
import type { Shown, View } from "../src/View.ts"
import type { World, WorldOptions } from "../src/World.ts"
import { field, told } from "./field.ts"

/** A killed process counts as gone while its last thread may still hold its port for a moment. */
const listenAt = async (server: Server, port: number) => {
  for (let tries = 0; tries < 200; tries++) {
    const listening = once(server, "listening")
    server.listen(port, "127.0.0.1")
    const error = await listening.then(
      () => null,
      (failed: NodeJS.ErrnoException) => failed
    )
    if (error === null) return
    if (error.code !== "EADDRINUSE") throw error
    await setTimeout(20)
  }
  throw new Error(`Port ${port} is still in use.`)
}

/** A program of half a gigabyte is started in almost every test. */
const patienceMs = 120_000

interface Subject {
  readonly kind: "codex" | "opencode"
  readonly binary: string
  readonly open: (options: Options) => Promise<World>
  /** Another instance of it, `…-2`, which outlives the server, too. */
  readonly second: (binary: string, root: string, modelUrl: string) => Promise<ProviderConfig>
  /** Has the agent ask before it runs this. */
  readonly asks: (command: string) => string
}

type Options = WorldOptions & { readonly binary: string; readonly outlive: true }

const subjects: ReadonlyArray<Subject> = [
  {
    kind: "codex",
    binary: process.env["TURNKEEPER_CODEX_BIN"] ?? "",
    open: (options) => CodexWorld.open(options),
    second: async (binary, root, modelUrl) => {
      const home = await writeCodexHome(join(root, "codex-2-home"), { modelUrl })
      return codexConfig("codex-2", binary, home, true)
    },
    asks: (command) => `[[ask:${command}]]`
  },
  {
    kind: "opencode",
    binary: process.env["TURNKEEPER_OPENCODE_BIN"] ?? "",
    open: (options) => OpenCodeWorld.open(options),
    second: async (binary, root, modelUrl) =>
      opencodeConfig("opencode-2", binary, { directory: join(root, "opencode-2-home"), modelUrl }, true),
    asks: (command) => `[[shell:${command}]]`
  }
]

describe.each(subjects)("$kind outlives the server", { timeout: 600_000 }, (subject) => {
  const { kind, binary, asks } = subject
  const there = describe.skipIf(binary === "")
  let world: World

  beforeEach(async ({ task }) => {
    if (binary === "") return
    const others = async (root: string, modelUrl: string) =>
      task.name.includes("two instances") ? [await subject.second(binary, root, modelUrl)] : []
    world = await subject.open({ binary, outlive: true, others })
  }, patienceMs)
  afterEach(async ({ task }) => {
    rig.conclude(task.result?.state === "fail")
    if (binary !== "") await world.dispose()
  }, patienceMs)

  const rig = field(() => world, { waitMs: patienceMs })
  const { begin, beginSpeaking, expectAtRest, expectGoesOn, expectNextMessageWorks } = rig
  const { settled, until, untilAsked, untilSpeaking } = rig

  const processes = () => join(world.server.dataDirectory, "processes", kind)

  const recorded = async () => {
    const name = readdirSync(processes()).find((one) => one.endsWith(".json"))
    return JSON.parse(readFileSync(join(processes(), name!), "utf8")) as {
      readonly pid: number
      readonly startTime: string
      readonly outliving: { readonly address: string }
    }
  }

  const recordedPort = async () => Number(new URL((await recorded()).outliving.address).port)

  /** The agent's program, by the server's own record of it. */
  const program = async (): Promise<ProcessInfo> => {
    const { pid, startTime } = await recorded()
    return { pid, started: startTime, parent: 0, command: "" }
  }

  /** The server is killed, `meanwhile` happens, and another server starts. */
  const away = async (meanwhile: () => Promise<void> = async () => {}) => {
    await world.server.kill()
    await meanwhile()
    await world.restart("SIGKILL")
  }

  /** All that was said after the restart says of this turn that it went on: it was never anything else. */
  const expectNeverInterrupted = (view: View, turnId: string) => {
    expect(told(view, "turn.settled")).toMatchObject([{ turnId, state: "completed" }])
    expect(told(view, "session.stopped")).toEqual([])
  }

  /** The model has said all that it had to say in this turn. */
  const answered = (turnId: string, afterTool = false) =>
    observed(() =>
      world.model
        .requests()
        .some(
          ({ ended, markers, toolHasRun }) =>
            markers.includes(turnId) && ended === "answered" && toolHasRun === afterTool
        )
    )

  there("killed", () => {
    it("in mid-stream: the turn goes on and completes, and its text is there once", async () => {
      const first = await beginSpeaking("[[slow:600]]")
      const { turnId, view } = first
      const agent = await program()
      await away()
      expect(await isAlive(agent)).toBe(true)
      await view.attach(world.client)
      expect(view.turn(turnId)).toMatchObject({ state: "running" })
      expect(view.session).toMatchObject({ status: "running", activeTurnId: turnId })
      expect(await settled(view, first)).toMatchObject({ state: "completed", reason: null })
      expect(view.answers(turnId).map((text) => text.trimEnd())).toEqual([slowText(600).trimEnd()])
      expectNeverInterrupted(view, turnId)
      expect(world.model.promptsSeen(turnId)).toBe(1)
      await expectAtRest(view)
      await expectNextMessageWorks(view)
      expect(await program()).toMatchObject({ pid: agent.pid })
      await expectAtRest(view)
    })

    it("in a pending approval: it can still be answered, and its command runs", async () => {
      const { threadId, turnId, view } = await begin(asks("touch agreed"))
      const { requestId } = await untilAsked(view)
      await away()
      await view.attach(world.client)
      expect(view.openRequests().map((request) => request.requestId)).toEqual([requestId])
      await world.chat.answer(threadId, requestId, "accept")
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
      expect(view.requests.get(requestId)?.status).toBe("answered")
      expect(existsSync(join(world.work, "agreed"))).toBe(true)
      expect(toolsOf(view, turnId).map(({ status }) => status)).toEqual(["completed"])
      expect(view.answers(turnId)).toEqual([answers.afterTool])
      expectNeverInterrupted(view, turnId)
      await expectAtRest(view)
    })

    it("while a command runs: its end and the answer behind it are there once, though nobody heard them", async () => {
      const { threadId, turnId, view } = await begin(asks("sleep 1 && echo ran"))
      const { requestId } = await untilAsked(view)
      await world.chat.answer(threadId, requestId, "accept")
      await until(view, (one) => one.requests.get(requestId)?.status === "answered")
      await away(() => answered(turnId, true))
      await view.attach(world.client)
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
      expect(toolsOf(view, turnId).map(({ status, text }) => [status, text.trim()])).toEqual([
        ["completed", "ran"]
      ])
      expect(view.answers(turnId)).toEqual([answers.afterTool])
      expectNeverInterrupted(view, turnId)
      await expectAtRest(view)
    })

    it("and away while the turn ends: it is completed, not interrupted, and what waited behind it runs", async () => {
      const first = await beginSpeaking("[[slow:40]]")
      const { threadId, turnId, view } = first
      const second = await world.chat.say(threadId, "[[text:the second answer]]")
      await away(() => answered(turnId))
      await view.attach(world.client)
      expect(await settled(view, first)).toMatchObject({ state: "completed", reason: null })
      expect(view.answers(turnId).map((text) => text.trimEnd())).toEqual([slowText(40).trimEnd()])
      expect(await settled(view, second)).toMatchObject({ state: "completed" })
      expect(view.answers(second.turnId)).toEqual(["the second answer"])
      expect(world.model.promptsSeen(turnId)).toBe(1)
      expect(world.model.promptsSeen(second.turnId)).toBe(1)
      await expectAtRest(view)
    })

    it("twice in one turn: it goes on, and an item that was whole before is not told again", async () => {
      const { threadId, turnId, view } = await begin(asks("true"))
      const { requestId } = await untilAsked(view)
      await away()
      await away()
      await view.attach(world.client)
      await world.chat.answer(threadId, requestId, "decline")
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed" })
      expect(toolsOf(view, turnId).map(({ status }) => status)).toEqual(["declined"])
      expect(told(view, "request.opened")).toHaveLength(1)
      await expectAtRest(view)
    })

    it("at the acknowledgement of a message, again and again: none is lost and none doubled", async ({
      annotate
    }) => {
      const sent = []
      for (let round = 0; round < 6; round++) {
        const message = await world.chat.begin(`[[text:answer ${round}]]`)
        await world.restart("SIGKILL")
        sent.push({ ...message, view: await openView(world.client, message.threadId) })
        await sent.at(-1)!.view.close()
      }
      const ends: Record<string, number> = {}
      for (const [round, { turnId, view }] of sent.entries()) {
        await view.attach(world.client)
        const turn = await settled(view, { turnId })
        const seen = world.model.promptsSeen(turnId)
        const end = `${turn.state}, ${turn.delivered}, seen ${seen} times`
        ends[end] = (ends[end] ?? 0) + 1
        expect(seen, end).toBeLessThanOrEqual(1)
        if (turn.state === "completed") expect(view.answers(turnId)).toEqual([`answer ${round}`])
        else expect(turn, end).toMatchObject({ state: "interrupted", delivered: "unknown" })
        await expectAtRest(view)
      }
      await annotate(
        Object.entries(ends)
          .map(([end, count]) => `${count} × ${end}`)
          .join("; ")
      )
    })

    it("and away while the agent dies: the turn is interrupted, and the next message starts another one", async () => {
      const first = await beginSpeaking()
      const { turnId, view } = first
      const shown = view.answer(turnId)
      const agent = await program()
      await away(async () => {
        process.kill(agent.pid, "SIGKILL")
        await gone(agent)
      })
      await view.attach(world.client)
      expect(await settled(view, first)).toMatchObject({ state: "interrupted" })
      expect(view.answer(turnId).startsWith(shown)).toBe(true)
      await expectAtRest(view)
      await expectNextMessageWorks(view)
      expect((await program()).pid).not.toBe(agent.pid)
      await expectAtRest(view)
    })

    it("a stranger at the recorded address is not spoken to, and the turn is interrupted", async () => {
      const first = await beginSpeaking()
      const { view } = first
      const agent = await program()
      const port = await recordedPort()
      let asked = 0
      const stranger = createServer((socket) => {
        asked += 1
        socket.destroy()
      })
      await away(async () => {
        process.kill(agent.pid, "SIGKILL")
        await gone(agent)
        await listenAt(stranger, port)
      })
      try {
        await view.attach(world.client)
        expect(await settled(view, first)).toMatchObject({ state: "interrupted" })
        await expectNextMessageWorks(view)
        expect(await recordedPort()).not.toBe(port)
        expect(asked).toBe(0)
        await expectAtRest(view)
      } finally {
        stranger.close()
      }
    })

    it("L9: a session that was taken over can be stopped, and nothing of it works on", async () => {
      const first = await beginSpeaking()
      const { threadId, view } = first
      await away()
      await view.attach(world.client)
      await world.chat.stop(threadId)
      expect(await settled(view, first)).toMatchObject({ state: "interrupted" })
      await until(view, ({ session }) => session.status === "stopped")
      await observed(() => world.model.requests().every(({ ended }) => ended !== "open"))
      await expectGoesOn(view)
    })

    it("two threads of one agent, one at work and one at rest: both go on", async () => {
      const resting = await begin("[[text:the colour is blue]]")
      await settled(resting.view, resting)
      const working = await beginSpeaking("[[slow:600]]")
      await away()
      await working.view.attach(world.client)
      await resting.view.attach(world.client)
      expect(resting.view.session).toMatchObject({ status: "ready", lastError: null })
      await expectNextMessageWorks(resting.view, ["the colour is blue"])
      expect(await settled(working.view, working)).toMatchObject({ state: "completed" })
      for (const { view } of [working, resting]) {
        expect(told(view, "session.stopped")).toEqual([])
        await expectAtRest(view)
      }
    })
  })

  there("stopped in order", () => {
    it("it ends the agent, and the turn says so", async () => {
      const first = await beginSpeaking()
      const { view } = first
      const agent = await program()
      const below = await descendants(agent.pid)
      await world.restart("SIGTERM")
      for (const one of [agent, ...below]) expect(await isAlive(one)).toBe(false)
      await view.attach(world.client)
      expect(await settled(view, first)).toMatchObject({ state: "interrupted" })
      await expectGoesOn(view)
    })
  })

  there("killed, with two instances of it", () => {
    it("each of two instances goes on with its own", async () => {
      const other = await Chat.open(world.client, { provider: `${kind}-2`, directory: world.work })
      const first = await begin("[[slow:600]]")
      const message = await other.begin("[[slow:600]]")
      const second = { ...message, view: await openView(world.client, message.threadId) }
      await Promise.all([untilSpeaking(first), untilSpeaking(second)])
      await away()
      for (const one of [first, second]) {
        await one.view.attach(world.client)
        expect(await settled(one.view, one)).toMatchObject({ state: "completed" })
        expectNeverInterrupted(one.view, one.turnId)
        await expectAtRest(one.view)
      }
    })
  })
})

/** A condition that is looked at again and again, for two minutes at most. */
const observed = async (condition: () => boolean): Promise<void> => {
  for (let looks = 0; !condition(); looks++) {
    if (looks > 12_000) throw new Error("It did not happen.")
    await setTimeout(10)
  }
}

const toolsOf = (view: View, turnId: string): ReadonlyArray<Shown> =>
  view.entries.filter((entry) => entry.turnId === turnId && entry.kind === "command")
