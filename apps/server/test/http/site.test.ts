/** The files of the web client, as a browser gets them and as nobody gets anything else. */
import { expect, layer } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brotliCompressSync, brotliDecompressSync } from "node:zlib"
import { afterAll } from "vitest"
import { bearer, server } from "../rpc/harness.ts"
import { ask } from "./harness.ts"

const root = mkdtempSync(join(tmpdir(), "turnkeeper-site-"))
const site = join(root, "dist")
const page = "<!doctype html><title>Turnkeeper</title>"
const script = "export const answer = 42\n".repeat(100)
const secret = "not for the world"

mkdirSync(join(site, "assets"), { recursive: true })
mkdirSync(join(site, ".vite"))
writeFileSync(join(site, "index.html"), page)
writeFileSync(join(site, "icon.svg"), "<svg/>")
writeFileSync(join(site, "assets/main-1a2b.js"), script)
writeFileSync(join(site, "assets/main-1a2b.js.br"), brotliCompressSync(script))
writeFileSync(join(site, ".vite/manifest.json"), secret)
writeFileSync(join(root, "secret.txt"), secret)
symlinkSync(join(root, "secret.txt"), join(site, "link.txt"))
symlinkSync(root, join(site, "up"))
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }))

const html = { accept: "text/html,application/xhtml+xml" }

layer(server({ site }))("the web client's files", (it) => {
  it.effect(
    "are there without a credential, each with its type, and the page is asked for anew each time",
    () =>
      Effect.gen(function* () {
        const index = yield* ask("GET", "/", { headers: html })
        expect(index).toMatchObject({ status: 200, text: page })
        expect(index.headers).toMatchObject({
          "content-type": "text/html; charset=utf-8",
          "cache-control": "no-cache"
        })
        const icon = yield* ask("GET", "/icon.svg?v=1")
        expect(icon).toMatchObject({ status: 200, text: "<svg/>" })
        expect(icon.headers["content-type"]).toBe("image/svg+xml")
      })
  )

  it.effect("keep a file with a hash in its name for ever, and answer 304 to who has the page", () =>
    Effect.gen(function* () {
      const asset = yield* ask("GET", "/assets/main-1a2b.js")
      expect(asset.headers["cache-control"]).toBe("public, max-age=31536000, immutable")
      const { etag } = (yield* ask("GET", "/")).headers
      const again = yield* ask("GET", "/", { headers: { "if-none-match": String(etag) } })
      expect(again).toMatchObject({ status: 304, text: "" })
    })
  )

  it.effect("come as they were compressed, to who can read it", () =>
    Effect.gen(function* () {
      const path = "/assets/main-1a2b.js"
      const small = yield* ask("GET", path, { headers: { "accept-encoding": "gzip, br;q=0.9" } })
      expect(small.headers).toMatchObject({ "content-encoding": "br", vary: "accept-encoding" })
      expect(small.bytes.length).toBeLessThan(script.length / 2)
      expect(brotliDecompressSync(small.bytes).toString()).toBe(script)
      for (const encoding of ["gzip", "br;q=0", "identity"]) {
        const plain = yield* ask("GET", path, { headers: { "accept-encoding": encoding } })
        expect(plain.text).toBe(script)
        expect(plain.headers["content-encoding"]).toBeUndefined()
      }
    })
  )

  it.effect("tell their size to HEAD, and nothing else", () =>
    Effect.gen(function* () {
      const head = yield* ask("HEAD", "/assets/main-1a2b.js")
      expect(head).toMatchObject({ status: 200, text: "" })
      expect(head.headers["content-length"]).toBe(String(script.length))
      expect((yield* ask("POST", "/")).status).toBe(401)
    })
  )

  it.effect("let the page run our own files alone, in no frame", () =>
    Effect.gen(function* () {
      for (const path of ["/", "/assets/main-1a2b.js", "/threads/1"]) {
        const { headers } = yield* ask("GET", path, { headers: html })
        const policy = String(headers["content-security-policy"])
        expect(policy).toContain("default-src 'none'")
        expect(policy).toContain("script-src 'self';")
        expect(policy).toContain("frame-ancestors 'none'")
        expect(policy).not.toMatch(/unsafe|\*|https?:/)
        expect(headers).toMatchObject({
          "x-content-type-options": "nosniff",
          "referrer-policy": "no-referrer",
          "x-frame-options": "DENY"
        })
      }
    })
  )

  it.effect("are the page for every place inside it, and for nothing else", () =>
    Effect.gen(function* () {
      for (const path of ["/pair", "/threads/a%20b", "/threads/1?x=.js"]) {
        expect(yield* ask("GET", path, { headers: html })).toMatchObject({ status: 200, text: page })
        expect((yield* ask("GET", path)).status).toBe(401)
        expect((yield* ask("GET", path, { headers: bearer })).status).toBe(404)
      }
      // A file that is not there is not the page, and a route of the server stays one.
      expect((yield* ask("GET", "/assets/gone.js", { headers: html })).status).toBe(401)
      expect((yield* ask("GET", "/readyz", { headers: html })).status).toBe(401)
      expect((yield* ask("GET", "/auth/credentials", { headers: html })).status).toBe(401)
    })
  )

  it.effect("never are anything outside the folder, hidden in it, or behind a link", () =>
    Effect.gen(function* () {
      const known = [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/../../secret.txt",
        "/assets/..%5c..%5csecret.txt",
        "//secret.txt",
        "/link.txt",
        "/up/secret.txt",
        "/.vite/manifest.json",
        "/index.html%00.js",
        "/%c0%ae%c0%ae/secret.txt"
      ]
      const odd = fc.sample(
        fc
          .array(fc.constantFrom("..", "%2e%2e", "%2E.", "up", "dist", ".", "", "%2f", "%5c", "assets"), {
            maxLength: 8
          })
          .map((parts) => `/${[...parts, "secret.txt"].join("/")}`),
        200
      )
      for (const path of [...known, ...odd]) {
        const { status, text } = yield* ask("GET", path, { headers: { ...html, ...bearer } })
        expect(text, path).not.toContain(secret)
        expect(status, path).not.toBe(500)
      }
    })
  )

  it.effect("that were built anew while the server runs are there", () =>
    Effect.gen(function* () {
      const path = "/assets/main-3c4d.js"
      expect((yield* ask("GET", path)).status).toBe(401)
      writeFileSync(join(site, path), "export {}")
      writeFileSync(join(site, "index.html"), `${page}2`)
      utimesSync(join(site, "index.html"), 1, 1)
      expect((yield* ask("GET", "/", { headers: html })).text).toBe(`${page}2`)
      expect((yield* ask("GET", path)).text).toBe("export {}")
    })
  )

  it.effect("that are gone since the start are not found", () =>
    Effect.gen(function* () {
      rmSync(join(site, "icon.svg"))
      expect((yield* ask("GET", "/icon.svg")).status).toBe(404)
    })
  )
})

layer(server({ site: null }))("a server without its web client", (it) => {
  it.effect("says so, and serves programs all the same", () =>
    Effect.gen(function* () {
      const answer = yield* ask("GET", "/", { headers: html })
      expect(answer.status).toBe(404)
      expect(answer.text).toContain("npm run build")
      expect((yield* ask("GET", "/readyz", { headers: bearer })).status).toBe(200)
    })
  )
})
