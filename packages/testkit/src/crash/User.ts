/**
 * One user at work: begins threads, writes follow-ups while the agent is busy, steers, interrupts, answers
 * what the agent asks. Goes on over every crash of the server, and remembers what it was promised.
 */
import { setTimeout } from "node:timers/promises"
import { marked, newId } from "../Chat.ts"
import type { Sendable } from "../Chat.ts"
import { slowText } from "../fakeModel/script.ts"
import { JsonRpcError } from "../jsonrpc/Client.ts"
import { View } from "../View.ts"
import type { Request } from "../View.ts"
import { RunOver } from "./Link.ts"
import type { Link } from "./Link.ts"
import type { Random } from "./random.ts"

/** A message whose acknowledgement the user has. */
export interface Promised {
  readonly threadId: string
  readonly turnId: string
  readonly text: string
  /** Whether this is the whole answer, if the turn completes and nobody steered it. */
  readonly isWhole: (answer: string) => boolean
}

export interface UserOptions {
  readonly link: Link
  readonly random: Random
  readonly projectId: string
  readonly provider: string
  /** Stops the session of a thread that it leaves. */
  readonly tidies?: boolean
}

/** Turns that may be open in a thread before the user waits, and messages before it begins another one. */
const limits = { openTurns: 3, messages: 10 } as const

/** Refusals that come about when the agent is faster than the user. */
const lateTags: ReadonlySet<string | null> = new Set(["NothingToInterrupt", "RequestNotOpen"])

export class User {
  readonly promised: Array<Promised> = []
  /** Every thread as this user saw it, over all crashes. */
  readonly views: Array<View> = []
  /** What the server refused although it should not have. */
  readonly complaints: Array<string> = []
  private readonly options: UserOptions
  private readonly waiting = new Set<() => void>()
  private readonly left = new WeakSet<View>()
  private over = false

  constructor(options: UserOptions) {
    this.options = options
  }

  /** Works until told to end, or until the link ends. */
  async work(): Promise<void> {
    try {
      while (!this.over) await this.thread()
    } catch (error) {
      if (!(error instanceof RunOver)) throw error
    }
  }

  end() {
    this.over = true
    for (const check of this.waiting) check()
  }

  private async thread() {
    const { random } = this.options
    const view = new View(newId("thread"))
    if (!(await this.say(view, true))) return
    this.views.push(view)
    const following = this.follow(view)
    for (let message = 1; message < limits.messages && !this.over; message++) {
      await setTimeout(random.between(0, 120))
      await this.until(view, () => openTurns(view) < limits.openTurns)
      if (this.over) break
      await this.say(view, false)
      if (random.chance(0.15)) await this.attempt({ type: "thread.turn.interrupt", threadId: view.threadId })
    }
    await this.until(view, () => openTurns(view) === 0)
    this.left.add(view)
    await view.close()
    await following
    if (this.options.tidies === true)
      await this.attempt({ type: "thread.session.stop", threadId: view.threadId })
  }

  /** Keeps the view attached over every crash and answers what is asked, until the user leaves the thread. */
  private async follow(view: View) {
    const { link } = this.options
    const asked = new Set<string>()
    const stop = view.watch(() => {
      for (const request of view.openRequests()) {
        if (asked.has(request.requestId)) continue
        asked.add(request.requestId)
        this.answer(view.threadId, request).catch(() => {})
      }
    })
    try {
      for (;;) {
        const client = await link.client()
        if (this.left.has(view)) return
        try {
          await view.attach(client)
          if (this.left.has(view)) await view.close()
          await new Promise<void>((resolve) => {
            const check = () => {
              if (view.ended === null) return
              unwatch()
              resolve()
            }
            const unwatch = view.watch(check)
            check()
          })
        } catch (error) {
          if (client.isOpen() && !this.left.has(view))
            this.complaints.push(`${view.threadId}: ${wordsOf(error)}`)
        }
        if (client.isOpen() || this.over) return
        await client.closed
      }
    } catch (error) {
      if (!(error instanceof RunOver)) throw error
    } finally {
      stop()
    }
  }

  private async say(view: View, isFirst: boolean): Promise<boolean> {
    const { projectId, provider, random } = this.options
    const { threadId } = view
    const turnId = newId("turn")
    const { isWhole, text } = this.wording()
    const delivery = random.chance(0.2) ? random.pick(["steer", "interrupt"] as const) : "queue"
    const accepted = await this.attempt({
      type: "thread.turn.start",
      threadId,
      turnId,
      messageId: newId("message"),
      text: marked(text, turnId),
      delivery,
      ...(isFirst && {
        createThread: { projectId, provider, title: text, runtimeMode: "approval_required" }
      })
    })
    if (accepted) this.promised.push({ threadId, turnId, text, isWhole })
    return accepted
  }

  private wording(): Pick<Promised, "text" | "isWhole"> {
    const { random } = this.options
    const word = `said ${random.between(1, 1_000_000)}`
    const exactly = (answer: string) => answer === word
    switch (random.between(0, 9)) {
      case 0:
      case 1:
      case 2:
        return { text: `[[text:${word}]]`, isWhole: exactly }
      case 3:
        return { text: "[[shell:echo shell]]", isWhole: something }
      case 4:
        return { text: "[[ask:echo asked]]", isWhole: something }
      case 5:
        return { text: "[[drop:1]]", isWhole: something }
      case 6:
        return random.chance(0.3)
          ? { text: "[[http:400]]", isWhole: something }
          : { text: `[[think:so]] [[text:${word}]]`, isWhole: exactly }
      default: {
        const words = random.between(5, 40)
        return {
          text: `[[slow:${words}]]`,
          isWhole: (answer) => countWords(answer) === countWords(slowText(words))
        }
      }
    }
  }

  private async answer(threadId: string, { decisions, requestId }: Request) {
    const wanted = this.options.random.chance(0.8) ? "accept" : "decline"
    const decision = decisions.find((one) => one === wanted) ?? decisions[0]
    if (decision === undefined) return
    await this.attempt({
      type: "thread.request.answer",
      threadId,
      requestId,
      decision: decision as "accept"
    })
  }

  /** True once it is acknowledged; a refusal that should not be is a complaint. */
  private async attempt(command: Sendable): Promise<boolean> {
    try {
      await this.options.link.send(command)
      return true
    } catch (error) {
      if (!(error instanceof JsonRpcError)) throw error
      if (!lateTags.has(error.tag)) this.complaints.push(`${command.type} was refused: ${wordsOf(error)}`)
      return false
    }
  }

  /** Resolves when the predicate holds, over any number of crashes, or when the user is told to end. */
  private until(view: View, predicate: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!this.over && !predicate()) return
        unwatch()
        this.waiting.delete(check)
        resolve()
      }
      const unwatch = view.watch(check)
      this.waiting.add(check)
      check()
    })
  }
}

const something = (answer: string) => answer.length > 0

const openTurns = (view: View) => [...view.turns.keys()].filter((turnId) => !view.isSettled(turnId)).length

const countWords = (text: string) => text.trim().split(/\s+/).length

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
