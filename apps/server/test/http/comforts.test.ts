/** The log that stays small, and the browser that opens only where somebody sits before it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openerOf } from "../../src/cli/openBrowser.ts"
import { openRotated } from "../../src/cli/RotatedFile.ts"

let directory = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "turnkeeper-log-"))
})
afterEach(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))

describe("a rotated file", () => {
  const bounds = { bytesMax: 100, files: 3 }

  it("keeps the newest words in order, in so many files of such a size", () => {
    const file = join(directory, "logs", "server.log")
    const log = openRotated(file, bounds)
    for (let n = 0; n < 200; n++) log.write(`line ${n}\n`)
    const names = readdirSync(join(directory, "logs")).toSorted()
    expect(names).toEqual(["server.log", "server.log.1", "server.log.2"])
    for (const name of names) expect(statSync(join(directory, "logs", name)).size).toBeLessThanOrEqual(100)
    const kept = ["server.log.2", "server.log.1", "server.log"]
      .map((name) => readFileSync(join(directory, "logs", name), "utf8"))
      .join("")
    const lines = kept.trim().split("\n")
    expect(lines.at(-1)).toBe("line 199")
    expect(lines).toEqual(lines.map((_, index) => `line ${200 - lines.length + index}`))
  })

  it("goes on where an earlier process left it", () => {
    const file = join(directory, "server.log")
    openRotated(file, bounds).write("x".repeat(95))
    openRotated(file, bounds).write("0123456789")
    expect(readFileSync(file, "utf8")).toBe("0123456789")
    expect(readFileSync(`${file}.1`, "utf8")).toBe("x".repeat(95))
  })

  it("cuts what is larger than a file, and never fails", () => {
    const file = join(directory, "server.log")
    openRotated(file, bounds).write("y".repeat(1_000))
    expect(statSync(file).size).toBe(100)
    writeFileSync(join(directory, "occupied"), "")
    openRotated(join(directory, "occupied", "server.log"), bounds).write("nowhere to go")
  })

  it("does not grow without end when it cannot be moved away", () => {
    const file = join(directory, "server.log")
    const log = openRotated(file, { bytesMax: 100, files: 2 })
    mkdirSync(join(`${file}.1`, "in the way"), { recursive: true })
    for (let n = 0; n < 50; n++) log.write(`line ${n}\n`)
    expect(statSync(file).size).toBeLessThanOrEqual(100)
  })
})

describe("the browser", () => {
  const url = "http://127.0.0.1:4317/pair#code"
  const at = (platform: NodeJS.Platform, env: Record<string, string> = {}, isTerminal = true) =>
    openerOf(url, { platform, env, isTerminal })

  it("opens on a desktop", () => {
    expect(at("darwin")).toEqual({ command: "open", args: [url] })
    expect(at("win32")?.args.at(-1)).toBe(url)
    expect(at("linux", { DISPLAY: ":0" })).toEqual({ command: "xdg-open", args: [url] })
    expect(at("linux", { WAYLAND_DISPLAY: "wayland-0" })?.command).toBe("xdg-open")
  })

  it("stays shut where nobody sees it or somebody said so", () => {
    expect(at("linux")).toBeNull()
    expect(at("linux", { DISPLAY: "" })).toBeNull()
    expect(at("darwin", {}, false)).toBeNull()
    for (const name of ["TURNKEEPER_NO_OPEN", "CI", "SSH_CONNECTION"]) {
      expect(at("darwin", { [name]: "1" })).toBeNull()
    }
  })
})
