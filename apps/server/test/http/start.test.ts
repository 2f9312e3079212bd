/** `npm start` as a newcomer meets it: what it prints works, and a second one is told of the first. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"

const script = join(import.meta.dirname, "../../../../scripts/start.ts")
const children = new Set<ChildProcess>()
let home = ""

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "turnkeeper-start-"))
})
afterEach(async () => {
  for (const child of children) {
    const closed = new Promise((resolve) => child.once("close", resolve))
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await closed
  }
  children.clear()
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

/** Not a desktop, whatever this machine is; only the scripted provider is found. */
const start = () => {
  const child = spawn(process.execPath, [script, "--no-open"], {
    env: { PATH: "", HOME: home, TURNKEEPER_HOME: join(home, "data") },
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  let said = ""
  let news = () => {}
  const hear = (chunk: Buffer) => {
    said += chunk.toString()
    news()
  }
  child.stdout.on("data", hear)
  child.stderr.on("data", hear)
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
  const says = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      news = () => {
        const found = pattern.exec(said)
        if (found !== null) resolve(found[0])
      }
      void ended.then((code) => reject(new Error(`It ended with ${code}: ${said}`)))
      news()
    })
  return { child, ended, says, said: () => said }
}

it("the link it prints signs a browser in, and Ctrl-C ends it in order", { timeout: 120_000 }, async () => {
  const first = start()
  const { origin, pathname, hash } = new URL(await first.says(/http\S+#\S+/))
  expect(pathname).toBe("/pair")
  const paired = await fetch(`${origin}/auth/pair`, {
    method: "POST",
    headers: { origin },
    body: JSON.stringify({ code: hash.slice(1) })
  })
  expect(await paired.json()).toMatchObject({ signedIn: true, scopes: ["read", "operate"] })

  const second = start()
  expect(await second.ended).toBe(3)
  expect(second.said()).toContain(origin)
  expect(second.said()).toContain("pair")

  await first.says(/Ctrl-C stops the server/)
  first.child.kill("SIGINT")
  expect(await first.ended).toBe(0)
  expect(first.said()).toContain("Stopped.")
})
