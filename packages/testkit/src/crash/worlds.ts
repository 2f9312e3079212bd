/** The providers of a crash run, each with the truth about what it received. */
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { readReceived } from "@turnkeeper/provider-kit/testing/record"
import { codexBinary, installedBinary, opencode } from "../../../../scripts/providers.ts"
import { writeCodexHome } from "../codexHome.ts"
import { start } from "../fakeModel/server.ts"
import { markersOf } from "../fakeModel/script.ts"
import { opencodeEnvironment } from "../opencodeHome.ts"
import type { ProviderConfig } from "../process/Server.ts"
import type { Received } from "./check.ts"

/** A provider, and the truth about what it received. */
export interface World {
  readonly config: ProviderConfig
  /** What its processes' command lines have in them; null: it runs inside the server. */
  readonly program: string | null
  /** Milliseconds of work between two kills, at most, in which it gets somewhere after a start. */
  readonly workMs: number
  /** Asked when everything is at rest. */
  readonly received: Received
  readonly prompts: () => number
  readonly close: () => Promise<void>
}

export const worlds = {
  /** The model counts: one that is asked again for the same turn of Codex was not prompted twice. */
  codex: async (root: string): Promise<World> => {
    const binary = installed("codex", codexBinary())
    const model = await start({ slowDelayMs: 20 })
    const home = await writeCodexHome(join(root, "codex-home"), { modelUrl: model.url })
    return {
      config: { id: "codex", kind: "codex", binary, home: home.directory, env: home.env },
      program: " app-server",
      workMs: 1_200,
      received: (turnId) => model.promptsSeen(turnId),
      prompts: () => sumOf(model.markers()),
      close: () => model.close()
    }
  },
  /** Its own record counts: it does not name its turns to the model, so that a repeated request looks new. */
  opencode: async (root: string): Promise<World> => {
    const binary = installed("opencode", opencodeBinary())
    const model = await start({ slowDelayMs: 20 })
    const directory = join(root, "opencode-home")
    const env = opencodeEnvironment(directory, { modelUrl: model.url })
    return {
      config: { id: "opencode", kind: "opencode", binary, env },
      program: " serve --hostname ",
      workMs: 4_000,
      ...countedOnce(() => promptsOf(join(directory, "data", "opencode", "opencode.db"))),
      close: () => model.close()
    }
  },
  scripted: async (root: string): Promise<World> => {
    const recordDirectory = join(root, "scripted")
    await mkdir(recordDirectory)
    return {
      config: { id: "scripted", kind: "scripted", recordDirectory, tickMs: 10 },
      program: null,
      workMs: 800,
      ...countedOnce(() => readReceived(recordDirectory).map(({ turnId }) => turnId)),
      close: async () => {}
    }
  }
} satisfies { readonly [name: string]: (root: string) => Promise<World> }

export type WorldName = keyof typeof worlds

export const isWorldName = (name: string): name is WorldName => name in worlds

const opencodeBinary = () => process.env["TURNKEEPER_OPENCODE_BIN"] || installedBinary(opencode)

const installed = (name: WorldName, binary: string | null): string => {
  if (binary === null) throw new Error(`${name} is not installed. Run: node scripts/providers.ts ${name}`)
  return binary
}

const countedOnce = (read: () => ReadonlyArray<string>): Pick<World, "received" | "prompts"> => {
  let counts: ReadonlyMap<string, number> | null = null
  const counted = () => (counts ??= countsOf(read()))
  return {
    received: (turnId) => counted().get(turnId) ?? 0,
    prompts: () => sumOf(counted())
  }
}

const countsOf = (names: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

const sumOf = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((sum, n) => sum + n, 0)

/** The marks of the user's messages in OpenCode's own database. */
const promptsOf = (file: string): ReadonlyArray<string> => {
  if (!existsSync(file)) return []
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const rows = database
      .prepare(
        `SELECT part.data ->> 'text' AS text FROM part JOIN message ON message.id = part.message_id
         WHERE message.data ->> 'role' = 'user' AND part.data ->> 'type' = 'text'`
      )
      .all() as unknown as ReadonlyArray<{ readonly text: string | null }>
    return rows.flatMap(({ text }) => markersOf(text ?? ""))
  } finally {
    database.close()
  }
}
