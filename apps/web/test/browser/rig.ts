/**
 * A real server with the built web client, and a real browser before it.
 *
 * Each world has its own data directory and its own server process; each visitor its own cookies and storage.
 */
import type { ProviderConfig, RunningServer } from "@turnkeeper/testkit/process/Server"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { authPaths, ownHeader } from "@turnkeeper/contracts/Access"
import { findChromium } from "./chromium.ts"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chromium } from "playwright-core"
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core"

/** Set by `npm run test:browser`, which builds the client and finds a browser first. */
export const enabled = process.env["TURNKEEPER_BROWSER"] !== undefined

const launchArguments = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage"
]

/** Waits for everything that a page does; far beyond what any of it takes. */
export const patience = 20_000

export interface World {
  readonly server: () => RunningServer
  /** A signed-in browser of its own: own cookies, own storage. */
  readonly visitor: (options?: BrowserContextOptions) => Promise<BrowserContext>
  readonly link: () => Promise<string>
  /** Kills the server and starts it again on its data, at the same address. */
  readonly killAndRestart: (between?: () => Promise<void>) => Promise<void>
  readonly dispose: () => Promise<void>
}

export const launch = (): Promise<Browser> => {
  const executablePath = findChromium()
  if (executablePath === null) throw new Error("No Chromium is installed.")
  return chromium.launch({ executablePath, headless: true, args: launchArguments })
}

export interface WorldOptions {
  readonly tickMs?: number
  /** With an agent that never answers, to begin with. */
  readonly mute?: boolean
  readonly providers?: ReadonlyArray<ProviderConfig>
}

const mute: ProviderConfig = {
  id: "mute",
  kind: "acp",
  command: process.execPath,
  args: ["-e", "process.stdin.resume()"]
}

export const openWorld = async (browser: Browser, options: WorldOptions = {}): Promise<World> => {
  const directory = await mkdtemp(join(tmpdir(), "turnkeeper-web-"))
  const providers = options.providers ?? [
    {
      id: "scripted",
      kind: "scripted" as const,
      recordDirectory: join(directory, "record"),
      tickMs: options.tickMs ?? 15
    },
    ...(options.mute === true ? [mute] : [])
  ]
  let server = await startServer({ directory, providers })
  const port = Number(new URL(server.url).port)
  const contexts: Array<BrowserContext> = []

  const link = async () => {
    const response = await fetch(new URL(authPaths.links, server.url), {
      method: "POST",
      headers: {
        authorization: `Bearer ${await server.token()}`,
        "content-type": "application/json",
        [ownHeader]: "1"
      },
      body: JSON.stringify({ scope: "operate" })
    })
    const { url } = (await response.json()) as { readonly url: string }
    return url
  }
  return {
    server: () => server,
    link,
    visitor: async (contextOptions = {}) => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...contextOptions })
      contexts.push(context)
      context.setDefaultTimeout(patience)
      const page = await context.newPage()
      await page.goto(await link())
      await page.getByRole("heading", { name: "What should be done?" }).waitFor()
      await page.close()
      return context
    },
    killAndRestart: async (between) => {
      await server.kill()
      await between?.()
      await server.dispose()
      server = await startServer({ directory, providers, port })
    },
    dispose: async () => {
      await Promise.all(contexts.map((context) => context.close()))
      await server.dispose()
      await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

/** A page of the app, at the place that the hash names. Everything it complains of is kept. */
export const openPage = async (world: World, context: BrowserContext, hash = "#/") => {
  const page = await context.newPage()
  const complaints: Array<string> = []
  page.on("pageerror", (error) => complaints.push(String(error)))
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text())
  })
  await page.goto(`${world.server().url}/${hash}`)
  return { page, complaints }
}

export const composer = (page: Page) => page.locator(".composer textarea")

/** Writes a message and sends it by the keyboard, as one does. */
export const say = async (page: Page, text: string) => {
  await composer(page).fill(text)
  await composer(page).press("Enter")
}

export const threadIdOf = (page: Page): string =>
  decodeURIComponent(new URL(page.url()).hash.replace("#/thread/", ""))
