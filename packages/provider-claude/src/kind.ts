/** What may be set for an instance of Claude. */
import { env, providerKind, setting } from "@turnkeeper/provider-kit/ProviderKind"
import { Schema } from "effect"
import * as Claude from "./Claude.ts"
import { packageName } from "./sdk.ts"

export const claude = providerKind({
  kind: "claude",
  settings: {
    sdk: setting(
      Schema.String,
      `The folder of ${packageName}. When absent: the variable TURNKEEPER_CLAUDE_SDK, else where npm has it.`
    ),
    binary: setting(
      Schema.String,
      "The program, in place of the one that comes with the SDK: `claude`, or a path."
    ),
    env
  },
  make: (instance, settings) => Claude.make({ ...instance, ...settings })
})
