/**
 * The main views, in light and dark: readable for everybody as far as a program can tell, and pictures of them
 * for the documentation when TURNKEEPER_SCREENSHOTS names a directory.
 */
import axe from "axe-core"
import type { Browser, Page } from "playwright-core"
import { join } from "node:path"
import type { ViteDevServer } from "vite"
import { createServer } from "vite"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { enabled, launch, openPage, openWorld, patience, say } from "./rig.ts"
import type { World } from "./rig.ts"

const shots = process.env["TURNKEEPER_SCREENSHOTS"]

/** Of the gallery, whose rows are made: the thread, what has to be there before one looks, and whether its picture is kept. */
const made: ReadonlyArray<{ readonly thread: string; readonly shows: string; readonly kept?: true }> = [
  { thread: "work", kept: true, shows: ".turn-end-completed" },
  { thread: "waiting", kept: true, shows: ".request" },
  { thread: "queue", kept: true, shows: ".queued" },
  { thread: "reconnecting", shows: ".session-reconnecting" },
  { thread: "stopping", shows: ".session-stopping .button-danger" },
  { thread: "quiet", shows: ".session-quiet" },
  { thread: "failed", kept: true, shows: ".turn-end-error" },
  { thread: "doubtful", shows: ".turn-end-doubtful" },
  { thread: "refused", shows: ".prompt-stuck" }
]

describe.skipIf(!enabled)("the views", { timeout: 90_000 }, () => {
  let browser: Browser
  let world: World
  let vite: ViteDevServer

  beforeAll(async () => {
    browser = await launch()
    world = await openWorld(browser)
    vite = await createServer({
      root: join(import.meta.dirname, "../.."),
      server: { port: 0, host: "127.0.0.1", hmr: false, watch: null },
      logLevel: "error"
    })
    await vite.listen()
  }, 60_000)
  afterAll(async () => {
    await vite?.close()
    await world?.dispose()
    await browser?.close()
  })

  const settled = (page: Page) => page.evaluate(() => document.fonts.ready.then(() => undefined))
  const picture = async (page: Page, name: string) => {
    if (shots !== undefined)
      await page.screenshot({ path: join(shots, `${name}.png`), animations: "disabled" })
  }

  for (const look of ["light", "dark"] as const) {
    it(`of a server have no serious fault, ${look}`, async () => {
      const context = await world.visitor({ colorScheme: look, reducedMotion: "reduce" })
      const { page } = await openPage(world, context)
      await page.getByRole("region", { name: "Examples" }).waitFor()
      await settled(page)
      expect(await faults(page)).toEqual([])
      await picture(page, `new-thread-${look}`)

      await say(page, "[[shell:ls -l]] [[ask:git push --force]]")
      await page.locator(".request").waitFor()
      expect(await faults(page)).toEqual([])
      await page.getByRole("button", { name: "No", exact: true }).click()
      await page.locator(".turn-end-completed").waitFor()
      await page.getByRole("button", { name: /ls -l/ }).click()
      expect(await faults(page)).toEqual([])

      await page.keyboard.press("Control+k")
      await page.getByPlaceholder("Search threads, messages and commands…").waitFor()
      expect(await faults(page)).toEqual([])
      await picture(page, `palette-${look}`)
      await page.getByPlaceholder("Search threads, messages and commands…").fill("push")
      await page.getByText("Messages", { exact: true }).waitFor()
      expect(await faults(page)).toEqual([])
      await page.keyboard.press("Escape")

      await page.getByRole("button", { name: "Add project" }).click()
      await page.getByRole("dialog", { name: "Add a project" }).waitFor()
      expect(await faults(page)).toEqual([])
      await page.keyboard.press("Escape")
      await page.getByRole("dialog").waitFor({ state: "detached" })

      await page.getByRole("button", { name: /^How freely/ }).click()
      await page.getByRole("menuitemradio").first().waitFor()
      expect(await faults(page)).toEqual([])
      await context.clearCookies()
      await page.goto(`${world.server().url}/?out`)
      await page.getByRole("heading", { name: "Sign in to Turnkeeper" }).waitFor()
      expect(await faults(page)).toEqual([])
    })

    it(`of made rows have no serious fault, ${look}`, async () => {
      const context = await browser.newContext({
        colorScheme: look,
        reducedMotion: "reduce",
        viewport: { width: 1280, height: 860 }
      })
      context.setDefaultTimeout(patience)
      const page = await context.newPage()
      const found: Record<string, unknown> = {}
      for (const { thread, shows, kept } of made) {
        await page.goto(`${vite.resolvedUrls?.local[0] ?? ""}gallery.html#/thread/${thread}`)
        await page.locator(shows).first().waitFor()
        await settled(page)
        found[thread] = await faults(page)
        if (kept) await picture(page, `${thread}-${look}`)
      }
      await context.close()
      expect(found).toEqual(Object.fromEntries(made.map(({ thread }) => [thread, []])))
    })
  }

  it("are held against something that finds faults", async () => {
    const context = await world.visitor()
    const { page } = await openPage(world, context)
    await page.getByRole("region", { name: "Examples" }).waitFor()
    await page.evaluate(() => document.querySelector(".composer textarea")?.removeAttribute("aria-label"))
    await page.evaluate(() => document.querySelector(".composer textarea")?.removeAttribute("placeholder"))
    expect(await faults(page)).toContainEqual(expect.stringMatching(/^label:.*textarea/))
    await context.close()
  })

  it("of a narrow screen reach the list by its button", async () => {
    const context = await world.visitor({ viewport: { width: 400, height: 800 } })
    const { page } = await openPage(world, context)
    await page.getByRole("button", { name: "Threads" }).click()
    await page.getByRole("link", { name: "New thread", exact: true }).waitFor()
    expect(await faults(page)).toEqual([])
    await context.close()
  })
})

/** What axe calls serious or critical, in a few words each. */
const faults = async (page: Page): Promise<ReadonlyArray<string>> => {
  await page.evaluate(axe.source)
  const { violations } = (await page.evaluate(
    "axe.run(document, { resultTypes: ['violations'] })"
  )) as axe.AxeResults
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.slice(0, 3).map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`)
    )
}
