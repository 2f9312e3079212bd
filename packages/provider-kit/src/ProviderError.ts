/**
 * The one error of a provider call: which call of which provider, and why in the domain's words.
 * Rules read `fault.reason`; `cause` keeps the native error for the log.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Fault } from "@turnkeeper/domain/runtime/Fault"
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
