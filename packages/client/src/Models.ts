/**
 * What there is to show: the server's rows as far as they are known here, with what the user has asked for
 * and the server has not said yet.
 *
 * An object is the same until something in it has changed, down to each row and entry.
 */
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import type {
  Entry,
  ProjectRow,
  RequestRow,
  SessionRow,
  ThreadRow,
  TurnRow
} from "@turnkeeper/contracts/Rows"
import type { Delivery } from "@turnkeeper/domain/thread/Command"
import type { DispatchFailed } from "./Errors.ts"

/** `stale`: what is shown is what was true at `asOf`; the connection is away or still catching up. */
export type Freshness = "loading" | "live" | "stale"

export interface ShellModel {
  readonly status: Freshness
  /** Milliseconds since 1970 on this machine: when the server last said that this is true. Null: never. */
  readonly asOf: number | null
  /** By title. */
  readonly projects: ReadonlyArray<ProjectRow>
  /** The latest active first, archived ones included; deleted ones are gone. */
  readonly threads: ReadonlyArray<ThreadRow>
}

export interface ProvidersModel {
  readonly status: Freshness
  readonly asOf: number | null
  readonly providers: ReadonlyArray<ProviderRow>
}

/**
 * A message that the thread's rows do not show yet.
 *
 *     waiting   for the connection, or for an earlier command of the thread
 *     sending   on its way
 *     accepted  committed by the server; its turn comes with the next word of the thread
 *     held      made for another database: `outbox.resend` or `outbox.discard` it
 *     refused   `failure` says why; the text stays until it is resent or discarded
 */
export interface OptimisticSend {
  readonly commandId: string
  readonly threadId: string
  readonly turnId: string
  readonly messageId: string
  readonly text: string
  readonly delivery: Delivery
  readonly createdAt: number
  readonly state: "waiting" | "sending" | "accepted" | "held" | "refused"
  readonly failure: DispatchFailed | null
}

export interface ThreadModel {
  /** `gone`: the server has no such thread, or it was deleted. What was known of it still stands here. */
  readonly status: Freshness | "gone"
  readonly asOf: number | null
  readonly threadId: string
  /** Null until the first word of the server. */
  readonly thread: ThreadRow | null
  readonly session: SessionRow | null
  /** The open ones and those of the entries, in the order in which they run. */
  readonly turns: ReadonlyArray<TurnRow>
  /** Those that wait for the user or for the provider. One that is just being answered here is `answering`. */
  readonly requests: ReadonlyArray<RequestRow>
  /** The newest that were closed while this client followed, oldest first: what was answered, or not any more. */
  readonly closedRequests: ReadonlyArray<RequestRow>
  /** In the order of `position`. */
  readonly entries: ReadonlyArray<Entry>
  readonly hasOlder: boolean
  readonly loadingOlder: boolean
  /** In the order in which they were asked for. */
  readonly pending: ReadonlyArray<OptimisticSend>
  /** `asking`: a stop of this client is on its way. `asked`: the server has it, the end is not yet proven. */
  readonly stopping: "asking" | "asked" | null
}
