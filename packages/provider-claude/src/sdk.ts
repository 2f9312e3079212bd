/**
 * The Claude Agent SDK, as far as it is used here, and how it is found.
 *
 * It is 426 MB with its program and is not a dependency: it is loaded from where the user has installed it.
 * What comes from it is foreign: messages are `unknown` until they have been looked at.
 */
import { Effect, Schema } from "effect"
import { existsSync, readFileSync, statSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Readable, Writable } from "node:stream"

export const packageName = "@anthropic-ai/claude-agent-sdk"

export interface Sdk {
  readonly query: (params: {
    readonly prompt: AsyncIterable<UserMessage>
    readonly options: QueryOptions
  }) => Query
}

/** One process with one conversation. Iterated once: what it says, until it has ended. */
export interface Query extends AsyncIterable<unknown> {
  readonly initializationResult: () => Promise<Initialized>
  readonly interrupt: () => Promise<unknown>
  readonly setModel: (model?: string) => Promise<void>
  readonly setPermissionMode: (mode: PermissionMode) => Promise<void>
  readonly applyFlagSettings: (settings: Pick<FlagSettings, "permissions">) => Promise<void>
  /** Asks for nothing that matters here: that it is answered proves that the program is alive. */
  readonly mcpServerStatus: () => Promise<unknown>
}

/** Settings above those of the user's own files. */
export interface FlagSettings {
  readonly permissions: { readonly deny: ReadonlyArray<string>; readonly ask: ReadonlyArray<string> }
  readonly useAutoModeDuringPlan: boolean
}

export type PermissionMode = "default" | "acceptEdits" | "plan"

export interface QueryOptions {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly model?: string
  readonly permissionMode: PermissionMode
  readonly settings: FlagSettings
  readonly sessionId?: string
  readonly resume?: string
  readonly title?: string
  readonly includePartialMessages: boolean
  readonly systemPrompt: { readonly type: "preset"; readonly preset: "claude_code" }
  readonly pathToClaudeCodeExecutable?: string
  readonly canUseTool: CanUseTool
  readonly spawnClaudeCodeProcess: (options: SpawnOptions) => SpawnedProcess
}

/** `uuid` is ours: it names the turn from its beginning to its end, and in the record. */
export interface UserMessage {
  readonly type: "user"
  readonly message: { readonly role: "user"; readonly content: ReadonlyArray<ContentBlock> }
  readonly parent_tool_use_id: null
  readonly uuid: string
}

export type ContentBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly source: ImageSource }

export type ImageSource =
  | { readonly type: "base64"; readonly media_type: string; readonly data: string }
  | { readonly type: "url"; readonly url: string }

export interface Initialized {
  readonly claude_code_version?: string
  readonly account?: {
    readonly tokenSource?: string
    readonly apiKeySource?: string
    readonly apiProvider?: string
  }
  readonly models?: ReadonlyArray<{ readonly value: string; readonly displayName: string }>
}

export type CanUseTool = (
  tool: string,
  input: Readonly<Record<string, unknown>>,
  context: AskContext
) => Promise<PermissionResult>

export interface AskContext {
  /** Claude no longer waits. */
  readonly signal: AbortSignal
  readonly toolUseID: string
  readonly requestId: string
  readonly suggestions?: ReadonlyArray<PermissionUpdate>
  readonly suppressAlwaysAllowRule?: boolean
  readonly title?: string
  readonly description?: string
  readonly blockedPath?: string
  readonly decisionReason?: string
}

/** What Claude proposes to allow from now on; passed back as it came, but for where it is kept. */
export interface PermissionUpdate {
  readonly type: string
  readonly destination?: string
}

export type PermissionResult =
  | {
      readonly behavior: "allow"
      readonly updatedInput: Readonly<Record<string, unknown>>
      readonly updatedPermissions?: ReadonlyArray<PermissionUpdate>
    }
  | { readonly behavior: "deny"; readonly message: string; readonly interrupt?: boolean }

export interface SpawnOptions {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd?: string
  readonly env: Readonly<Record<string, string | undefined>>
}

type OnExit = (code: number | null, signal: NodeJS.Signals | null) => void
type OnError = (error: Error) => void

/** The child as the SDK sees it. */
export interface SpawnedProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly killed: boolean
  readonly exitCode: number | null
  readonly signalCode: NodeJS.Signals | null
  readonly kill: (signal: NodeJS.Signals) => boolean
  readonly on: (event: "exit" | "error", listener: OnExit & OnError) => void
  readonly once: (event: "exit" | "error", listener: OnExit & OnError) => void
  readonly off: (event: "exit" | "error", listener: OnExit & OnError) => void
}

/** The SDK is not installed, or what is installed is not the SDK. */
export class SdkMissing extends Schema.TaggedError<SdkMissing>()("SdkMissing", { text: Schema.String }) {
  override get message() {
    return this.text
  }
}

export interface Found {
  /** The module to import. */
  readonly entry: string
  readonly version: string | null
}

type Env = Readonly<Record<string, string | undefined>>

/**
 * Where the SDK is: the place that is named (its folder or its module), else TURNKEEPER_CLAUDE_SDK, else the
 * first one found beside the working directory, beside this program, or among npm's global packages.
 */
export const find = (named: string | undefined, env: Env, cwd = process.cwd()): Found | null => {
  const place = named ?? (env["TURNKEEPER_CLAUDE_SDK"] || undefined)
  if (place !== undefined) return foundAt(place)
  return (
    placesToLook(env, cwd)
      .map((folder) => foundAt(join(folder, packageName)))
      .find((found) => found !== null) ?? null
  )
}

const placesToLook = (env: Env, cwd: string): ReadonlyArray<string> => [
  ...above(cwd),
  ...above(import.meta.dirname),
  ...(env["NODE_PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""),
  // Where `npm install -g` puts things: beside the programs of node and of npm.
  ...[dirname(process.execPath), ...(env["PATH"] ?? "").split(delimiter)]
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, "..", "lib", "node_modules"))
]

const above = (folder: string): ReadonlyArray<string> => {
  const parent = dirname(folder)
  return [join(folder, "node_modules"), ...(parent === folder ? [] : above(parent))]
}

const foundAt = (place: string): Found | null => {
  try {
    if (statSync(place).isFile()) return { entry: place, version: versionIn(dirname(place)) }
    const { main = "sdk.mjs" } = manifestOf(place)
    const entry = join(place, main)
    return existsSync(entry) ? { entry, version: versionIn(place) } : null
  } catch {
    return null
  }
}

const manifestOf = (folder: string) =>
  Object(JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))) as {
    readonly main?: string
    readonly version?: string
  }

const versionIn = (folder: string): string | null => {
  try {
    return manifestOf(folder).version ?? null
  } catch {
    return null
  }
}

export const load = (found: Found): Effect.Effect<Sdk, SdkMissing> =>
  Effect.tryPromise({
    try: () => import(pathToFileURL(found.entry).href) as Promise<Partial<Sdk>>,
    catch: (error) => new SdkMissing({ text: `The Claude Agent SDK could not be loaded: ${String(error)}` })
  }).pipe(
    Effect.flatMap(({ query }) =>
      typeof query === "function"
        ? Effect.succeed({ query })
        : Effect.fail(new SdkMissing({ text: `There is no Claude Agent SDK in ${found.entry}.` }))
    )
  )
