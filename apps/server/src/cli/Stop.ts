/** Ctrl-C and SIGTERM, as something a command can wait for instead of dying of it. */
import { Context } from "effect"
import type { Effect } from "effect"

export class Stop extends Context.Service<
  Stop,
  {
    /** Resolves at the first signal; at once, when there was one. */
    readonly asked: Effect.Effect<void>
  }
>()("server/cli/Stop") {}
