/**
 * The real program on the fake model: what the conformance suite does not ask. Runs where
 * TURNKEEPER_OPENCODE_BIN names an `opencode`, and is skipped where it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Provider } from "@turnkeeper/provider-kit/Provider"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import {
  commandEndsWithProcess,
  freedomChangesByTurn,
  grantIsOfTheSession,
  remembersAfterKill
} from "@turnkeeper/testkit/providerCases"
import { Effect, Exit, Scope } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as OpenCode from "../src/OpenCode.ts"
import {
  binary,
  hold,
  killAll,
  makeWorld,
  openOptions,
  prompt,
  serveOutside,
  session,
  startToBeKilled,
  survivors,
  wasInterrupted
} from "./real.ts"
import type { World } from "./real.ts"

/** One world and one process for all that do not need one of their own. */
let world: World
let provider: Provider
let release: () => Promise<void>

/** Between a client and a server: cuts what is connected, and refuses while it is told to. */
const proxy = (to: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      let open = true
      const server = createServer((from) => {
        if (!open) return void from.destroy()
        const onward = connect(to, "127.0.0.1")
        for (const socket of [from, onward]) {
          sockets.add(socket)
          socket.on("error", () => socket.destroy())
          socket.on("close", () => sockets.delete(socket))
        }
        from.on("close", () => onward.destroy())
        onward.on("close", () => from.destroy())
        from.pipe(onward)
        onward.pipe(from)
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const cut = () => {
        for (const socket of sockets) socket.destroy()
      }
      return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        cut: () => {
          open = false
          cut()
        },
        mend: () => {
          open = true
        },
        close: () => {
          cut()
          server.close()
        }
      }
    }),
    ({ close }) => Effect.sync(close)
  )

describe.skipIf(binary === undefined)(
  "opencode (set TURNKEEPER_OPENCODE_BIN to run)",
  { timeout: 180_000 },
  () => {
    beforeAll(async () => {
      ;({ provider, release, world } = await hold(makeWorld({ idle: "60 seconds" }), OpenCode.make))
    })
    afterAll(() => release(), 60_000)

    describe("what the user allows", () => {
      it.live("full_access: nothing is asked; and the choice may change from turn to turn", () =>
        freedomChangesByTurn(world, provider)
      )

      it.live("what is accepted for the session is not asked again in it, and is asked in another", () =>
        grantIsOfTheSession(world, provider, {
          granted: "[[shell:echo granted]]",
          again: "[[shell:echo granted again]]"
        })
      )

      it.live("read_only changes no file; approval_required asks, and changes it when it is accepted", () =>
        Effect.gen(function* () {
          const one = yield* session(world, provider, { runtimeMode: "read_only" })
          const write = "[[write:new.txt|hello]]"
          // The tools that write are not even offered; the model tries a command, which is asked for.
          yield* one.send(prompt(write, { runtimeMode: "read_only" }))
          const tried = yield* one.ear.first("request.opened")
          assert.equal(tried.kind, "command_approval")
          yield* one.answer(tried.requestKey, { decision: "decline", answers: {} })
          yield* one.ear.first("turn.completed")
          assert.isFalse(existsSync(join(world.project, "new.txt")))
          yield* one.send(prompt(`${write} please`))
          const { requestKey } = yield* one.ear.first(
            "request.opened",
            ({ kind }) => kind === "file_change_approval"
          )
          yield* one.answer(requestKey, { decision: "accept", answers: {} })
          yield* one.ear.until("the second end", () => one.ear.of("turn.completed").length === 2)
          assert.equal(readFileSync(join(world.project, "new.txt"), "utf8").trim(), "hello")
          const done = one.ear.of("item.completed").findLast((item) => item.kind === "file_change")
          assert.include(JSON.stringify(done?.detail), "hello")
        })
      )

      it.live("a plan changes no file, however free its thread is, and is left again", () =>
        Effect.gen(function* () {
          const free = { runtimeMode: "full_access", interactionMode: "plan" } as const
          const one = yield* session(world, provider, free)
          yield* one.send(prompt("[[write:planned.txt|no]]", free))
          const { requestKey, kind } = yield* one.ear.first("request.opened")
          assert.equal(kind, "command_approval")
          yield* one.answer(requestKey, { decision: "decline", answers: {} })
          assert.equal((yield* one.ear.first("turn.completed")).outcome, "completed")
          assert.isFalse(existsSync(join(world.project, "planned.txt")))
          yield* one.run(prompt("[[write:planned.txt|yes]]", { ...free, interactionMode: "default" }))
          assert.isTrue(existsSync(join(world.project, "planned.txt")))
        })
      )
    })

    it.live("a question of the model is the user's, and his answer goes back to it", () =>
      Effect.gen(function* () {
        const one = yield* session(world, provider)
        const options = [
          { label: "Red", description: "warm" },
          { label: "Blue", description: "cold" }
        ]
        const input = { questions: [{ question: "Which colour?", header: "Colour", options }] }
        yield* one.send(prompt(`[[tool:question|${JSON.stringify(input)} ]] [[id:asked]]`))
        const { ask, kind, requestKey } = yield* one.ear.first("request.opened")
        assert.equal(kind, "question")
        assert.deepEqual(ask.questions, [{ id: "0", question: "Which colour?", options }])
        yield* one.answer(requestKey, { decision: null, answers: { "0": ["Blue"] } })
        assert.deepInclude(yield* one.ear.first("turn.completed"), { outcome: "completed" })
        assert.isTrue(world.model.requests().some(({ context }) => JSON.stringify(context).includes("Blue")))
      })
    )

    describe("a sub-agent", () => {
      // Written so that the directive of the sub-agent does not end the one around it.
      const task = (command: string) =>
        prompt(
          `[[tool:task|{"description":"look","prompt":"\\u005b[shell:${command}]\\u005d","subagent_type":"general"}]]`
        )

      it.live(
        "begins only when the user agrees; what it says and the end of its turn are not ours (L4)",
        () =>
          Effect.gen(function* () {
            const one = yield* session(world, provider)
            yield* one.send(task("touch by-a-sub-agent"))
            const { ask, requestKey } = yield* one.ear.first("request.opened")
            assert.include(ask.title, "task")
            assert.isFalse(existsSync(join(world.project, "by-a-sub-agent")))
            yield* one.answer(requestKey, { decision: "accept", answers: {} })
            assert.deepInclude(yield* one.ear.first("turn.completed"), { outcome: "completed" })
            assert.isTrue(existsSync(join(world.project, "by-a-sub-agent")))
            assert.deepEqual(
              one.ear.of("item.completed").map(({ kind }) => kind),
              ["tool_call", "assistant_message"]
            )
            assert.equal(one.ear.of("turn.completed").length, 1)
          })
      )

      it.live("does not begin at all where nothing may be changed", () =>
        Effect.gen(function* () {
          const one = yield* session(world, provider, { runtimeMode: "read_only" })
          const free = task("touch never-by-a-sub-agent")
          yield* one.run({ ...free, runtimeMode: "read_only" })
          assert.deepEqual(one.ear.of("request.opened"), [])
          assert.isFalse(existsSync(join(world.project, "never-by-a-sub-agent")))
        })
      )
    })

    it.live("no model is asked for a title, and every prompt reaches it once", () =>
      Effect.gen(function* () {
        const one = yield* session(world, provider)
        yield* one.run(prompt("[[text:hello]] [[id:once]]"))
        assert.equal(world.model.promptsSeen("once"), 1)
        assert.deepEqual(
          world.model.requests().filter(({ api, main }) => api === "chat" && !main),
          []
        )
      })
    )

    it.live("B11: remembers the conversation after its process was killed", () =>
      remembersAfterKill(world, provider)
    )

    it.live("B14: a command does not outlive the process that is killed under it", () =>
      commandEndsWithProcess(world, provider, "sleep 613", "613")
    )

    it.live("L12: killed at any moment of a send, what its record does not know the model has not seen", () =>
      Effect.gen(function* () {
        const seen = { absent: 0, found: 0 }
        const { resume } = yield* session(world, provider)
        // The last by what has happened, not by time: on a slow machine no time is late enough.
        for (const moment of [0, 8, 40, 150, "asked"] as const) {
          const mark = `moment-${moment}`
          const options: Partial<OpenOptions> = { resume, runtimeMode: "full_access" }
          const one = yield* session(world, provider, options)
          const sent = prompt(`[[slow]] [[id:${mark}]]`, { runtimeMode: "full_access" })
          yield* Effect.forkScoped(Effect.ignore(one.send(sent)))
          yield* moment === "asked"
            ? Effect.promise(() => world.model.waitFor(({ markers }) => markers.includes(mark), 30_000))
            : Effect.sleep(moment)
          yield* killAll(world)
          yield* one.ear.endedPromptly
          const evidence = yield* provider.evidence({ resume, ...sent })
          seen[evidence.type === "found" ? "found" : "absent"]++
          if (evidence.type === "absent") assert.equal(world.model.promptsSeen(mark), 0)
          else assert.isTrue(wasInterrupted(evidence))
        }
        // Both happened, or this shows nothing.
        assert.isAbove(seen.absent, 0)
        assert.isAbove(seen.found, 0)
      })
    )

    describe("a server that is not ours", () => {
      const outside = Effect.gen(function* () {
        const server = yield* serveOutside(world)
        const between = yield* proxy(Number(new URL(server.url).port))
        const make = (password: string) =>
          OpenCode.make({
            instanceId: ProviderInstanceId.make("outside"),
            ledgerDirectory: world.ledgerDirectory,
            server: { url: between.url, password }
          })
        return { server, between, make }
      })

      it.live("a turn goes on while we cannot hear it, and is told whole when we can, once", () =>
        Effect.gen(function* () {
          const { server, between, make } = yield* outside
          const provider = yield* make(server.password)
          const one = yield* session(world, provider)
          const sent = prompt("[[slow:60]]")
          yield* one.send(sent)
          yield* one.ear.first("text.delta")
          between.cut()
          yield* Effect.promise(() =>
            world.model.waitFor(
              (request) => request.prompt === "[[slow:60]]" && request.ended === "answered",
              60_000
            )
          )
          assert.deepEqual(one.ear.of("turn.completed"), [])
          between.mend()
          const end = yield* one.ear.first("turn.completed")
          assert.equal(end.outcome, "completed")
          const [message] = one.ear.of("item.completed")
          assert.include(message?.text ?? "", "w59")
          assert.deepEqual(breachesOf(one.ear.heard(), false), [])
        })
      )

      it.live("a turn outlives us: who opens its conversation again joins it, with what it asks", () =>
        Effect.gen(function* () {
          const { server, make } = yield* outside
          const sent = prompt("[[shell:echo joined]]")
          const scope = yield* Scope.make()
          const before = yield* make(server.password).pipe(Scope.provide(scope))
          const one = yield* session(world, before)
          const { providerTurnId } = yield* one.send(sent)
          const { requestKey } = yield* one.ear.first("request.opened")
          // As after the death of a server: its sessions are not stopped, they are only not heard any more.
          const again = yield* make(server.password)
          const two = yield* session(world, again, { generation: 2, resume: one.resume })
          const begun = yield* two.ear.first("turn.started")
          assert.deepEqual([begun.providerTurnId, begun.turnId], [providerTurnId, sent.turnId])
          const asked = yield* two.ear.first("request.opened")
          assert.equal(asked.requestKey, requestKey)
          yield* two.answer(asked.requestKey, { decision: "accept", answers: {} })
          assert.equal((yield* two.ear.first("turn.completed")).outcome, "completed")
          yield* Scope.close(scope, Exit.void)
        })
      )

      it.live("a wrong password fails the probe, and a server that is gone is unavailable", () =>
        Effect.gen(function* () {
          const { between, make } = yield* outside
          const wrong = yield* make("wrong")
          assert.equal((yield* wrong.probe).status, "failed")
          between.close()
          const none = yield* make("any")
          const error = yield* Effect.flip(Effect.scoped(none.open(openOptions(world))))
          assert.equal(error.fault.reason, "Unavailable")
        })
      )
    })

    it.live("L12: what a killed server left behind is dead before its record is read", () =>
      Effect.gen(function* () {
        const own = yield* makeWorld()
        const script = new URL("serverToKill.ts", import.meta.url)
        const { kill, sent } = yield* startToBeKilled(script, own, "[[shell:echo up; sleep 614]]")
        kill()
        // The program itself dies as well, and only its command is left, which nobody has on record.
        yield* killAll(own)
        assert.isTrue(survivors(own).some((command) => command.includes("614")))
        const provider = yield* OpenCode.make(own.options)
        assert.deepEqual(
          survivors(own).filter((command) => command.includes("614")),
          []
        )
        assert.isTrue(wasInterrupted(yield* provider.evidence(sent)))
      })
    )

    it.live("says what is wrong when there is no program", () =>
      Effect.gen(function* () {
        const missing = yield* OpenCode.make({
          ...world.options,
          // Under the same name it would end the process that the others share.
          instanceId: ProviderInstanceId.make("missing"),
          binary: "/no/such/opencode"
        })
        assert.equal((yield* missing.probe).status, "not_installed")
        const error = yield* Effect.flip(Effect.scoped(missing.open(openOptions(world))))
        assert.equal(error.fault.reason, "NotInstalled")
      })
    )
  }
)
