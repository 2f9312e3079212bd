/** A client over made rows. It takes every command and does nothing. */
import type { Client, OutboxEntry, ThreadModel } from "@turnkeeper/client"
import { models, projects, providers } from "./rows.ts"

const constant = <A>(value: A) => ({ get: () => value, subscribe: () => () => {} })

const server = {
  protocol: 1,
  version: "0.0.0",
  instanceId: "gallery",
  epoch: "gallery",
  startedAt: 0,
  capabilities: [],
  limits: {}
}

const unsent: ReadonlyArray<OutboxEntry> = models.flatMap(({ pending }) =>
  pending.map(({ commandId, text, threadId, turnId, messageId, createdAt, failure }) => ({
    commandId,
    command: { type: "thread.turn.start" as const, commandId, threadId, turnId, messageId, text },
    createdAt,
    epoch: null,
    state: "refused" as const,
    failure
  }))
)

const gone = (threadId: string): ThreadModel => ({ ...models[0]!, threadId, thread: null, status: "gone" })

const known = {
  connection: constant({ status: "live" as const, since: 0, server }),
  shell: constant({
    status: "live" as const,
    asOf: Date.now(),
    projects,
    threads: models.flatMap((model) => (model.thread === null ? [] : [model.thread]))
  }),
  providers: constant({ status: "live" as const, asOf: Date.now(), providers }),
  outbox: { ...constant({ entries: unsent, storage: "ready" as const }), discard: async () => true },
  call: async (method: string) =>
    method === "orchestration.search" ? { hits: [], before: null } : { path: "/", directories: [] },
  thread: (threadId: string) => ({
    threadId,
    model: constant(models.find((model) => model.threadId === threadId) ?? gone(threadId)),
    loadOlder: async () => {},
    loadBackTo: async () => {},
    close: () => {}
  })
}

export const madeClient = new Proxy(known, {
  get: (target, name) =>
    Reflect.has(target, name)
      ? (Reflect.get(target, name) as unknown)
      : () => Promise.resolve({ status: "accepted", sequence: 1, version: 1 })
}) as unknown as Client
