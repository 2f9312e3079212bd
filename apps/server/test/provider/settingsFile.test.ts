/** The providers' settings file: what is wrong is said with its place, and no value is ever repeated. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Configured from "../../src/provider/configured.ts"
import { jsonPlace } from "../../src/provider/jsonPlace.ts"
import { parse } from "../../src/provider/settingsFile.ts"

const parsed = (text: string) => parse(Configured.kinds, text)
const instancesOf = (...providers: ReadonlyArray<unknown>) =>
  Result.getOrThrow(parsed(JSON.stringify({ providers })))
const problemOf = (...providers: ReadonlyArray<unknown>) => instancesOf(...providers).at(-1)?.problem ?? null
const reasonOf = (text: string) => Result.getOrThrow(Result.flip(parsed(text)))

describe("an instance that is right", () => {
  it("needs an id and a kind, of every kind there is", () => {
    for (const kind of Configured.kinds.keys()) assert.isNull(problemOf({ id: "one", kind }), kind)
  })

  it("several of one kind stand side by side, each with places of its own", () => {
    const all = instancesOf(
      { id: "codex", kind: "codex" },
      { id: "codex-work", kind: "codex", displayName: "Codex at work", home: "/home/me/.codex-work" }
    )
    assert.deepStrictEqual(
      all.map(({ id, displayName, problem }) => [id, displayName ?? null, problem]),
      [
        ["codex", null, null],
        ["codex-work", "Codex at work", null]
      ]
    )
  })

  it("`$schema` beside the providers is for the editor", () => {
    assert.isTrue(Result.isSuccess(parsed('{"$schema": "./providers.schema.json", "providers": []}')))
  })
})

describe("the program of an instance", () => {
  const programOf = (entry: object) => instancesOf({ id: "a", kind: "codex", ...entry })[0]?.findProgram()

  it("is the one that is named, else the one on the path of its environment, else none", () => {
    const directory = mkdtempSync(join(tmpdir(), "turnkeeper-programs-"))
    const codex = join(directory, "codex")
    writeFileSync(codex, "#!/bin/sh\n", { mode: 0o755 })
    assert.strictEqual(programOf({ binary: codex }), codex)
    const before = process.env["TURNKEEPER_CODEX_BIN"]
    delete process.env["TURNKEEPER_CODEX_BIN"]
    assert.strictEqual(programOf({ env: { PATH: directory } }), codex)
    if (before !== undefined) process.env["TURNKEEPER_CODEX_BIN"] = before
    assert.isNull(programOf({ binary: join(directory, "another") }))
    assert.isNull(instancesOf({ id: "a", kind: "scripted" })[0]?.findProgram())
    rmSync(directory, { recursive: true })
  })
})

describe("an instance that is wrong", () => {
  it("of an unknown kind names those there are", () => {
    assert.strictEqual(
      problemOf({ id: "a", kind: "codx" }),
      `\`providers[0].kind\` has to be one of: ${[...Configured.kinds.keys()].join(", ")}.`
    )
  })

  it("names the field, and what is allowed there", () => {
    assert.strictEqual(
      problemOf({ id: "a", kind: "codex", home: 5 }),
      "`providers[0].home`: Expected string."
    )
    assert.include(problemOf({ id: "a", kind: "opencode", server: { url: 1 } }), "`providers[0].server.url`")
    assert.include(problemOf({ kind: "codex" }), "`providers[0].id`")
    assert.include(problemOf({ id: "../../etc", kind: "codex" }), "`providers[0].id`")
  })

  it("a field that is not known is told with those that are", () => {
    const problem = problemOf({ id: "a", kind: "scripted", tick: 5 })
    assert.include(problem, "`providers[0].tick` is not known")
    assert.include(problem, "tickMs")
  })

  it("leaves the others as they are, and has an id of its own", () => {
    const all = instancesOf(
      { id: "a", kind: "scripted" },
      7,
      { id: "a", kind: "scripted" },
      { id: "b", kind: "codex" }
    )
    assert.deepStrictEqual(
      all.map(({ problem }) => problem === null),
      [true, false, false, true]
    )
    assert.lengthOf(new Set(all.map(({ id }) => id)), 4)
  })
})

describe("secrets", () => {
  const secret = "sk-0123456789abcdef"

  it("no error repeats a value of the file", () => {
    const wrong = [
      { id: secret, kind: secret },
      { id: "a", kind: "codex", binary: { secret } },
      { id: "a", kind: "codex", env: { KEY: [secret] } },
      { id: "a", kind: "opencode", server: secret },
      { id: `/${secret}`, kind: "codex" },
      secret
    ]
    for (const entry of wrong) assert.notInclude(String(problemOf(entry)), secret)
    for (const text of [`{"providers": [${secret}]}`, `{"providers": "${secret}"`, `{"a": "${secret}"}`]) {
      assert.notInclude(reasonOf(text), secret)
    }
  })

  it("values of the environment and passwords are known as such", () => {
    const [codex] = instancesOf({
      id: "a",
      kind: "codex",
      env: { OPENAI_API_KEY: secret },
      home: "/home/somebody"
    })
    assert.deepStrictEqual(codex?.secrets, [secret])
    const server = { url: "http://127.0.0.1:4096", password: secret }
    assert.deepStrictEqual(instancesOf({ id: "b", kind: "opencode", server })[0]?.secrets, [secret])
  })
})

describe("the file as a whole", () => {
  it("says where it is no JSON, and what form it has to have", () => {
    assert.strictEqual(reasonOf('{\n  "providers": [}\n}'), "it is not valid JSON (line 2, column 17)")
    assert.include(reasonOf("[]"), '{"providers": [ … ]}')
  })

  it.each([
    ["", 1],
    ["{", 2],
    ['{"a": 1,}', 9],
    ["[1, 2", 6],
    ["[1,, 2]", 4],
    ['{"a" 1}', 6],
    ["{a: 1}", 2],
    ['{"a": tru}', 7],
    ["[1]]", 4],
    ["[}", 2],
    ['["a\nb"]', 2],
    ["1 2", 3],
    ["// no\n1", 1]
  ])("the place of what cannot stand in %j is found", (text, column) => {
    assert.strictEqual(jsonPlace(text), `line 1, column ${column}`)
  })

  it("what is JSON has its first wrong place behind its end", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        const lines = text.split("\n")
        assert.strictEqual(jsonPlace(text), `line ${lines.length}, column ${(lines.at(-1) ?? "").length + 1}`)
      })
    )
  })

  it.effect("without one there is what a fresh machine has; one in the data directory is found", () =>
    Effect.gen(function* () {
      const directory = mkdtempSync(join(tmpdir(), "turnkeeper-settings-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true })))
      const ids = Effect.map(Configured.read(null, directory), (all) => all.map(({ id }) => String(id)))
      assert.deepStrictEqual(
        yield* ids,
        Configured.found.map(({ id }) => String(id))
      )
      writeFileSync(Configured.defaultFile(directory), '{"providers": [{"id": "mine", "kind": "scripted"}]}')
      assert.deepStrictEqual(yield* ids, ["mine"])
    })
  )

  it.effect("one that was named and is missing is an error that names it", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(Configured.read("/nowhere/providers.json", "/nowhere"))
      assert.strictEqual(
        message,
        "The provider configuration /nowhere/providers.json cannot be used: there is no such file"
      )
    })
  )
})

describe("the schema for editors", () => {
  const kept = new URL("../../../../docs/providers.schema.json", import.meta.url)

  it("that stands in docs is the one of this program: turnkeeper providers schema > docs/providers.schema.json", () => {
    assert.deepStrictEqual(
      JSON.parse(readFileSync(kept, "utf8")),
      JSON.parse(JSON.stringify(Configured.fileSchema))
    )
  })

  it("explains every setting, and knows every kind", () => {
    const { properties } = Configured.fileSchema as never as {
      readonly properties: {
        readonly providers: { readonly items: { readonly anyOf: ReadonlyArray<Entry> } }
      }
    }
    const entries = properties.providers.items.anyOf
    assert.sameMembers(
      entries.map(({ properties }) => String(properties["kind"]?.enum?.[0])),
      [...Configured.kinds.keys()]
    )
    for (const { properties } of entries) {
      for (const [name, { description }] of Object.entries(properties)) {
        if (name !== "kind") assert.isString(description, name)
      }
    }
  })
})

interface Entry {
  readonly properties: Readonly<
    Record<string, { readonly description?: string; readonly enum?: ReadonlyArray<string> }>
  >
}
