/**
 * The commands that are kept: in memory as they are shown, in the storage as they survive a reload, and the
 * answers that are waited for.
 */
import type { Accepted, Command } from "@turnkeeper/contracts/Command"
import { UnknownFailure } from "@turnkeeper/contracts/Errors"
import { Deferred, Effect } from "effect"
import type { Result } from "effect"
import type { OutboxEntry, OutboxModel } from "./Client.ts"
import type { DispatchFailed } from "./Errors.ts"
import type { OutboxStorage, StoredCommand } from "./OutboxStorage.ts"
import { makeStore } from "./Readable.ts"

export type Encoded = typeof Command.Encoded

export type Kept = ReturnType<typeof makeKept>

export const makeKept = (storage: OutboxStorage) => {
  const model = makeStore<OutboxModel>({ entries: [], storage: "loading" })
  const answers = new Map<string, Deferred.Deferred<Accepted, DispatchFailed>>()

  const entries = () => model.get().entries
  const show = (change: Partial<OutboxModel>) => model.set({ ...model.get(), ...change })
  const find = (commandId: string) => entries().find((one) => one.commandId === commandId)

  /** A storage that fails costs durability, never the command. */
  const stored = (act: () => unknown) =>
    Effect.tryPromise({ try: async () => act(), catch: () => "failing" as const }).pipe(
      Effect.match({ onSuccess: () => "ready" as const, onFailure: (failing) => failing }),
      Effect.map((state) => {
        if (model.get().storage !== state) show({ storage: state })
      })
    )
  const save = (entry: OutboxEntry) => stored(() => storage.save(toStored(entry)))

  const finish = (commandId: string, result: Result.Result<Accepted, DispatchFailed>) => {
    const answer = answers.get(commandId)
    answers.delete(commandId)
    if (answer !== undefined) Deferred.doneUnsafe(answer, Effect.fromResult(result))
  }

  return {
    model,
    find,
    save,
    add: (entry: OutboxEntry) => show({ entries: [...entries(), entry] }),
    change: (commandId: string, by: Partial<OutboxEntry>) =>
      show({ entries: entries().map((one) => (one.commandId === commandId ? { ...one, ...by } : one)) }),
    /** Takes it out for good, with this answer. */
    end: (commandId: string, result: Result.Result<Accepted, DispatchFailed>) => {
      show({ entries: entries().filter((one) => one.commandId !== commandId) })
      finish(commandId, result)
      return stored(() => storage.remove(commandId))
    },
    /** Tells those who wait; the entry stays. */
    finish,
    /** Tells everybody who waits. */
    finishAll: (result: Result.Result<Accepted, DispatchFailed>) => {
      for (const commandId of answers.keys()) finish(commandId, result)
    },
    answerTo: (commandId: string): Effect.Effect<Accepted, DispatchFailed> => {
      const answer = answers.get(commandId) ?? Deferred.makeUnsafe<Accepted, DispatchFailed>()
      answers.set(commandId, answer)
      return Deferred.await(answer)
    },
    /** Puts what the storage holds before what was given meanwhile; gives what it found. */
    load: Effect.tryPromise({ try: async () => storage.load(), catch: () => null }).pipe(
      Effect.match({ onSuccess: (all) => all, onFailure: () => null }),
      Effect.map((all) => {
        const loaded = (all ?? [])
          .filter(isReadable)
          .map(fromStored)
          .filter((one) => find(one.commandId) === undefined)
        show({ entries: [...loaded, ...entries()], storage: all === null ? "failing" : "ready" })
        return loaded
      })
    )
  }
}

const toStored = ({ command, createdAt, epoch, failure, state }: OutboxEntry): StoredCommand => ({
  command,
  createdAt,
  epoch,
  refused: state === "refused" ? (failure?._tag ?? null) : null
})

/** What something else has left in the storage is not ours to send, nor to delete. */
const isReadable = (stored: Partial<StoredCommand> | null): stored is StoredCommand =>
  typeof stored?.command?.commandId === "string" && typeof stored.createdAt === "number"

const fromStored = ({ command, createdAt, epoch = null, refused = null }: StoredCommand): OutboxEntry => ({
  commandId: command.commandId,
  command,
  createdAt,
  epoch,
  state: refused === null ? "waiting" : "refused",
  failure: refused === null ? null : new UnknownFailure({ tag: refused })
})
