/**
 * Calls as a client should make them, from the schemas of the API themselves, and what a broken or hostile
 * client makes of them.
 */
import { Api } from "@turnkeeper/contracts/Api"
import { Command } from "@turnkeeper/contracts/Command"
import { Arbitrary, Effect } from "effect"
import * as fc from "fast-check"

export interface Call {
  readonly method: string
  readonly params: unknown
}

/** The seed of all that is drawn here: another one by `TURNKEEPER_TEST_SEED`. */
export const seed = Number(process.env["TURNKEEPER_TEST_SEED"] ?? 20_261_121)
export const deep = process.env["TURNKEEPER_TEST_DEEP"] === "1"

/** Few names, so that calls meet: what one makes another one changes. */
const names = ["a", "b", "c"]
const ids = new Set(["threadId", "projectId", "turnId", "newTurnId", "messageId", "newMessageId", "before"])

const meeting = (value: unknown, key = "", at = 0): unknown => {
  if (Array.isArray(value)) return value.map((inner, index) => meeting(inner, "", at + index))
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, inner], index) => [name, meeting(inner, name, at + index)])
    )
  }
  return ids.has(key) && typeof value === "string" ? names[(value.length + at) % names.length] : value
}

const cursor = { epoch: "another", version: 3, texts: { "a/1": 2 } }

/** Valid calls: commands from their schema, the others by hand. */
export const calls: Effect.Effect<fc.Arbitrary<Call>> = Effect.gen(function* () {
  const drawn = yield* Effect.orDie(Arbitrary.sampleEffect(Arbitrary.schema(Command), { count: 400, seed }))
  const commands = drawn.map((command) => meeting(command) as object)
  const others: ReadonlyArray<Call> = [
    { method: "server.hello", params: { protocol: { min: 1, max: 1 }, client: { name: "x", version: "1" } } },
    { method: "orchestration.history", params: { threadId: "a", before: 9, limit: 3 } },
    { method: "orchestration.subscribeShell", params: { after: { epoch: "e", sequence: 0 } } },
    { method: "orchestration.subscribeThread", params: { threadId: "a", after: cursor, tail: 5 } },
    ...[...Api.requests.keys()]
      .filter((method) => method !== "orchestration.dispatch" && method !== "providers.refresh")
      .map((method) => ({ method, params: {} }))
  ]
  const command = fc.record({ command: fc.constantFrom(...commands), salt: fc.nat(1_000_000) })
  return fc.oneof(
    { weight: 4, arbitrary: command.map(({ command, salt }): Call => dispatch(command, salt)) },
    { weight: 1, arbitrary: fc.constantFrom(...others) }
  )
})

const dispatch = (command: object, salt: number): Call => ({
  method: "orchestration.dispatch",
  params: { command: { ...command, commandId: `fuzz-${salt}` } }
})
