/**
 * One run: the real core on a virtual clock, hostile providers, impatient clients, crashes. What comes of
 * it depends on the plan alone.
 *
 *     plan ──▶ deed, pause, deed, pause … ──▶ the providers calm down ──▶ everything comes to rest ──▶ judged
 *                       └─▶ judged whenever nobody can go on without time
 */
import type { Command } from "@turnkeeper/contracts/Command"
import { fromSnapshot } from "@turnkeeper/contracts/Fold"
import type { ThreadFold } from "@turnkeeper/contracts/Fold"
import { limits } from "@turnkeeper/contracts/Limits"
import type { ProjectId, ThreadId } from "@turnkeeper/domain/ids"
import { ProviderInstanceId, ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { isSettled } from "@turnkeeper/domain/thread/lifecycle"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { makeRandom } from "../crash/random.ts"
import type { Request, View } from "../View.ts"
import { makeJudge } from "./check.ts"
import type { Judge } from "./check.ts"
import { makeCustomer } from "./Customer.ts"
import type { Customer } from "./Customer.ts"
import { breakDisk, failuresSoFar, mendDisk, takeFailures } from "./Disk.ts"
import { makeHostile } from "./Hostile.ts"
import type { Hostile } from "./Hostile.ts"
import { Endless, makeLoop } from "./Loop.ts"
import type { Loop } from "./Loop.ts"
import { start } from "./Machine.ts"
import type { Machine } from "./Machine.ts"
import { isDeath, isEnd } from "./plan.ts"
import type { Deed, Moment, Pause, Plan } from "./plan.ts"
import { sortedRows } from "./Sidebar.ts"

export interface Outcome {
  readonly violations: ReadonlyArray<string>
  readonly trace: ReadonlyArray<string>
  /** Of the whole event log. */
  readonly hash: string
  readonly steps: number
  readonly crashes: number
  readonly turns: number
  /** How often the disk failed. */
  readonly diskFailures: number
}

const project = "project" as ProjectId
const beginning = 1_700_000_000_000
const violationsMax = 20
const tellingMs = 5_000
const momentStepsMax = 400
const tellingStepMs = 2 * limits.shellGatherMillis

/** A file is a file; in memory, where the machine has such a place, no run waits for a disk. */
const place = () => {
  const memory = "/dev/shm"
  try {
    accessSync(memory, constants.W_OK)
    return memory
  } catch {
    return tmpdir()
  }
}

export const simulate = async (plan: Plan): Promise<Outcome> => {
  const directory = mkdtempSync(join(place(), "turnkeeper-simulation-"))
  try {
    return await new Run(plan, directory).all()
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

class Run {
  readonly plan: Plan
  readonly loop: Loop
  readonly threads: ReadonlyArray<ThreadId>
  readonly customers: ReadonlyArray<Customer>
  readonly providers: ReadonlyArray<Hostile>
  readonly database: string
  readonly records: ReadonlyArray<string>
  readonly violations: Array<string> = []
  readonly trace: Array<string> = []
  machine: Machine
  judge: Judge | null = null
  crashes = 0
  commands = 0

  constructor(plan: Plan, directory: string) {
    const { setting, seed } = plan
    const random = makeRandom(seed).fork(2)
    this.plan = plan
    this.database = join(directory, "simulated.db")
    this.loop = makeLoop({ ...setting, random: random.fork(1), startAt: beginning })
    this.threads = Array.from({ length: setting.threads }, (_, index) => `thread-${index + 1}` as ThreadId)
    this.customers = [0, 1].map(() => makeCustomer(this.threads, setting.sidebar, this.complain))
    this.records = setting.providers.map(({ id }) => join(directory, id))
    this.providers = setting.providers.map((provider, index) =>
      makeHostile({
        ...provider,
        instanceId: ProviderInstanceId.make(provider.id),
        loop: this.loop,
        random: random.fork(2 + index),
        hostility: setting.hostility,
        recordDirectory: this.records[index]!,
        trace: this.note
      })
    )
    this.machine = this.boot()
  }

  readonly note = (line: string): void => void this.trace.push(`  ${this.time()} ${line}`)
  readonly complain = (what: string): void => {
    this.trace.push(`VIOLATION ${what}`)
    if (this.violations.length < violationsMax) this.violations.push(what)
  }

  async all(): Promise<Outcome> {
    const { plan } = this
    try {
      await this.prepare()
      for (const [index, { deed, pause }] of plan.steps.entries()) {
        this.trace.push(`${index + 1}. ${this.time()} ${JSON.stringify(deed)} ${JSON.stringify(pause)}`)
        await this.act(deed)
        await this.wait(pause)
        this.readLog()
        if (this.violations.length > 0) break
      }
      if (this.violations.length === 0) await this.finish()
    } catch (error) {
      if (!(error instanceof Endless)) throw error
      this.complain(`L14: ${error.message}`)
    }
    const { judge, loop } = this
    const outcome = {
      violations: this.violations,
      trace: this.trace,
      hash: judge?.hash() ?? "",
      steps: loop.steps(),
      crashes: this.crashes,
      turns: judge?.turns() ?? 0,
      diskFailures: takeFailures()
    }
    judge?.close()
    mendDisk()
    // A view that still waits for its first word would keep the process alive.
    for (const customer of this.customers) customer.disconnect()
    if (this.machine.isAlive()) this.machine.crash()
    return outcome
  }

  // The server

  boot(): Machine {
    const { database, loop, providers, complain, plan } = this
    return start({
      loop,
      database,
      complain,
      gatherMs: plan.setting.gatherMs,
      providers: (isAlive) => providers.map((provider) => provider.reachedBy(isAlive))
    })
  }

  /** The project and the threads are there before anything goes wrong. */
  async prepare(): Promise<void> {
    const [customer] = this.customers
    await this.listening()
    const directory = "/simulated"
    this.send(customer!, { type: "project.create", projectId: project, title: "Simulated", directory })
    await this.loop.settle()
    for (const threadId of this.threads) {
      this.send(customer!, {
        type: "thread.create",
        threadId,
        projectId: project,
        title: "Simulated",
        provider: this.providers[0]!.instanceId
      })
    }
    await this.loop.settle()
    this.judge = makeJudge(this.database, this.records)
    this.customers[1]!.connect(this.machine)
    this.customers[0]!.disconnect()
    this.customers[0]!.connect(this.machine)
    await this.rest()
  }

  /** Waits until the server takes commands, and connects the clients anew. */
  async listening(): Promise<boolean> {
    for (let waited = 0; waited < 300 && !this.machine.isListening(); waited++) await this.loop.pass(1_000)
    if (!this.machine.isListening()) this.complain("L14: the server does not start within five minutes")
    const [first] = this.customers
    if (this.judge === null) first!.connect(this.machine)
    return this.machine.isListening()
  }

  crash(died: boolean): void {
    this.crashes += 1
    mendDisk()
    for (const customer of this.customers) customer.disconnect()
    this.machine.crash()
    for (const provider of this.providers) provider.serverGone(died)
    this.machine = this.boot()
  }

  /** Step by step; where the moment does not come soon, nothing happens. */
  async crashWhile(moment: Moment, died: boolean): Promise<void> {
    for (let steps = 0; steps < momentStepsMax; steps++) {
      this.readLog()
      if (this.threads.some((threadId) => isIn(this.judge!.stateOf(threadId), moment)))
        return this.crash(died)
      await this.loop.run(1)
    }
  }

  async restart(): Promise<void> {
    mendDisk()
    for (const customer of this.customers) customer.disconnect()
    await this.machine.stop()
    for (const provider of this.providers) provider.serverGone(false)
    this.machine = this.boot()
  }

  // Deeds

  async act(deed: Deed): Promise<void> {
    switch (deed.type) {
      case "crash":
        return this.crash(deed.died)
      case "crash while":
        return this.crashWhile(deed.moment, deed.died)
      case "restart":
        return this.restart()
      case "disk":
        // A start that meets a broken disk ends, and has to be tried again by whoever runs the server.
        return this.machine.isListening() ? breakDisk(this.database, deed.fault) : undefined
      case "disconnect":
        return this.customers[deed.client]!.disconnect()
      case "reconnect":
        return this.reconnect(deed.client)
      case "provider dies":
      case "provider exits":
      case "own turn":
      case "re-ask":
      case "old word":
        return this.provoke(deed)
      case "repeat":
      case "reuse":
        return this.again(deed)
      default: {
        const customer = this.customers[deed.client]!
        const command = this.commandOf(deed, customer.view(this.threads[deed.thread]!))
        if (command === null) return
        this.send(customer, command, deed.type === "say" ? deed.copies : 1)
      }
    }
  }

  reconnect(client: number): void {
    const customer = this.customers[client]!
    if (!this.machine.isListening()) return
    customer.disconnect()
    customer.connect(this.machine)
  }

  send(customer: Customer, command: Record<string, unknown>, copies = 1): void {
    this.commands += 1
    customer.send({ ...command, commandId: `command-${this.commands}` } as never as Command, copies)
  }

  commandOf(
    deed: Exclude<
      Deed,
      {
        readonly type:
          | "crash"
          | "crash while"
          | "restart"
          | "disk"
          | "disconnect"
          | "reconnect"
          | "repeat"
          | "reuse"
      }
    >,
    view: View
  ): Record<string, unknown> | null {
    const threadId = view.threadId
    const at = <A>(all: ReadonlyArray<A>): A | undefined =>
      "pick" in deed ? all[Math.floor(deed.pick * all.length)] : undefined
    const turns = [...view.turns.values()]
    const name = `turn-${this.commands + 1}`
    switch (deed.type) {
      case "say": {
        const elsewhere = deed.elsewhere && { provider: this.providers[1]!.instanceId }
        const { delivery, text } = deed
        const messageId = `${name}-message`
        return { type: "thread.turn.start", threadId, turnId: name, messageId, text, delivery, ...elsewhere }
      }
      case "interrupt": {
        const turn = deed.named ? at(turns.filter(({ state }) => !isSettled(state))) : undefined
        return { type: "thread.turn.interrupt", threadId, ...(turn && { turnId: turn.turnId }) }
      }
      case "retry": {
        const turnId = at(turns.filter(({ state }) => isSettled(state)))?.turnId
        if (turnId === undefined) return null
        return {
          type: "thread.turn.retry",
          threadId,
          turnId,
          newTurnId: name,
          newMessageId: `${name}-message`
        }
      }
      case "edit":
      case "reorder": {
        const queued = turns.filter(({ state }) => state === "queued")
        const turnId = at(queued)?.turnId
        if (turnId === undefined) return null
        const type = `thread.turn.${deed.type}`
        if (deed.type === "edit") return { type, threadId, turnId, text: `Rather this, ${name}` }
        const before = queued.find((turn) => turn.turnId !== turnId)?.turnId ?? null
        return { type, threadId, turnId, before }
      }
      case "answer": {
        const request = at(view.openRequests())
        return request === undefined ? null : answerTo(threadId, request, deed.pick)
      }
      case "stop":
        return { type: "thread.session.stop", threadId, force: deed.force }
      case "switch":
        return { type: "thread.update", threadId, provider: at(this.providers)!.instanceId }
      case "archive":
      case "unarchive":
      case "delete":
        return { type: `thread.${deed.type}`, threadId }
      default:
        return null
    }
  }

  again(deed: Extract<Deed, { readonly type: "repeat" | "reuse" }>): void {
    const customer = this.customers[deed.client]!
    const accepted = customer.sent.filter(({ answer }) => answer === "accepted")
    const one = accepted[Math.floor(deed.pick * accepted.length)]
    if (one === undefined || !customer.isConnected()) return
    if (deed.type === "repeat") return customer.repeat(one)
    const threadId = this.threads[deed.thread]!
    const { commandId } = one.command
    customer.reuse(one, { type: "thread.update", threadId, commandId, title: "Another body" } as Command)
  }

  /** The provider does something by itself, or says what it should not. */
  provoke(deed: Extract<Deed, { readonly thread: number }>): void {
    const threadId = this.threads[deed.thread]!
    const provider = this.providers[deed.pick < 0.7 ? 0 : 1]!
    const control = provider.control()
    if (!control.live().some((live) => live.threadId === threadId)) return
    const say = (event: ProviderEvent) => void this.loop.fork(control.emit(threadId, event))
    if (deed.type === "provider dies") return void this.loop.fork(control.crash(threadId))
    if (deed.type === "provider exits") return void this.loop.fork(control.exit(threadId))
    const running = control.activeTurn(threadId)
    for (const event of wordsOf(deed, running, this.commands)) say(event)
  }

  // Time

  async wait(pause: Pause): Promise<void> {
    if (pause.type === "steps") await this.loop.run(pause.steps)
    else if (pause.type === "time") await this.loop.pass(pause.ms)
    else await this.rest()
    // A server that has come up is found by those who look for it; who has left stays away.
    if (this.machine.isListening()) {
      for (const customer of this.customers) {
        if (customer.isConnected()) customer.retry()
        else this.mayReturn(customer)
      }
    }
  }

  mayReturn(customer: Customer): void {
    if (this.customers[0] === customer || this.commands % 3 === 0) customer.connect(this.machine)
  }

  /** Nobody can go on without time: what must hold then is looked at. */
  async rest(): Promise<void> {
    await this.loop.settle()
    this.readLog()
    for (const breach of this.judge!.atRest()) this.complain(breach)
    const sent = this.customers.flatMap((customer) => customer.sent)
    for (const breach of this.judge!.kept(sent)) this.complain(breach)
    if (!this.machine.isListening()) return
    const { sidebar } = this.plan.setting
    await this.agree(() => this.viewDifferences(), isDiskPlan(this.plan) ? tellingMs : 0)
    if (sidebar) await this.agree(() => this.sidebarDifferences(), tellingMs)
  }

  readLog(): void {
    for (const line of this.judge?.read() ?? []) this.trace.push(line)
  }

  /**
   * What a client shows is what one that comes now is shown. `ms`: what is on its way may take so long, in
   * which the row of a sidebar is gathered, and the server finds out what a failed commit has left. While the
   * disk goes on failing, which it does a bounded number of times, nobody can find out anything.
   */
  async agree(differences: () => Promise<ReadonlyArray<string>>, ms: number): Promise<void> {
    for (let waited = 0; ;) {
      const found = await differences()
      if (found.length === 0) return
      if (waited >= ms) return found.forEach(this.complain)
      const failures = failuresSoFar()
      await this.loop.pass(tellingStepMs)
      for (const customer of this.customers) customer.retry()
      await this.loop.settle()
      waited = failuresSoFar() === failures ? waited + tellingStepMs : 0
    }
  }

  async viewDifferences(): Promise<ReadonlyArray<string>> {
    const found: Array<string> = []
    for (const threadId of this.threads) found.push(...(await this.differencesIn(threadId)))
    return found
  }

  async differencesIn(threadId: ThreadId): Promise<ReadonlyArray<string>> {
    const snapshot = await this.machine.snapshot(threadId)
    if (snapshot?.type !== "snapshot") return []
    const fresh = fromSnapshot(snapshot)
    return this.customers.flatMap((customer, index) => {
      const view = customer.view(threadId)
      for (const fault of view.faults.splice(0)) this.complain(`A client of ${threadId}: ${fault}`)
      if (!customer.isConnected() || !view.synchronized || view.ended !== null) return []
      return differencesOf(view.fold!, fresh).map(
        (difference) => `Client ${index} of ${threadId} sees something else: ${difference}`
      )
    })
  }

  async sidebarDifferences(): Promise<ReadonlyArray<string>> {
    const truth = sortedRows(await this.machine.shell())
    return this.customers.flatMap(({ isConnected, sidebar }, index) =>
      isConnected() && sidebar?.isLive() === true
        ? different(sortedRows(sidebar.rows()), truth).map(
            (difference) => `The sidebar of client ${index} shows something else: ${difference}`
          )
        : []
    )
  }

  // The end

  async finish(): Promise<void> {
    this.trace.push(`end. ${this.time()}`)
    mendDisk()
    if (!(await this.listening())) return
    for (const provider of this.providers) provider.calm(this.plan.setting.endsDeaf)
    for (const [client] of this.customers.entries()) this.reconnect(client)
    await this.comeToRest()
    if (this.violations.length > 0) return
    for (const provider of this.providers) provider.calm(false)
    if (heardAll(this.plan)) for (const breach of this.judge!.texts()) this.complain(breach)
    if (nothingElse(this.plan)) for (const breach of this.judge!.ends()) this.complain(breach)
    for (const breach of await this.judge!.rebuilt(this.loop)) this.complain(breach)
  }

  /** L14. First without a hand, then as a user would who has seen enough. */
  async comeToRest(): Promise<void> {
    let waited: ReadonlyArray<string> = []
    for (let minute = 0; minute < 90 && this.violations.length === 0; minute++) {
      await this.rest()
      if (this.openThreads().length === 0) return
      this.answerAll()
      await this.loop.pass(minute < 20 ? 60_000 : 120_000)
      if (minute === 15) waited = this.onTheWay()
      if (minute < 25) continue
      // It has a bound, also where nobody answers: it ends, or is told that it failed.
      if (minute === 25) {
        for (const what of this.onTheWay().filter((one) => waited.includes(one)))
          this.complain(
            `L14: ${what} never ends: ${this.threads.map((threadId) => this.told(threadId)).join()}`
          )
      }
      for (const threadId of this.openThreads()) {
        const isWorking = this.providers.some((provider) => provider.isWorking(threadId))
        if (minute === 25 && !isWorking && !this.plan.setting.endsDeaf) {
          this.complain(
            `L14: nobody works for ${threadId}, and it does not come to rest: ${this.told(threadId)}`
          )
        }
        this.trace.push(`  ${this.time()} the user interrupts ${threadId}`)
        const patient = minute < 60
        const type = patient ? "thread.turn.interrupt" : "thread.session.stop"
        this.send(this.customers[0]!, { type, threadId, ...(!patient && { force: true }) })
      }
    }
    // Another find has ended the waiting: then this is none.
    if (this.violations.length > 0) return
    for (const threadId of this.openThreads())
      this.complain(`L14: ${threadId} never rests: ${this.told(threadId)}`)
  }

  /** What waits for an answer of the provider. */
  onTheWay(): ReadonlyArray<string> {
    return this.threads.flatMap((threadId) => {
      const { session, turns } = this.judge!.stateOf(threadId)
      return [
        ...turns.flatMap(({ id, interrupt }) => (interrupt === null ? [] : [`the interrupt of ${id}`])),
        ...turns.flatMap(({ id, state }) => (state === "sending" ? [`the send of ${id}`] : [])),
        ...(session.status === "starting" ? [`the start of ${threadId}#${session.generation}`] : [])
      ]
    })
  }

  openThreads(): ReadonlyArray<ThreadId> {
    return this.threads.filter((threadId) => {
      const { session, turns } = this.judge!.stateOf(threadId)
      return turns.length > 0 || session.stopAsked !== null || session.status === "starting"
    })
  }

  answerAll(): void {
    for (const threadId of this.threads) {
      for (const request of this.customers[0]!.view(threadId).openRequests()) {
        this.send(this.customers[0]!, answerTo(threadId, request, 0))
      }
    }
  }

  told(threadId: ThreadId): string {
    const { session, turns, requests } = this.judge!.stateOf(threadId)
    return JSON.stringify({ session, turns, requests })
  }

  time(): string {
    return `${((this.loop.now() - beginning) / 1_000).toFixed(3)}s`
  }
}

/** Nobody kept a word of the provider from the server: no bad line, and no time in which nobody listened. */
const heardAll = ({ setting: { hostility }, steps }: Plan): boolean =>
  hostility.copies + hostility.drops + hostility.echoes + hostility.cuts === 0 &&
  steps.every(({ deed }) => !isEnd(deed))

/** And it did all it was asked, and lived: then each of its ends was heard, whatever the disk did. */
const nothingElse = (plan: Plan): boolean =>
  heardAll(plan) && plan.setting.hostility.calls === 0 && plan.steps.every(({ deed }) => !isDeath(deed))

const isIn = ({ session, turns }: ThreadState, moment: Moment): boolean =>
  moment === "starting" ? session.status === "starting" : turns.some(({ state }) => state === "sending")

const isDiskPlan = ({ steps }: Plan) => steps.some(({ deed }) => deed.type === "disk")

const answerTo = (threadId: string, { requestId, decisions }: Request, pick: number) => {
  const decision = decisions[Math.floor(pick * decisions.length)]
  const given = decision === undefined ? { answers: { answer: ["a"] } } : { decision }
  return { type: "thread.request.answer", threadId, requestId, ...given }
}

/** What a provider may come up with while this turn, or none, runs on its session. */
const wordsOf = (
  deed: Extract<Deed, { readonly thread: number }>,
  running: ProviderTurnId | null,
  ordinal: number
): ReadonlyArray<ProviderEvent> => {
  const own = ProviderTurnId.make(`own-${ordinal}-${deed.pick}`)
  const message = null
  switch (deed.type) {
    case "own turn":
      return [
        { type: "turn.started", providerTurnId: own, turnId: null },
        ...(deed.pick < 0.6
          ? [{ type: "turn.completed", providerTurnId: own, outcome: "completed", message } as const]
          : [])
      ]
    case "re-ask":
      return [
        {
          type: "request.opened",
          providerTurnId: running,
          requestKey: deed.pick < 0.5 ? "request-1" : `key-${ordinal}`,
          kind: "command_approval",
          ask: { title: "make", detail: {}, decisions: ["accept", "decline"], questions: [] }
        }
      ]
    case "old word": {
      const transient = {
        type: "error.transient",
        providerTurnId: running,
        message: "again",
        attempt: 1,
        limit: 5
      }
      const words: ReadonlyArray<ProviderEvent> = [
        { type: "turn.completed", providerTurnId: null, outcome: "completed", message },
        { type: "turn.aborted", providerTurnId: null, message },
        { type: "turn.completed", providerTurnId: own, outcome: "failed", message },
        { type: "turn.started", providerTurnId: own, turnId: null },
        { type: "error.final", providerTurnId: running, message: "It will fail" },
        { type: "text.delta", providerTurnId: own, providerItemId: "nothing", text: "lost words" },
        { type: "request.resolved", requestKey: "request-1" },
        transient as ProviderEvent
      ]
      return words.slice(Math.floor(deed.pick * words.length)).slice(0, 1)
    }
    default:
      return []
  }
}

/** Every row a client has, against what one that comes now is shown. Older pages than that are its own. */
const differencesOf = (mine: ThreadFold, fresh: ThreadFold): ReadonlyArray<string> => {
  const shown = (fold: ThreadFold) => ({
    version: fold.version,
    thread: fold.thread,
    session: fold.session,
    requests: fold.requests,
    entries: fold.entries.filter(({ position }) => fresh.before === null || position >= fresh.before),
    order: fold.turns.flatMap(({ state, turnId }) => (isSettled(state) ? [] : [turnId]))
  })
  const turns = new Map(mine.turns.map((turn) => [turn.turnId, turn]))
  return [
    ...different(shown(mine), shown(fresh)),
    ...fresh.turns.flatMap((turn) => different({ turn: turns.get(turn.turnId) ?? null }, { turn }))
  ]
}

const different = <A extends object>(mine: A, truth: A): ReadonlyArray<string> => {
  const mines = new Map(Object.entries(mine))
  return Object.entries(truth)
    .filter(([what, other]) => !isDeepStrictEqual(mines.get(what), other))
    .map(
      ([what, other]) => `${what} is ${JSON.stringify(mines.get(what))} instead of ${JSON.stringify(other)}`
    )
}
