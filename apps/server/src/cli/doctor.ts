/**
 * `turnkeeper doctor`: what is wrong on this machine, and how to mend it. A server that runs is asked; without
 * one the providers are asked from here, by programs that are ended again, and nothing is written.
 */
import { files, Lock } from "@turnkeeper/contracts/Discovery"
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import { healthWords } from "@turnkeeper/contracts/Providers"
import { Context, Effect, Layer, Result, Schema } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import type { Configured } from "../provider/configured.ts"
import { looked } from "../store/Connection.ts"
import { visit } from "./follow.ts"
import { failed } from "./Outcome.ts"
import type { CommandFailed } from "./Outcome.ts"
import { printJson, terminal } from "./print.ts"
import { Stop } from "./Stop.ts"

export interface DoctorOptions {
  readonly data: string
  readonly json: boolean
  readonly providerConfig: string | null
}

/** `note`: worth knowing, nothing to mend. */
export interface Check {
  readonly about: "node" | "data" | "server" | "database" | "settings" | "provider"
  readonly level: "ok" | "note" | "problem"
  readonly says: string
  /** What to do; null: nothing. */
  readonly help: string | null
}

export const doctor = Effect.fn("cli.doctor")(function* (options: DoctorOptions) {
  const stop = yield* Stop
  const { schemaVersion } = yield* Effect.promise(() => import("../store/Migrations.ts"))
  const here = [nodeCheck(process.versions.node), ...dataChecks(options.data, schemaVersion)]
  const looked = yield* Effect.raceFirst(
    lookAround(options),
    Effect.andThen(stop.asked, Effect.fail(failed("Stopped.")))
  )
  const checks = [...here, ...looked.checks, ...looked.rows.map((row) => providerCheck(row, looked.named))]
  const problems = checks.filter(({ level }) => level === "problem").length
  if (options.json) printJson({ ok: problems === 0, checks, providers: looked.rows })
  else for (const check of checks) terminal.text(lineOf(check))
  if (problems > 0)
    return yield* failed(problems === 1 ? "There is a problem." : `There are ${problems} problems.`)
  if (!options.json) terminal.text("All is well.\n")
})

const lineOf = ({ level, says, help }: Check): string =>
  `${level.padEnd(8)} ${says}\n${help === null ? "" : `${" ".repeat(9)}${help}\n`}`

const check = (
  about: Check["about"],
  level: Check["level"],
  says: string,
  help: string | null = null
): Check => ({
  about,
  level,
  says,
  help
})

/** The oldest Node that has all that is used. */
const nodeMin = [22, 19] as const

export const nodeCheck = (version: string): Check => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const isOld = major < nodeMin[0] || (major === nodeMin[0] && minor < nodeMin[1])
  return isOld
    ? check("node", "problem", `Node ${version} is too old`, `Install Node ${nodeMin.join(".")} or newer.`)
    : check("node", "ok", `Node ${version}`)
}

const dataChecks = (directory: string, schemaVersion: number): ReadonlyArray<Check> => {
  try {
    fs.accessSync(directory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
  } catch (error) {
    return [
      codeOf(error) === "ENOENT"
        ? check("data", "note", `The data directory ${directory} does not exist yet`)
        : check(
            "data",
            "problem",
            `The data directory ${directory} cannot be used (${codeOf(error)})`,
            "Make it readable and writable for you, or choose another one with --data."
          )
    ]
  }
  return [spaceCheck(directory), databaseCheck(join(directory, "turnkeeper.db"), schemaVersion)]
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "unknown"

const megabyte = 1024 * 1024
/** Below this the next hours of work may not fit. */
const freeMegabytesMin = 200

const spaceCheck = (directory: string): Check => {
  const { bavail, bsize } = fs.statfsSync(directory)
  const free = Math.floor((bavail * bsize) / megabyte)
  const says = `The data directory ${directory} is writable, with ${free.toLocaleString("en")} MB free`
  return free < freeMegabytesMin
    ? check("data", "problem", says, "Make room on the disk: what cannot be written is refused.")
    : check("data", "ok", says)
}

const databaseCheck = (file: string, known: number): Check => {
  if (!fs.existsSync(file) || fs.statSync(file).size === 0) {
    return check("database", "note", "There is no database yet; the first start makes it")
  }
  try {
    const found = looked(file, schemaOf)
    const says = `The database has schema ${found}, and this program knows ${known}`
    return found > known
      ? check("database", "problem", says, "Update this program: it was written by a newer one.")
      : check("database", "ok", says)
  } catch (error) {
    return check(
      "database",
      "problem",
      `The database ${file} cannot be read (${codeOf(error)})`,
      "Restore it from a backup, or move it away to begin with an empty one."
    )
  }
}

const schemaOf = (database: DatabaseSync): number => {
  const row = database.prepare("SELECT max(migration_id) AS version FROM migrations").get()
  return Number(row?.["version"] ?? 0)
}

interface Look {
  readonly checks: ReadonlyArray<Check>
  readonly rows: ReadonlyArray<ProviderRow>
  /** Somebody wrote down that these providers are wanted. */
  readonly named: boolean
}

const lookAround = (options: DoctorOptions) =>
  Effect.gen(function* () {
    if (process.stderr.isTTY) terminal.note("Asking the providers …")
    const settings = yield* settingsOf(options)
    const asked = yield* Effect.result(visit(options.data, (client) => client["providers.refresh"]({})))
    if (Result.isSuccess(asked)) {
      const { providers, settingsProblem } = asked.success
      const server = check("server", "ok", "The server runs, and was asked about its providers")
      const wrong = settingsProblem === null ? settings.check : settingsWrong(settingsProblem)
      return { checks: [server, wrong], rows: providers, named: settings.named } satisfies Look
    }
    const server = serverCheck(options.data, asked.failure)
    return {
      checks: [server, settings.check],
      rows: yield* settings.rows,
      named: settings.named
    } satisfies Look
  })

/** Why no server could be asked. */
const serverCheck = (data: string, { message }: CommandFailed): Check => {
  const owner = lockIn(data)
  if (owner === null) return check("server", "note", "No server runs on this data directory")
  if (!exists(owner.pid)) {
    return check("server", "note", "The last server ended without a goodbye; the next one takes its place")
  }
  return check(
    "server",
    "problem",
    `${message} Its process is ${owner.pid}.`,
    "Wait a moment, or stop it and start it again."
  )
}

const decodeLock = Schema.decodeUnknownSync(Schema.fromJsonString(Lock))

const lockIn = (data: string): Lock | null => {
  try {
    return decodeLock(fs.readFileSync(join(data, files.lock), "utf8"))
  } catch {
    return null
  }
}

const exists = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) === "EPERM"
  }
}

/** What the settings file says, and how the providers in it are when they are asked from here. */
const settingsOf = Effect.fnUntraced(function* ({ data, providerConfig }: DoctorOptions) {
  // Loaded here: the other commands start without the adapters.
  const configuration = yield* Effect.promise(() => import("../provider/configured.ts"))
  const file = providerConfig ?? configuration.defaultFile(data)
  const named = providerConfig !== null || fs.existsSync(file)
  const read = yield* Effect.result(configuration.read(providerConfig, data))
  if (Result.isFailure(read)) {
    return { named, check: settingsWrong(read.failure.message), rows: Effect.succeed([]) }
  }
  const holdsSecrets = read.success.some(({ secrets }) => secrets.length > 0)
  return {
    named,
    check: named
      ? settingsRead(file, holdsSecrets)
      : check("settings", "ok", `There is no ${file}: the providers are those that are found`),
    rows: askedHere(read.success)
  }
})

const settingsRead = (file: string, holdsSecrets: boolean) => {
  const says = `The providers are set in ${file}`
  const isOpen = process.platform !== "win32" && (fs.statSync(file).mode & 0o077) !== 0
  return holdsSecrets && isOpen
    ? check(
        "settings",
        "problem",
        `${says}, which holds keys that others on this machine can read`,
        `chmod 600 ${file}`
      )
    : check("settings", "ok", says)
}

const settingsWrong = (problem: string) =>
  check("settings", "problem", problem, "Mend the file. What may stand in it: turnkeeper providers schema")

/** In a place of its own: what a server left running, and may take up again, is not touched. */
const askedHere = Effect.fnUntraced(function* (configured: ReadonlyArray<Configured>) {
  const configuration = yield* Effect.promise(() => import("../provider/configured.ts"))
  const Instances = yield* Effect.promise(() => import("../provider/Instances.ts"))
  const { Registry } = yield* Effect.promise(() => import("../provider/Registry.ts"))
  const place = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "turnkeeper-doctor-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
  )
  const instances = yield* Instances.make({
    read: Effect.succeed(configured),
    adapterOf: (one) => configuration.make(one, place)
  })
  const registry = Context.get(yield* Layer.build(Registry.layer(instances)), Registry)
  yield* registry.refresh
  return yield* registry.list
}, Effect.scoped)

export const providerCheck = (row: ProviderRow, named: boolean): Check => {
  const { displayName, health, id, notice, program } = row
  const models = health.models.length === 0 ? "" : `, models: ${health.models.length}`
  const where = program === null ? "" : ` (${program})`
  const says = `${id}: ${displayName}${where}: ${healthWords(health)}${models}`
  const help = [health.advice, notice].filter((words) => words !== null).join(" ")
  // What nobody asked for need not be there.
  const isWanted = named || health.status !== "not_installed"
  const level = health.status === "ready" ? (notice === null ? "ok" : "note") : isWanted ? "problem" : "note"
  return check("provider", level, says, help === "" ? null : help)
}
