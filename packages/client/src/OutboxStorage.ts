/**
 * Where commands are kept from the moment they are given until the server has answered, so that a reload
 * or a crash of the client loses none and sends none twice.
 */
import type { Command } from "@turnkeeper/contracts/Command"

/** One command on its way. Plain JSON. */
export interface StoredCommand {
  readonly command: typeof Command.Encoded
  /** The database it was made for; null when none was known yet. */
  readonly epoch: string | null
  readonly createdAt: number
  /** The tag of the server's refusal, once there is one; the text of a message is kept with it. */
  readonly refused: string | null
}

/** Each method may answer at once or later. A failure of `save` does not keep a command from being sent. */
export interface OutboxStorage {
  /** Everything that is kept, in the order in which it was saved. */
  readonly load: () => ReadonlyArray<StoredCommand> | Promise<ReadonlyArray<StoredCommand>>
  /** Adds it, or replaces the one with the same command id. */
  readonly save: (stored: StoredCommand) => void | Promise<void>
  readonly remove: (commandId: string) => void | Promise<void>
}

/** Kept for as long as the program runs: every client that is given the same object shares it. */
export const memoryOutbox = (): OutboxStorage => {
  const kept = new Map<string, StoredCommand>()
  return {
    load: () => [...kept.values()],
    save: (stored) => void kept.set(stored.command.commandId, stored),
    remove: (commandId) => void kept.delete(commandId)
  }
}

/** What `localStorage` and `sessionStorage` are. */
export interface KeyValueStorage {
  readonly length: number
  readonly key: (index: number) => string | null
  readonly getItem: (key: string) => string | null
  readonly setItem: (key: string, value: string) => void
  readonly removeItem: (key: string) => void
}

/**
 * Kept in a browser's storage. One key per command, so that tabs that share the storage never write over
 * each other; a command that two tabs send has one id and is done once.
 *
 * `name`: one per server and user, e.g. `location.origin`.
 */
export const localStorageOutbox = (
  name: string,
  storage: KeyValueStorage = globalThis.localStorage
): OutboxStorage => {
  const prefix = `turnkeeper.outbox.${name}.`
  const read = (key: string) => {
    try {
      return JSON.parse(storage.getItem(key) ?? "null") as StoredCommand | null
    } catch {
      return null
    }
  }
  return {
    load: () =>
      Array.from({ length: storage.length }, (_, index) => storage.key(index))
        .filter((key) => key !== null && key.startsWith(prefix))
        .flatMap((key) => read(key as string) ?? [])
        .toSorted((a, b) => a.createdAt - b.createdAt),
    save: (stored) => storage.setItem(prefix + stored.command.commandId, JSON.stringify(stored)),
    remove: (commandId) => storage.removeItem(prefix + commandId)
  }
}
