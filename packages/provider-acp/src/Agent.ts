/**
 * An agent's process that is ready to be spoken to: started, asked what it is, signed in where it was said how.
 */
import type { StartFailed } from "@turnkeeper/provider-kit/Child"
import { Refused } from "@turnkeeper/provider-kit/JsonRpc"
import type {
  CallFailed,
  ConnectionOptions,
  Notification,
  PeerRequest
} from "@turnkeeper/provider-kit/JsonRpc"
import type { Transport } from "@turnkeeper/provider-kit/Transport"
import { Effect } from "effect"
import type { Duration, Scope } from "effect"
import packageJson from "../package.json" with { type: "json" }
import * as Connection from "./Connection.ts"
import { clientCapabilities, codes, list, protocolVersion, record, textOf } from "./protocol.ts"

/** Who hears what the agent says, once there is somebody. */
export interface Listener {
  readonly hear: (notification: Notification) => Effect.Effect<void>
  readonly ask: (request: PeerRequest) => Effect.Effect<void>
}

export interface Agent {
  readonly connection: Connection.Connection
  readonly about: About
  /** To be called in the reader, so that nothing behind the answer that makes the listener is missed. */
  readonly listen: (listener: Listener) => void
}

/** What an agent says of itself. */
export interface About {
  readonly version: string | null
  readonly loads: boolean
  readonly resumes: boolean
  readonly closes: boolean
  readonly lists: boolean
  readonly takesImages: boolean
  /** How one signs in, in the agent's words; null where it names no way. */
  readonly signIn: string | null
}

export interface StartOptions {
  readonly transport: Effect.Effect<Transport, StartFailed, Scope.Scope>
  /** Of each of the two calls. */
  readonly deadline: Duration.Input
  /** The way to sign in that is to be used before anything else. */
  readonly authMethod: string | undefined
  readonly tap: ConnectionOptions["tap"]
}

export const start = Effect.fn("Agent.start")(function* (
  options: StartOptions
): Effect.fn.Return<Agent, StartFailed | CallFailed, Scope.Scope> {
  const transport = yield* options.transport
  const scope = yield* Effect.scope
  let listener: Listener | null = null
  let wire: Connection.Connection | null = null
  // The wire cannot be read before it is made: whoever asks is asked to wait for nobody.
  const refuse = ({ id }: PeerRequest) =>
    Effect.suspend(
      () => wire?.refuse(id, codes.methodNotFound, "There is no session yet.") ?? Effect.void
    ).pipe(Effect.ignore, Effect.forkIn(scope), Effect.asVoid)
  const connection = yield* Connection.make(
    transport,
    {
      notification: (notification) => listener?.hear(notification) ?? Effect.void,
      request: (request) => listener?.ask(request) ?? refuse(request)
    },
    { tap: options.tap }
  )
  wire = connection
  const { deadline } = options
  const initialized = yield* connection.call(
    "initialize",
    {
      protocolVersion,
      clientCapabilities,
      clientInfo: { name: "turnkeeper", title: "Turnkeeper", version: packageJson.version }
    },
    { deadline }
  )
  const spoken = record(initialized)["protocolVersion"]
  if (spoken !== protocolVersion) {
    return yield* new Refused({
      method: "initialize",
      code: codes.invalidParams,
      text: `This agent speaks version ${String(spoken)} of the Agent Client Protocol, not ${protocolVersion}.`
    })
  }
  if (options.authMethod !== undefined)
    yield* connection.call("authenticate", { methodId: options.authMethod }, { deadline })
  return { connection, about: aboutOf(initialized), listen: (one) => void (listener = one) }
})

const aboutOf = (initialized: unknown): About => {
  const { agentCapabilities, agentInfo, authMethods } = record(initialized)
  const able = record(agentCapabilities)
  const session = record(able["sessionCapabilities"])
  const has = (name: string) => session[name] !== undefined && session[name] !== null
  return {
    version: textOf(record(agentInfo)["version"]),
    loads: able["loadSession"] === true,
    resumes: has("resume"),
    closes: has("close"),
    lists: has("list"),
    takesImages: record(able["promptCapabilities"])["image"] === true,
    signIn: signInOf(authMethods)
  }
}

const signInOf = (methods: unknown): string | null => {
  const ways = list(methods)
    .map(record)
    .flatMap(({ name, description }) => textOf(description) ?? textOf(name) ?? [])
  return ways.length === 0 ? null : ways.slice(0, 5).join(" · ").slice(0, 500)
}
