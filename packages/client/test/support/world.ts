/** The real server as a process with the scripted provider, and clients of it. All of it ends with `dispose`. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startServer } from "@turnkeeper/testkit/process/Server"
import type { RunningServer } from "@turnkeeper/testkit/process/Server"
import { connect, newId, until } from "../../src/index.ts"
import type {
  Client,
  ConnectOptions,
  Connection,
  Readable,
  ThreadHandle,
  ThreadModel
} from "../../src/index.ts"

export interface World {
  server: RunningServer
  readonly directory: string
  /** A client of this server, or of what stands before it. */
  readonly client: (options?: Partial<ConnectOptions>) => Promise<Client>
  readonly kill: () => Promise<void>
  readonly restart: () => Promise<void>
  /** Called at the end of the test, the last one first. */
  readonly onEnd: (end: () => Promise<unknown>) => void
  /** Closes the clients of this test and what stands before the server. */
  readonly endTest: () => Promise<void>
  readonly dispose: () => Promise<void>
}

export const startWorld = async (): Promise<World> => {
  const directory = await mkdtemp(join(tmpdir(), "turnkeeper-client-"))
  const ends: Array<() => Promise<unknown>> = []
  const launch = (port: number) =>
    startServer({
      directory,
      port,
      readyMs: 60_000,
      providers: [{ id: "scripted", kind: "scripted", tickMs: 2, recordDirectory: join(directory, "record") }]
    })
  const world: World = {
    server: await launch(0),
    directory,
    client: async (options) => {
      const token = await world.server.token()
      const client = connect({
        url: world.server.url,
        credential: { type: "token", token },
        client: { name: "test", version: "1" },
        ...options
      })
      ends.push(client.close)
      return client
    },
    kill: async () => {
      await world.server.kill()
    },
    restart: async () => {
      const { port } = new URL(world.server.url)
      world.server = await launch(Number(port))
    },
    onEnd: (end) => void ends.push(end),
    endTest: async () => {
      for (const end of ends.splice(0).toReversed()) await end()
    },
    dispose: async () => {
      await world.endTest()
      await world.server.dispose()
      await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    }
  }
  return world
}

/** For tests with real processes on a machine that may be busy: a bound, not a measure. */
export const patience = { timeout: 120_000 } as const

/** Resolves with the value for which it holds; says what there was instead. */
export const eventually = async <A>(
  readable: Readable<A>,
  predicate: (value: A) => boolean,
  deadlineMs = 30_000
): Promise<A> => {
  try {
    return await until(readable, predicate, AbortSignal.timeout(deadlineMs))
  } catch {
    throw new Error(`Not within ${deadlineMs} ms: ${predicate}; it is ${JSON.stringify(readable.get())}`)
  }
}

export const isStatus =
  (status: Connection["status"]) =>
  (connection: Connection): boolean =>
    connection.status === status

export const live = (client: Client) => eventually(client.connection, isStatus("live"))

export const isSettled = (turnId: string) => (model: ThreadModel) =>
  ["completed", "error", "interrupted", "cancelled", "steered"].includes(
    model.turns.find((turn) => turn.turnId === turnId)?.state ?? ""
  )

export const settled = (thread: ThreadHandle, turnId: string) => eventually(thread.model, isSettled(turnId))

/** A project, and a thread in it that begins with this message. */
export const begin = async (client: Client, text: string) => {
  const project = client.createProject({ title: "Test", directory: "/tmp" })
  const threadId = newId("thread")
  const thread = client.thread(threadId)
  const { projectId } = project
  const sent = client.send({
    threadId,
    text,
    createThread: { projectId, title: "Test", provider: "scripted" }
  })
  await Promise.all([project, sent])
  return { projectId, threadId, thread, turnId: sent.turnId }
}

export const answerOf = (model: ThreadModel, turnId: string): string =>
  model.entries
    .filter((entry) => entry.turnId === turnId && entry.type === "message" && entry.role === "assistant")
    .map((entry) => entry.text)
    .join("")

/** What a client that comes now is shown: the tables. */
export const fresh = async (world: World, threadId: string): Promise<ThreadModel> => {
  const client = await world.client()
  const thread = client.thread(threadId)
  const model = await eventually(thread.model, ({ status }) => status === "live" || status === "gone")
  await client.close()
  return model
}

/** The rows alone, without what only says when this client heard of them. */
export const rowsOf = ({ entries, requests, session, thread, turns }: ThreadModel) => ({
  thread,
  session,
  requests,
  entries,
  turns
})
