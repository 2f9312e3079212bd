/**
 * The one error of a provider call: which call of which provider, and why in the domain's words.
 * Rules read `fault.reason`; `cause` keeps the native error for the log.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Fault } from "@turnkeeper/domain/runtime/Fault"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import { Schema } from "effect"

export const Operation = Schema.Literals([
  "probe",
  "open",
  "send",
  "steer",
  "interrupt",
  "answer",
  "stop",
  "list",
  "evidence"
])
export type Operation = typeof Operation.Type

export class ProviderError extends Schema.TaggedError<ProviderError>()("ProviderError", {
  provider: ProviderInstanceId,
  operation: Operation,
  fault: Fault,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return `${this.provider} could not ${this.operation}: ${this.fault.message}`
  }
}

/** Makes the errors of one provider instance. */
export type Fail = (operation: Operation, reason: FaultReason, message: string) => ProviderError

export const failWith =
  (provider: ProviderInstanceId): Fail =>
  (operation, reason, message) =>
    new ProviderError({ provider, operation, fault: { reason, message } })

/** What failed inside an adapter, as the error of a call; one that is that already stays as it is. */
export type Wrap<E> = (operation: Operation) => (cause: E | ProviderError) => ProviderError

/** `reasonOf` reads types and codes, never what a message says. */
export const wrapWith =
  <E extends Error>(reasonOf: (cause: E) => FaultReason) =>
  (provider: ProviderInstanceId): Wrap<E> =>
  (operation) =>
  (cause) =>
    cause instanceof ProviderError
      ? cause
      : new ProviderError({
          provider,
          operation,
          fault: { reason: reasonOf(cause), message: cause.message },
          cause
        })
