/** How the server is doing. */
export type ServerState =
  | { readonly type: "starting" }
  /** `secret`: the bearer token for this run of the server. */
  | { readonly type: "ready"; readonly url: string; readonly pid: number; readonly secret: string }
  /** It ended and is started again after `waitMillis`. */
  | { readonly type: "waiting"; readonly reason: string; readonly waitMillis: number }
  /** Another server works on the data directory. `url`: null while that one is starting. */
  | { readonly type: "in_use"; readonly url: string | null; readonly pid: number | null }
  /** It ended too often in a row, and is not started again. */
  | { readonly type: "failed"; readonly reason: string }
  | { readonly type: "stopped" }

export interface KeepServerOptions {
  /** The program and its first arguments, e.g. Node and the server's `main.js`. */
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly dataDirectory: string
  /** Behind `serve --desktop --data …`. */
  readonly serverArgs?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly stderr?: "inherit" | "ignore"
  readonly onState?: (state: ServerState) => void
  readonly bounds?: {
    readonly readyMillis?: number
    readonly stopMillis?: number
    readonly backoffMillis?: number
    readonly backoffMillisMax?: number
    readonly steadyMillis?: number
    readonly restartsMax?: number
  }
}

export interface KeptServer {
  readonly state: () => ServerState
  /** Resolves when the server has ended. */
  readonly stop: () => Promise<void>
}

/** Starts the server and keeps it running until `stop`. */
export declare const keepServer: (options: KeepServerOptions) => KeptServer

/** A link that signs one window in, once, within some minutes. */
export declare const signInLink: (url: string, token: string) => Promise<string>
