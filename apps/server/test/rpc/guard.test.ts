/** Who may speak to the server: token, Host, Origin, over real sockets. */
import { assert, describe, expect, it, layer } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import * as Listen from "../../src/rpc/Listen.ts"
import { failuresPerMinute, isOurHost, isOurOrigin } from "../../src/rpc/Guard.ts"
import { Token } from "../../src/rpc/Token.ts"
import { bearer, get, server, token, upgradeHeaders } from "./harness.ts"

const host = Effect.map(Listen.url, (url) => new URL(url).host)
const origin = Listen.url

layer(server({ origins: ["http://localhost:5173"] }))("the door", (it) => {
  it.effect("the health check needs no token, everything else does", () =>
    Effect.gen(function* () {
      expect((yield* get("/healthz")).status).toBe(200)
      expect((yield* get("/readyz")).status).toBe(401)
      expect((yield* get("/readyz", bearer)).status).toBe(200)
      expect((yield* get("/anything", bearer)).status).toBe(404)
      expect((yield* get("/anything")).status).toBe(401)
    })
  )

  it.effect.each(["/rpc", "/jsonrpc"])("%s upgrades with the token only", (path) =>
    Effect.gen(function* () {
      expect((yield* get(path, upgradeHeaders)).status).toBe(401)
      expect((yield* get(path, { ...upgradeHeaders, authorization: "Bearer wrong" })).status).toBe(401)
      expect((yield* get(path, { ...upgradeHeaders, authorization: token })).status).toBe(401)
      expect((yield* get(path, { ...upgradeHeaders, ...bearer })).status).toBe(101)
      expect((yield* get(path, bearer)).status).toBe(426)
    })
  )

  it.effect("a refusal holds neither the token nor what was sent", () =>
    Effect.gen(function* () {
      const { body } = yield* get("/readyz", { authorization: "Bearer guessed-by-somebody" })
      expect(body).toBe('{"_tag":"Unauthorized"}')
    })
  )

  it.effect.each(["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "file://"])(
    "an Origin of %s is refused, with the right token and without",
    (foreign) =>
      Effect.gen(function* () {
        for (const path of ["/rpc", "/jsonrpc", "/healthz"]) {
          expect((yield* get(path, { ...upgradeHeaders, ...bearer, origin: foreign })).status).toBe(403)
          expect((yield* get(path, { origin: foreign })).status).toBe(403)
        }
      })
  )

  it.effect("our own Origin and the ones we were told of pass", () =>
    Effect.gen(function* () {
      const headers = { ...upgradeHeaders, ...bearer }
      expect((yield* get("/rpc", { ...headers, origin: yield* origin })).status).toBe(101)
      expect((yield* get("/rpc", { ...headers, origin: "http://localhost:5173" })).status).toBe(101)
    })
  )

  it.effect("a Host that is not ours is refused: a foreign name that resolves to us", () =>
    Effect.gen(function* () {
      const { port } = new URL(yield* origin)
      for (const foreign of [
        "evil.example",
        `evil.example:${port}`,
        "127.0.0.1",
        "127.0.0.1:1",
        `10.0.0.7:${port}`
      ]) {
        expect((yield* get("/rpc", { ...upgradeHeaders, ...bearer, host: foreign })).status).toBe(403)
        expect((yield* get("/healthz", { host: foreign })).status).toBe(403)
      }
      expect((yield* get("/healthz", { host: yield* host })).status).toBe(200)
      expect((yield* get("/healthz", { host: `localhost:${port}` })).status).toBe(200)
    })
  )
})

layer(server())("a guesser", (it) => {
  it.effect("is answered with 429 after too many wrong tokens, and the owner still gets in", () =>
    Effect.gen(function* () {
      const guess = get("/readyz", { authorization: "Bearer wrong" })
      const answers = yield* Effect.forEach(Array.from({ length: failuresPerMinute }), () => guess)
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
      expect((yield* guess).status).toBe(429)
      expect((yield* get("/readyz", bearer)).status).toBe(200)
    })
  )
})

describe("names", () => {
  it("on every address an IP literal is ours, a name is not", () => {
    expect(isOurHost("192.168.1.5:4317", "0.0.0.0", 4317)).toBe(true)
    expect(isOurHost("[fe80::1]:4317", "::", 4317)).toBe(true)
    expect(isOurHost("evil.example:4317", "0.0.0.0", 4317)).toBe(false)
    expect(isOurOrigin("http://192.168.1.5:4317", { host: "0.0.0.0" }, 4317)).toBe(false)
  })

  it("a missing or odd Host is not ours", () => {
    for (const odd of [
      undefined,
      "",
      ":4317",
      "127.0.0.1:4317/x",
      "user@127.0.0.1:4317",
      "127.0.0.1:4317 "
    ]) {
      expect(isOurHost(odd, "127.0.0.1", 4317)).toBe(false)
    }
  })
})

const inDirectory = <A, E>(f: (directory: string) => Effect.Effect<A, E, FileSystem.FileSystem>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    return yield* f(yield* fs.makeTempDirectoryScoped({ prefix: "turnkeeper-token-" }))
  }).pipe(Effect.provide(NodeServices.layer))
const tokenOf = (directory: string) =>
  Token.pipe(Effect.provide(Token.layer(directory).pipe(Layer.provide(NodeServices.layer))))

describe("the token file", () => {
  it.effect("is made once, for its owner only, and read from then on", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        // Two servers that start together agree on one.
        const [first, second] = yield* Effect.all([tokenOf(directory), tokenOf(directory)], {
          concurrency: 2
        })
        const value = Redacted.value(first.value)
        expect(Redacted.value(second.value)).toBe(value)
        expect(value.length).toBeGreaterThanOrEqual(43)
        expect((yield* fs.stat(`${directory}/token`)).mode & 0o777).toBe(0o600)
        expect(yield* fs.readDirectory(directory)).toEqual(["token"])
        expect(first.matches(value)).toBe(true)
        expect(first.matches(`${value}x`)).toBe(false)
        expect(first.matches("")).toBe(false)
        expect(String(first.value) + JSON.stringify(first.value)).not.toContain(value)
      })
    )
  )

  it.effect("that is empty is an error, not a token that everybody has", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${directory}/token`, "\n")
        const error = yield* Effect.flip(tokenOf(directory))
        assert.strictEqual(error._tag, "TokenUnreadable")
      })
    )
  )
})
