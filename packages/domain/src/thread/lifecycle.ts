/**
 * The states of a session, a turn and what is inside it: written once, for the kernel, for the tables'
 * CHECK constraints and for the client's buttons.
 *
 *     turn      queued ──▶ sending ──▶ running ──▶ completed | error | interrupted
 *                 │           │ ▲
 *                 │           ▼ └─ (never delivered) back to queued
 *                 └──▶ cancelled     sending ──▶ steered | error | interrupted
 *
 *     session   stopped ──▶ starting ──▶ ready ⇄ running ──▶ error
 *                  ▲___________│___________│________│____________│
 */
import { Schema } from "effect"

export const SessionStatus = Schema.Literals(["stopped", "starting", "ready", "running", "error"])
export type SessionStatus = typeof SessionStatus.Type

export const OpenTurnState = Schema.Literals(["queued", "sending", "running"])
export type OpenTurnState = typeof OpenTurnState.Type

export const SettledTurnState = Schema.Literals(["completed", "error", "interrupted", "cancelled", "steered"])
export type SettledTurnState = typeof SettledTurnState.Type

export const TurnState = Schema.Literals([...OpenTurnState.literals, ...SettledTurnState.literals])
export type TurnState = typeof TurnState.Type

export const isSettled = Schema.is(SettledTurnState)

/** Whether the provider got the message: as far as we can prove it. */
export const Delivered = Schema.Literals(["delivered", "not_delivered", "unknown"])
export type Delivered = typeof Delivered.Type

/** `superseded`: a retry of the provider began the text anew; this is the cut half. */
export const ItemStatus = Schema.Literals([
  "open",
  "completed",
  "failed",
  "declined",
  "interrupted",
  "superseded"
])
export type ItemStatus = typeof ItemStatus.Type

export const RequestStatus = Schema.Literals(["open", "answering", "answered", "expired"])
export type RequestStatus = typeof RequestStatus.Type

/** Bounds of the kernel. Every list in the state has one. */
export const limits = {
  /** Turns of one thread that wait. */
  queuedTurns: 100,
  /** Sends and session starts begun for one turn before it settles as an error: no turn crash-loops. */
  tries: 6,
  /** Restarts of the server that cut a try of one turn short, before it settles as an error. */
  restarts: 50,
  /** Providers of one thread whose resume cursors are kept. */
  resumes: 8,
  /** Provider turns we heard of but did not adopt, kept in mind. */
  heardTurns: 8,
  /** UTF-16 units. */
  promptLength: 1_000_000,
  titleLength: 500,
  /** Streamed text of one open item; what is beyond is dropped and counted in its end. UTF-16 units. */
  itemTextLength: 1_000_000,
  lastErrorLength: 2_000
} as const

/** Time that may pass before the kernel is asked what it means. Milliseconds, measured monotonically. */
export const deadlines = {
  /** An interrupt was accepted, the turn has not ended. */
  interrupt: 10_000,
  /** A final error was reported, the turn has not ended. */
  finalError: 30_000,
  /** A running turn says nothing. */
  quiet: 300_000
} as const
export type DeadlineKind = keyof typeof deadlines
