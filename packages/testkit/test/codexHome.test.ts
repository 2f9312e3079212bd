import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { codex, installedBinary } from "../../../scripts/providers.ts"
import { writeCodexHome } from "../src/codexHome.ts"

let directory = ""
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "codex-home-"))
})
afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))

it("points Codex at the fake model, without a key, and asks for approvals", async () => {
  const home = await writeCodexHome(join(directory, "home"), { modelUrl: "http://127.0.0.1:1234" })
  const config = await readFile(join(home.directory, "config.toml"), "utf8")
  expect(config).toContain('base_url = "http://127.0.0.1:1234/v1"')
  expect(config).toContain("requires_openai_auth = false")
  expect(config).toContain('approval_policy = "on-request"')
  expect(config).toContain('sandbox_mode = "workspace-write"')
  expect(home.env).toMatchObject({ CODEX_HOME: home.directory })
})

it("points an old home at another model and keeps the conversations in it", async () => {
  await writeFile(join(directory, "conversation"), "kept")
  await writeCodexHome(directory, { modelUrl: "http://127.0.0.1:1" })
  await writeCodexHome(directory, { modelUrl: "http://127.0.0.1:2", streamRetries: 2 })
  const config = await readFile(join(directory, "config.toml"), "utf8")
  expect(config).toContain('base_url = "http://127.0.0.1:2/v1"')
  expect(config).toContain("stream_max_retries = 2")
  expect(await readFile(join(directory, "conversation"), "utf8")).toBe("kept")
})

it("finds no program of a version that is not installed", () => {
  expect(installedBinary({ ...codex, version: "0.0.0" })).toBeNull()
})
