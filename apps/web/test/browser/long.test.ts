/** A thread of ten thousand items in a real browser. */
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { connect } from "@turnkeeper/testkit/jsonrpc/Client"
import { openView } from "@turnkeeper/testkit/View"
import { enabled, launch, openPage, openWorld } from "./rig.ts"
import type { World } from "./rig.ts"

const turns = 20
const commandsInTurn = 500
/** Rows in the document at any time: those on the screen, and a few above and below. */
const rowsMax = 80

describe.skipIf(!enabled)("a thread of 10,000 items", { timeout: 240_000 }, () => {
  let browser: Browser
  let world: World

  beforeAll(async () => {
    browser = await launch()
    world = await openWorld(browser, { tickMs: 0 })
    await fill(world)
  }, 240_000)
  afterAll(async () => {
    await world?.dispose()
    await browser?.close()
  })

  const rowsIn = (page: Page) => page.locator(".timeline-row").count()

  it("opens at its end, is read to its beginning with few rows in the document, and comes back at once", async () => {
    const context = await world.visitor()
    const { page, complaints } = await openPage(world, context, "#/thread/long")
    const timeline = page.locator(".timeline")
    await page.locator(".turn-end-completed").last().waitFor()
    await expect.poll(() => distanceFromEnd(page)).toBeLessThan(100)

    let most = await rowsIn(page)
    const first = page.locator(".prompt", { hasText: "turn 0 begins" })
    // Each look asks for the page above; the last one has nothing above.
    while ((await first.count()) === 0) {
      const before = await page.locator(".timeline-rows").evaluate((rows) => rows.scrollHeight)
      await timeline.evaluate((element) => element.scrollTo(0, 0))
      await expect
        .poll(async () => {
          const grown = await page.locator(".timeline-rows").evaluate((rows) => rows.scrollHeight)
          return grown !== before || (await first.count()) > 0
        })
        .toBe(true)
      most = Math.max(most, await rowsIn(page))
    }
    expect(most).toBeLessThan(rowsMax)

    await page.getByRole("button", { name: "Jump to newest" }).click()
    await page.locator(".prompt", { hasText: `turn ${turns - 1} begins` }).waitFor({ state: "detached" })
    await expect.poll(() => distanceFromEnd(page)).toBeLessThan(100)
    expect(await rowsIn(page)).toBeLessThan(rowsMax)
    expect(complaints).toEqual([])
    await context.close()
  })

  it("goes to a message far back by its place, and shows how the turn before it ended", async () => {
    const client = await world.server().connect()
    const query = { query: "turn 3 begins", threadId: "long", limit: 5 }
    const { hits } = (await client.call("orchestration.search", query)) as {
      readonly hits: ReadonlyArray<{ readonly position: number }>
    }
    await client.close()
    expect(hits).toHaveLength(1)
    const context = await world.visitor()
    const { page, complaints } = await openPage(world, context, `#/thread/long/${hits[0]!.position}`)
    const found = page.locator(".timeline-row[aria-current=true]")
    await found.filter({ hasText: "turn 3 begins" }).waitFor({ timeout: 60_000 })
    await page.locator(".turn-end-completed").first().waitFor()
    expect(await rowsIn(page)).toBeLessThan(rowsMax)
    // It stays there while one reads.
    const reading = await topRow(page)
    await expect.poll(() => distanceFromEnd(page)).toBeGreaterThan(1_000)
    expect((await topRow(page)).row).toBe(reading.row)
    await page.getByRole("button", { name: "Jump to newest" }).click()
    await expect.poll(() => distanceFromEnd(page)).toBeLessThan(100)
    expect(complaints).toEqual([])
    await context.close()
  })

  it("does not move what one reads when older messages come above it", async () => {
    const context = await world.visitor()
    const { page } = await openPage(world, context, "#/thread/long")
    await page.locator(".turn-end-completed").last().waitFor()
    await expect.poll(() => distanceFromEnd(page)).toBeLessThan(100)
    const height = () => page.locator(".timeline-rows").evaluate((rows) => rows.scrollHeight)
    const before = await height()
    await page.locator(".timeline").evaluate((element) => element.scrollTo(0, 500))
    const reading = await topRow(page)
    await expect.poll(height).toBeGreaterThan(before + 1_000)
    expect((await topRow(page)).row).toBe(reading.row)
    await context.close()
  })

  it("stays where one reads while an answer streams, and follows it when one is at the end", async () => {
    const context = await world.visitor()
    const { page } = await openPage(world, context, "#/thread/long")
    await page.locator(".turn-end-completed").last().waitFor()
    await expect.poll(() => distanceFromEnd(page)).toBeLessThan(100)

    await page.locator(".composer textarea").fill("[[flood:2000]]")
    await page.keyboard.press("Enter")
    await page.getByText("w1999").last().waitFor()
    await expect.poll(() => distanceFromEnd(page)).toBeLessThan(100)

    await page.locator(".timeline").evaluate((element) => element.scrollBy(0, -2_000))
    await page.getByRole("button", { name: "Jump to newest" }).waitFor()
    const client = await world.server().connect()
    const reading = await topRow(page)
    const view = await openView(client, "long", { tail: 1 })
    await start(client, "more", "[[flood:500]]")
    await view.settled("more")
    await expect
      .poll(() => page.locator(".thread-page").getAttribute("data-version"))
      .toBe(String(view.version))
    expect(await topRow(page)).toEqual(reading)
    await client.close()
    await context.close()
  })
})

const distanceFromEnd = (page: Page) =>
  page
    .locator(".timeline")
    .evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight)

/** What stands at the upper edge of what is seen, and how far below the edge. */
const topRow = (page: Page) =>
  page.locator(".timeline").evaluate((element) => {
    const edge = element.getBoundingClientRect().top
    const rows = [...element.querySelectorAll<HTMLElement>(".timeline-row")]
    const row = rows
      .filter((one) => one.getBoundingClientRect().bottom > edge + 1)
      .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0]
    return { row: row?.dataset["row"], at: Math.round((row?.getBoundingClientRect().top ?? 0) - edge) }
  })

type Client = Awaited<ReturnType<typeof connect>>

const dispatch = (client: Client, command: Record<string, unknown>) =>
  client.call("orchestration.dispatch", { command })

const start = (client: Client, turnId: string, text: string, more: Record<string, unknown> = {}) =>
  dispatch(client, {
    type: "thread.turn.start",
    commandId: `c-${turnId}`,
    threadId: "long",
    turnId,
    messageId: `m-${turnId}`,
    text,
    ...more
  })

/** By real turns, one behind the other. */
const fill = async (world: World) => {
  const client = await world.server().connect()
  await dispatch(client, {
    type: "project.create",
    commandId: "c-p",
    projectId: "p",
    title: "Long",
    directory: world.server().dataDirectory
  })
  const commands = "[[shell:true]]".repeat(commandsInTurn)
  for (let turn = 0; turn < turns; turn += 1) {
    const created = { createThread: { projectId: "p", title: "Long", provider: "scripted" } }
    await start(client, `t-${turn}`, `turn ${turn} begins ${commands}`, turn === 0 ? created : {})
  }
  const view = await openView(client, "long", { tail: 1 })
  await view.settled(`t-${turns - 1}`, 180_000)
  await client.close()
}
