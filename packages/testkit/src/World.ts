/**
 * The real server with a real provider and a fake model behind it, in a folder of their own, and one client
 * that speaks the public API. Nothing of it is left when it is disposed of.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Chat } from "./Chat.ts"
import type { ChatOptions } from "./Chat.ts"
import { start } from "./fakeModel/server.ts"
import type { RunningFakeModel } from "./fakeModel/server.ts"
import type { Client } from "./jsonrpc/Client.ts"
import { startServer } from "./process/Server.ts"
import type { ProviderConfig, RunningServer } from "./process/Server.ts"
import type { ProcessInfo } from "./process/tree.ts"

export interface WorldOptions {
  readonly runtimeMode?: NonNullable<ChatOptions["runtimeMode"]>
  /** Further providers of the server, made once the folder is there. */
  readonly others?: (root: string, modelUrl: string) => Promise<ReadonlyArray<ProviderConfig>>
}

export interface Parts {
  readonly root: string
  readonly work: string
  readonly model: RunningFakeModel
  readonly server: RunningServer
  readonly client: Client
  readonly chat: Chat
}

/** The provider that `make` configures is the one that the chat's threads have. */
export const openParts = async (
  make: (root: string, modelUrl: string) => Promise<ProviderConfig>,
  options: WorldOptions
): Promise<Parts> => {
  const { others = async () => [], runtimeMode = "approval_required" } = options
  const root = await mkdtemp(join(tmpdir(), "field-world-"))
  const work = join(root, "work")
  await mkdir(work)
  const model = await start({ slowDelayMs: 20 })
  const provider = await make(root, model.url)
  const providers = [provider, ...(await others(root, model.url))]
  const server = await startServer({ directory: join(root, "server"), providers })
  const client = await server.connect()
  const chat = await Chat.open(client, { provider: provider.id, directory: work, runtimeMode })
  return { root, work, model, server, client, chat }
}

export class World {
  /** Everything of this world is in here. */
  readonly root: string
  /** The project's folder, in which the provider works. */
  readonly work: string
  readonly model: RunningFakeModel
  readonly chat: Chat
  /** The server that runs now, or ran last. */
  server: RunningServer
  client: Client

  constructor(parts: Parts) {
    this.root = parts.root
    this.work = parts.work
    this.model = parts.model
    this.chat = parts.chat
    this.server = parts.server
    this.client = parts.client
  }

  /** Ends the server, by the signal, and starts another one on its data. */
  async restart(how: "SIGKILL" | "SIGTERM"): Promise<void> {
    await (how === "SIGKILL" ? this.server.kill() : this.server.terminate())
    await this.client.closed
    this.server = await this.server.restart()
    this.client = await this.server.connect()
    this.chat.use(this.client)
  }

  async dispose(): Promise<void> {
    this.client.cut()
    await this.server.dispose()
    await this.model.close()
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 })
  }

  /** The running process of the server's whose command line has this in it. */
  protected async process(what: string): Promise<ProcessInfo> {
    const found = (await this.server.children()).find(({ command }) => command.includes(what))
    if (found === undefined) throw new Error(`Nothing with "${what}" runs.`)
    return found
  }
}
