/** Is OpenCode usable here, and if not, what is to be done? Asks the program itself. */
import { StartFailed } from "@turnkeeper/provider-kit/Child"
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

/** Of a server that speaks the API that is used here: an older one, or none, answers otherwise. */
export const version = Effect.fn("health.version")(function* (api: Api, deadline: Duration.Input) {
  const body = yield* api.get<unknown>(healthPath, { deadline }).pipe(
    // A server that does not let us in may well be the right one.
    Effect.catchIf(
      (error) => error._tag === "Refused" && error.status !== 401 && error.status !== 403,
      () => Effect.succeed(null)
    )
  )
  const said: unknown = Reflect.get(Object(body), "version")
  if (typeof said === "string") return said
  return yield* new StartFailed({
    missing: false,
    text: `The server does not answer ${healthPath} as OpenCode does; it may be too old. Update it with \`npm install -g opencode-ai\`.`
  })
})

const healthPath = "/global/health"

export const ask = Effect.fn("health.ask")(function* (api: Api, deadline: Duration.Input) {
  const found = yield* version(api, deadline)
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
        version: found,
        models,
        advice: "Sign in with `opencode auth login`."
      } satisfies Health)
    : ({ status: "ready", version: found, models, advice: null } satisfies Health)
})

const modelsMax = 500
