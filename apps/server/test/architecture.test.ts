/**
 * The arrows of docs/architecture.md, the one door into the log, and the laws' book-keeping, held against
 * the files as they are.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..")

const skipped = new Set(["node_modules", "dist", "coverage"])

/** Paths from the root, with forward slashes; nothing hidden, nothing made. */
const filesUnder = (folder: string): ReadonlyArray<string> =>
  !existsSync(join(root, folder))
    ? []
    : readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
        if (skipped.has(entry.name) || entry.name.startsWith(".")) return []
        const path = join(folder, entry.name)
        return entry.isDirectory() ? filesUnder(path) : [path.split(sep).join("/")]
      })

const read = (path: string) => readFileSync(join(root, path), "utf8")

const code = ["packages", "apps", "bench", "scripts", "examples"]
  .flatMap(filesUnder)
  .filter((path) => /\.(tsx?|mjs)$/.test(path))
const sources = code.filter((path) => path.includes("/src/"))

/** What a file imports: packages by their name, files of the project from the root. */
const importsOf = (path: string): ReadonlyArray<string> =>
  [...read(path).matchAll(/(?:^|[;\s])(?:from\s+|import\s+|import\(\s*)"([^"]+)"/g)].map(([, target = ""]) =>
    target.startsWith(".")
      ? relative(root, resolve(root, dirname(path), target))
          .split(sep)
          .join("/")
      : target
  )

/** Each import that `allowed` says no to, as `file → import`. */
const breaches = (paths: ReadonlyArray<string>, allowed: (target: string, path: string) => boolean) =>
  paths.flatMap((path) =>
    importsOf(path)
      .filter((target) => !allowed(target, path))
      .map((target) => `${path} → ${target}`)
  )

const inside = (folder: string) => sources.filter((path) => path.startsWith(`${folder}/`))

/** Packages of the project by their name, and outer ones that need no permission. */
const mayImport =
  (own: string, packages: ReadonlyArray<string>, others: RegExp) =>
  (target: string): boolean => {
    const project = /^@turnkeeper\/([a-z-]+)/.exec(target)?.[1]
    if (project !== undefined) return packages.includes(project)
    if (target.startsWith(`${own}/`) || target === own.replace(/src$/, "package.json")) return true
    return others.test(target)
  }

describe("the arrows between the packages", () => {
  const adapters = readdirSync(join(root, "packages")).filter((name) => /^provider-(?!kit$)/.test(name))

  it("there is something to look at", () => {
    assert.isAtLeast(inside("packages/domain").length, 10)
    assert.include(importsOf("apps/server/src/engine/Commit.ts"), "apps/server/src/store/EventLog.ts")
    assert.isNotEmpty(adapters)
  })

  it("the domain imports nothing but itself and effect's data modules", () => {
    assert.deepStrictEqual(
      breaches(inside("packages/domain"), mayImport("packages/domain/src", [], /^effect$/)),
      []
    )
    const data = [
      "Array",
      "Equal",
      "Match",
      "Option",
      "Order",
      "Predicate",
      "Record",
      "Result",
      "Schema",
      "Struct"
    ]
    for (const path of inside("packages/domain")) {
      for (const [, names = ""] of read(path).matchAll(/import (?:type )?\{([^}]*)\} from "effect"/g)) {
        for (const name of names.split(",").map((one) => one.trim().replace(/^type /, ""))) {
          assert.include(["", ...data], name, `${path} imports ${name} from effect`)
        }
      }
    }
  })

  it("the contracts import the domain, the client both", () => {
    assert.deepStrictEqual(
      breaches(
        inside("packages/contracts"),
        mayImport("packages/contracts/src", ["domain"], /^effect(\/|$)/)
      ),
      []
    )
    assert.deepStrictEqual(
      breaches(
        inside("packages/client"),
        mayImport("packages/client/src", ["domain", "contracts"], /^(?!@turnkeeper\/|apps\/|packages\/)/)
      ),
      []
    )
  })

  it("the web client imports what any client may, and nothing of the server", () => {
    assert.isNotEmpty(inside("apps/web/src"))
    assert.deepStrictEqual(
      breaches(
        inside("apps/web/src"),
        mayImport("apps/web/src", ["domain", "contracts", "client"], /^(?!@turnkeeper\/|apps\/|packages\/)/)
      ),
      []
    )
  })

  it("the provider kit imports the domain, an adapter both and no other adapter", () => {
    const outer = /^(effect|node:|@effect\/|vitest|@effect\/vitest)/
    assert.deepStrictEqual(
      breaches(inside("packages/provider-kit"), mayImport("packages/provider-kit/src", ["domain"], outer)),
      []
    )
    for (const name of adapters) {
      const allowed = mayImport(
        `packages/${name}/src`,
        ["domain", "provider-kit"],
        /^(?!@turnkeeper\/|apps\/|packages\/)/
      )
      assert.deepStrictEqual(breaches(inside(`packages/${name}`), allowed), [])
    }
  })

  // The simulation runs the real engine on a clock of its own, the crash run the real program with a trap in
  // its database: tests that live in a package.
  const driving = (path: string) =>
    path.startsWith("packages/testkit/src/simulation/") || path === "packages/testkit/src/crash/armed.ts"

  it("nobody imports the server, the runs that drive it aside", () => {
    const outside = sources.filter((path) => !path.startsWith("apps/server/") && !driving(path))
    assert.deepStrictEqual(
      breaches(
        outside,
        (target) => !target.startsWith("apps/server/") && !target.startsWith("@turnkeeper/server")
      ),
      []
    )
  })

  it("no package's source reaches into another's by path", () => {
    assert.deepStrictEqual(
      breaches(
        sources.filter((path) => !driving(path)),
        (target, path) => !/^(apps|packages)\//.test(target) || home(target) === home(path)
      ),
      []
    )
  })
})

describe("the rooms of the server", () => {
  it("one door: only the commit appends to the log", () => {
    const appending = inside("apps/server/src").filter((path) =>
      [...read(path).matchAll(/import \{([^}]*)\} from "[^"]*store\/EventLog\.ts"/g)].some(([, names = ""]) =>
        names.split(",").some((name) => name.trim().split(" ")[0] === "append")
      )
    )
    assert.deepStrictEqual(appending, ["apps/server/src/engine/Commit.ts"])
  })

  it("one writer: besides the commit only the migrations get the connection that writes", () => {
    const writing = inside("apps/server/src").filter((path) => /\byield\* Writer\b/.test(read(path)))
    assert.deepStrictEqual(writing.toSorted(), [
      "apps/server/src/engine/Commit.ts",
      "apps/server/src/store/Migrations.ts"
    ])
  })

  it("the door to the clients does not reach behind the engine and the tables", () => {
    assert.deepStrictEqual(
      breaches(
        [...room("rpc"), ...room("http")],
        (target) => !isIn(target, "store", "reactor", "ingestion", "reconciler")
      ),
      []
    )
  })

  it("the store knows nobody, and the tables know no provider and no client", () => {
    assert.deepStrictEqual(
      breaches(
        room("store"),
        (target) =>
          !isIn(target, "rpc", "reactor", "ingestion", "reconciler", "provider", "projection", "cli")
      ),
      []
    )
    assert.deepStrictEqual(
      breaches(
        room("projection"),
        (target) => !isIn(target, "rpc", "reactor", "ingestion", "reconciler", "provider")
      ),
      []
    )
    assert.deepStrictEqual(
      breaches(
        room("engine"),
        (target) => !isIn(target, "rpc", "reactor", "ingestion", "reconciler", "provider", "cli")
      ),
      []
    )
  })

  it("only the configuration knows adapters by name", () => {
    const named = inside("apps/server/src").filter((path) =>
      importsOf(path).some((target) => /^@turnkeeper\/provider-(?!kit\b)/.test(target))
    )
    assert.deepStrictEqual(named, ["apps/server/src/provider/configured.ts"])
  })
})

describe("the laws", () => {
  const defined = new Set([...read("docs/laws.md").matchAll(/^#+ (L\d+)\b/gm)].map(([, law]) => law!))

  it("there are fifteen of them", () => {
    assert.deepStrictEqual(
      [...defined].toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1))),
      Array.from({ length: 15 }, (_, n) => `L${n + 1}`)
    )
  })

  it("each law that code or a test cites is defined", () => {
    const unknown = code
      .filter((path) => !generated(path))
      .flatMap((path) => numbers(read(path)).flatMap((law) => (defined.has(law) ? [] : [`${path}: ${law}`])))
    assert.deepStrictEqual(unknown, [])
  })

  it("each law has a test of the domain and one of the server that is named after it, where it is kept there", () => {
    const everywhere = new Set([...lawsNamedIn("packages/"), ...lawsNamedIn("apps/")])
    assert.deepStrictEqual(
      [...defined].filter((law) => !everywhere.has(law)),
      []
    )
    // What the engine, the reactor, ingestion and the reconciler have a share in is shown on them, too.
    const ofServer = lawsNamedIn("apps/server/")
    const shared = ["L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12", "L13", "L14", "L15"]
    assert.deepStrictEqual(
      shared.filter((law) => !ofServer.has(law)),
      []
    )
  })

  it("each file that the laws name is there", () => {
    const links = [...read("docs/laws.md").matchAll(/\]\((\.\.\/[^)#]+)/g)].map(([, link]) => link!)
    assert.isNotEmpty(links)
    assert.deepStrictEqual(
      links.filter((link) => !existsSync(join(root, "docs", link))),
      []
    )
  })
})

describe("what the project's files do not say", () => {
  const texts = ["packages", "apps", "bench", "scripts", "docs"]
    .flatMap(filesUnder)
    .concat(
      readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []))
    )
    .filter((path) => /\.(tsx?|mjs|cjs|js|json|md|toml|ya?ml|css|html|sh)$/.test(path))
    .filter((path) => !path.endsWith("/architecture.test.ts"))

  it("no path of the machine it was written on", () => {
    // `/home/me` and `/home/user` stand for anybody's.
    const ofMachine = /(?<![\w.~/])\/(?:(?:work|root)|(?:home|Users)\/(?!me\b|user\b)[\w.-]+)\/[\w.-]+/g
    assert.deepStrictEqual(saying(ofMachine, texts), [])
    assert.deepStrictEqual(saying(/(?<![\w.~/])\/(?:tmp|var)\/[\w.-]+/g, sources), [])
  })

  it("no host of a package registry", () => {
    assert.deepStrictEqual(
      saying(/https?:\/\/[\w.-]*(?:registry|npmjs|artifact|mirror|proxy)[\w.-]*/g, texts),
      []
    )
  })
})

const home = (path: string) => path.split("/").slice(0, 2).join("/")

const room = (name: string) => inside(`apps/server/src/${name}`)

const isIn = (target: string, ...rooms: ReadonlyArray<string>) =>
  rooms.some((name) => target.startsWith(`apps/server/src/${name}/`))

const numbers = (text: string) => [...text.matchAll(/\bL(?:[1-9]|1\d)\b/g)].map(([law]) => law)

const generated = (path: string) => path.includes("/_generated/")

const saying = (pattern: RegExp, paths: ReadonlyArray<string>) =>
  paths.flatMap((path) => [...read(path).matchAll(pattern)].map(([found]) => `${path}: ${found}`))

const lawsNamedIn = (folder: string) =>
  new Set(
    code
      .filter((path) => path.startsWith(folder) && path.endsWith(".test.ts"))
      .flatMap((path) => [...read(path).matchAll(/["'`]((?:[A-EL]\d+(?:, | and )?)+):/g)])
      .flatMap(([, names = ""]) => numbers(names))
  )
