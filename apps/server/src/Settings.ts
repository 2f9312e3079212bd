/** What the server's behaviour can be tuned by. Every wait and every bound that is not a law is here. */
import { Context } from "effect"

export interface ServerSettings {
  /** How long streamed text is gathered before it is committed. */
  readonly gatherMs: number
  /** How long each call to a provider may take before its outcome is taken as unknown. */
  readonly openMs: number
  readonly sendMs: number
  readonly interruptMs: number
  readonly answerMs: number
  readonly stopMs: number
  readonly probeMs: number
  readonly evidenceMs: number
  readonly listMs: number
  /** Tries to read a provider's record before the delivery counts as unknown. */
  readonly evidenceTries: number
  /** Time between two looks at what is live. */
  readonly reconcileEveryMs: number
  /** A message that waited longer than this while the server was down is not sent any more. */
  readonly intentLimitMs: number
  /** A session that was not used for so long is closed, where the next message can go on from it. */
  readonly idleMs: number
  /** Time between two rounds of housekeeping. */
  readonly upkeepEveryMs: number
  /** How long the same command id is sure of the same answer, and of how many commands at most. */
  readonly receiptsKeptMs: number
  readonly receiptsMax: number
}

export const defaults: ServerSettings = {
  gatherMs: 20,
  openMs: 60_000,
  sendMs: 60_000,
  interruptMs: 10_000,
  answerMs: 10_000,
  stopMs: 15_000,
  probeMs: 10_000,
  evidenceMs: 30_000,
  listMs: 10_000,
  evidenceTries: 3,
  reconcileEveryMs: 60_000,
  intentLimitMs: 12 * 3_600_000,
  idleMs: 30 * 60_000,
  upkeepEveryMs: 60_000,
  receiptsKeptMs: 30 * 24 * 3_600_000,
  receiptsMax: 100_000
}

export const Settings: Context.Reference<ServerSettings> = Context.Reference<ServerSettings>(
  "server/Settings",
  {
    defaultValue: () => defaults
  }
)
