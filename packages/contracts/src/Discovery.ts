/**
 * How a program on the same machine finds a running server: by two files in the data directory.
 *
 *     lock    {"pid", "startTime", "address"}: who owns the directory, and where it listens
 *     token   the bearer token, readable by the owner only
 */
import { Schema } from "effect"

export const files = { lock: "lock", token: "token", credentials: "credentials.json" } as const

export const Lock = Schema.Struct({
  pid: Schema.Int,
  /** Start time of the process as the system tells it, or null; tells a reused pid apart. */
  startTime: Schema.NullOr(Schema.Union([Schema.String, Schema.Number])),
  /** `http://127.0.0.1:4317`; null while the server is starting. */
  address: Schema.NullOr(Schema.String)
})
export type Lock = typeof Lock.Type

export const paths = {
  rpc: "/rpc",
  jsonRpc: "/jsonrpc",
  health: "/healthz",
  ready: "/readyz",
  metrics: "/metrics"
} as const

/** `$TURNKEEPER_HOME`, else `.turnkeeper` in the user's home. */
export const defaultDataDirectory = (
  environment: Readonly<Record<string, string | undefined>>,
  home: string
): string => environment["TURNKEEPER_HOME"] ?? `${home.replace(/[\\/]+$/, "")}/.turnkeeper`
