/** The page while the connection, the page itself, the server or another page gets in between. */
import { openView } from "@turnkeeper/testkit/View"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { openNetwork } from "./proxy.ts"
import type { Network } from "./proxy.ts"
import { composer, enabled, launch, openPage, openWorld, say, threadIdOf } from "./rig.ts"
import type { World } from "./rig.ts"

describe.skipIf(!enabled)("the web client, when something gets in between", { timeout: 90_000 }, () => {
  let browser: Browser
  let world: World
  let context: BrowserContext
  let network: Network

  beforeAll(async () => {
    browser = await launch()
    world = await openWorld(browser)
    network = await openNetwork()
    // Chromium leaves a proxy out for this machine, unless it is told not to.
    context = await world.visitor({ proxy: { server: network.url, bypass: "<-loopback>" } })
  }, 60_000)
  afterEach(() => network?.mend())
  afterAll(async () => {
    await world?.dispose()
    await network?.close()
    await browser?.close()
  })

  const begin = async (text: string) => {
    const { page } = await openPage(world, context)
    await say(page, text)
    await page.locator(".thread-page").waitFor()
    return page
  }

  const live = (page: Page) => expect.poll(() => page.locator(".side-words").innerText()).toBe("Live")

  /** Prompts and answers as the page shows them, from top to bottom. */
  const shown = (page: Page) =>
    page
      .locator(".prompt-text, .answer .markdown")
      .evaluateAll((elements) => elements.map((element) => (element.textContent ?? "").trim()))
  /** The same as the server's tables say. */
  const stored = async (threadId: string) => {
    const client = await world.server().connect()
    const view = await openView(client, threadId, { tail: 500 })
    const texts = view.entries
      .filter((entry) => entry.kind === "user" || entry.kind === "assistant")
      .map((entry) => entry.text.trim())
    const states = [...view.turns.values()].map((turn) => turn.state)
    await view.close()
    await client.close()
    return { texts, states }
  }

  it("a reload in the middle of an answer goes on where the answer is", async () => {
    const page = await begin("[[slow:150]]")
    await page.getByText("w10 ").first().waitFor()
    await page.reload()
    await page.locator(".answer-open").waitFor()
    await page.locator(".turn-end-completed").waitFor()
    expect(await shown(page)).toEqual((await stored(threadIdOf(page))).texts)
    expect(await page.locator(".answer").count()).toBe(1)
    await page.close()
  })

  it("what is typed survives a reload, for each thread by itself", async () => {
    const page = await begin("One")
    await composer(page).fill("typed in one")
    const one = page.url()
    await page.goto(`${world.server().url}/#/`)
    await page.getByRole("heading", { name: "What should be done?" }).waitFor()
    expect(await composer(page).inputValue()).toBe("")
    await page.goto(one)
    await page.reload()
    await expect.poll(() => composer(page).inputValue()).toBe("typed in one")
    await page.close()
  })

  it("a cut network is told, what is written meanwhile is kept, and it is sent once when it is back", async () => {
    const page = await begin("[[slow:100]]")
    await page.locator(".answer-open").waitFor()
    network.cut()
    const bar = page.getByTestId("connection")
    await bar.getByText(/^Offline: trying again/).waitFor()
    await bar.getByText(/This page is as of \d/).waitFor()
    await page
      .getByTestId("session-words")
      .getByText(/^Working · \d+ s \(as of /)
      .waitFor()
    await say(page, "written while away")
    await page.getByText("kept: it is sent when the connection is back").waitFor()
    network.mend()
    // One of the tries may have used the button up already.
    await bar
      .getByRole("button", { name: "Try now" })
      .click({ timeout: 2_000 })
      .catch(() => {})
    await live(page)
    await bar.waitFor({ state: "detached" })
    await page.getByText("You said: “written while away”").waitFor()
    await expect.poll(() => page.locator(".turn-end-completed").count()).toBe(2)
    await expect.poll(() => page.locator(".answer-open").count()).toBe(0)
    const { texts } = await stored(threadIdOf(page))
    expect(texts.filter((text) => text === "written while away")).toHaveLength(1)
    // The tables have it where it was written, in the middle of the first turn; the page where its turn begins.
    const [first, second, answer, secondAnswer] = texts
    expect(await shown(page)).toEqual(
      second === "written while away" ? [first, answer, second, secondAnswer] : texts
    )
    await page.close()
  })

  it("a message that was written offline survives a reload and is sent once", async () => {
    const page = await begin("Before")
    await page.locator(".turn-end-completed").waitFor()
    network.cut()
    await page.getByTestId("connection").waitFor()
    await say(page, "kept through a reload")
    await page.getByText("kept: it is sent when the connection is back").waitFor()
    network.mend()
    await page.reload()
    await page.getByText("You said: “kept through a reload”").waitFor()
    const { texts } = await stored(threadIdOf(page))
    expect(texts.filter((text) => text === "kept through a reload")).toHaveLength(1)
    await page.close()
  })

  it("a killed server is told, and the page comes back by itself with exactly what the tables say", async () => {
    const page = await begin("[[slow:5000]]")
    await page.getByText("w10 ").first().waitFor()
    await world.killAndRestart(async () => {
      await page.getByTestId("connection").waitFor()
      // What was there stays to be read.
      await page.getByText("w10 ").first().waitFor()
    })
    await live(page)
    await page.locator(".turn-end-interrupted").waitFor()
    const { texts, states } = await stored(threadIdOf(page))
    await expect.poll(() => shown(page)).toEqual(texts)
    expect(states).toEqual(["interrupted"])
    expect(await page.locator(".answer-open").count()).toBe(0)
    await page.close()
  })

  it("a restart of the server makes nothing that was read unread", async () => {
    const page = await begin("read before the restart")
    await page.locator(".turn-end-completed").waitFor()
    const before = await page.locator(".thread-page").getAttribute("data-version")
    await world.killAndRestart()
    await live(page)
    // The session that was at rest has ended with the server: that is told, and is no news.
    await expect.poll(() => page.locator(".thread-page").getAttribute("data-version")).not.toBe(before)
    await page.goto(`${world.server().url}/#/`)
    await page.reload()
    await live(page)
    const line = page.locator(".thread-line", { hasText: "read before the restart" })
    await line.getByText("Ready").waitFor({ state: "attached" })
    await page.close()
  })

  it("two pages show the same, and an approval that is answered in one goes away in the other", async () => {
    const page = await begin("[[ask:npm publish]]")
    await page.locator(".request").waitFor()
    const { page: other } = await openPage(world, context, `#/thread/${encodeURIComponent(threadIdOf(page))}`)
    await other.locator(".request").waitFor()
    await page.getByRole("button", { name: "Yes", exact: true }).click()
    await other.locator(".request").waitFor({ state: "detached" })
    await other.getByText(/^Answered by (Chrome|Firefox|Safari).* with “Yes”: npm publish$/).waitFor()
    await other.locator(".turn-end-completed").waitFor()
    await say(other, "from the other page")
    await expect.poll(() => page.locator(".turn-end-completed").count()).toBe(2)
    await expect.poll(() => other.locator(".turn-end-completed").count()).toBe(2)
    expect(await shown(page)).toEqual(await shown(other))
    await page.close()
    await other.close()
  })
})
