/** Is OpenCode usable here, and if not, what is to be done? Asks the program itself. */
import type { Health, Model } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import type { Duration } from "effect"
import type { Api } from "./Api.ts"

export const notInstalled: Health = {
  status: "not_installed",
  version: null,
  models: [],
  advice:
    "No opencode program was found. Install it with `npm install -g opencode-ai`, or name it in TURNKEEPER_OPENCODE_BIN."
}

interface Providers {
  readonly providers: ReadonlyArray<{
    readonly id: string
    readonly models: Readonly<Record<string, { readonly id: string; readonly name: string }>>
  }>
}

export const ask = Effect.fn("health.ask")(function* (api: Api, deadline: Duration.Input) {
  const { version } = yield* api.get<{ readonly version: string }>("/global/health", { deadline })
  const { providers } = yield* api.get<Providers>("/config/providers", { deadline })
  const { model } = yield* api.get<{ readonly model?: string }>("/config", { deadline })
  const models = providers
    .flatMap((provider) =>
      Object.values(provider.models).map(({ id, name }): Model => {
        const full = `${provider.id}/${id}`
        return { id: full, name, isDefault: full === model }
      })
    )
    .slice(0, modelsMax)
  return models.length === 0
    ? ({
        status: "not_signed_in",
        version,
        models,
        advice: "Sign in with `opencode auth login`."
      } satisfies Health)
    : ({ status: "ready", version, models, advice: null } satisfies Health)
})

const modelsMax = 500
