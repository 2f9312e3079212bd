/**
 * The real server with the real Codex and a fake model behind it, in a folder of their own, and one client
 * that speaks the public API. Nothing of it is left when it is disposed of.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Chat } from "./Chat.ts"
import type { ChatOptions } from "./Chat.ts"
import { writeCodexHome } from "./codexHome.ts"
import type { CodexHomeOptions } from "./codexHome.ts"
import { start } from "./fakeModel/server.ts"
import type { RunningFakeModel } from "./fakeModel/server.ts"
import type { Client } from "./jsonrpc/Client.ts"
import { startServer } from "./process/Server.ts"
import type { ProviderConfig, RunningServer } from "./process/Server.ts"
import type { ProcessInfo } from "./process/tree.ts"

export interface CodexWorldOptions {
  readonly binary: string
  readonly home?: Omit<CodexHomeOptions, "modelUrl">
  readonly runtimeMode?: NonNullable<ChatOptions["runtimeMode"]>
  /** Further providers of the server, made once the folder is there. */
  readonly others?: (root: string, modelUrl: string) => Promise<ReadonlyArray<ProviderConfig>>
}

interface Parts {
  readonly root: string
  readonly work: string
  readonly model: RunningFakeModel
  readonly server: RunningServer
  readonly client: Client
  readonly chat: Chat
}

export class CodexWorld {
  /** Everything of this world is in here. */
  readonly root: string
  /** The project's folder, in which Codex works. */
  readonly work: string
  readonly model: RunningFakeModel
  readonly chat: Chat
  /** The server that runs now, or ran last. */
  server: RunningServer
  client: Client

  private constructor(parts: Parts) {
    this.root = parts.root
    this.work = parts.work
    this.model = parts.model
    this.chat = parts.chat
    this.server = parts.server
    this.client = parts.client
  }

  /** The provider's id is `codex`. */
  static async open(options: CodexWorldOptions): Promise<CodexWorld> {
    const { binary, others = async () => [], runtimeMode = "approval_required" } = options
    const root = await mkdtemp(join(tmpdir(), "codex-world-"))
    const work = join(root, "work")
    await mkdir(work)
    const model = await start({ slowDelayMs: 20 })
    const home = await writeCodexHome(join(root, "codex-home"), { ...options.home, modelUrl: model.url })
    const codex = { id: "codex", kind: "codex", binary, home: home.directory, env: home.env } as const
    const providers = [codex, ...(await others(root, model.url))]
    const server = await startServer({ directory: join(root, "server"), providers })
    const client = await server.connect()
    const chat = await Chat.open(client, { provider: "codex", directory: work, runtimeMode })
    return new CodexWorld({ root, work, model, server, client, chat })
  }

  /** Ends the server, by the signal, and starts another one on its data. */
  async restart(how: "SIGKILL" | "SIGTERM"): Promise<void> {
    await (how === "SIGKILL" ? this.server.kill() : this.server.terminate())
    await this.client.closed
    this.server = await this.server.restart()
    this.client = await this.server.connect()
    this.chat.use(this.client)
  }

  /** The running Codex process. */
  async codex(): Promise<ProcessInfo> {
    const found = (await this.server.children()).find(({ command }) => command.includes(" app-server"))
    if (found === undefined) throw new Error("No Codex runs.")
    return found
  }

  async signalCodex(signal: NodeJS.Signals): Promise<void> {
    process.kill((await this.codex()).pid, signal)
  }

  async dispose(): Promise<void> {
    this.client.cut()
    await this.server.dispose()
    await this.model.close()
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 })
  }
}
