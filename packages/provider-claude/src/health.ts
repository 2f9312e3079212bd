/** Is Claude usable here, and if not, what is to be done? Read from its answer to a beginning; no model is asked. */
import type { Health } from "@turnkeeper/provider-kit/Provider"
import type { Initialized } from "./sdk.ts"
import { packageName } from "./sdk.ts"

export const notInstalled: Health = {
  status: "not_installed",
  version: null,
  models: [],
  advice: `The Claude Agent SDK was not found. Install it with \`npm install -g ${packageName}\`, or name its folder in TURNKEEPER_CLAUDE_SDK.`
}

const modelsMax = 100

export const healthOf = (initialized: Initialized, sdkVersion: string | null): Health => {
  const version = initialized.claude_code_version ?? sdkVersion
  const models = (initialized.models ?? []).slice(0, modelsMax).map(({ value, displayName }) => ({
    id: value,
    name: displayName,
    isDefault: value === "default"
  }))
  return isSignedIn(initialized)
    ? { status: "ready", version, models, advice: null }
    : {
        status: "not_signed_in",
        version,
        models,
        advice: "Sign in by typing /login in `claude`, or set ANTHROPIC_API_KEY."
      }
}

/** Claude names where its key or its token comes from; other services than Anthropic's have their own sign-in. */
const isSignedIn = ({ account }: Initialized): boolean => {
  if (account === undefined) return true
  const { apiProvider = "firstParty", apiKeySource = "none", tokenSource = "none" } = account
  return apiProvider !== "firstParty" || apiKeySource !== "none" || tokenSource !== "none"
}
