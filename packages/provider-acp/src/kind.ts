/** What a person may set for an agent that speaks the Agent Client Protocol. */
import { env, providerKind, setting } from "@turnkeeper/provider-kit/ProviderKind"
import { Schema } from "effect"
import * as Acp from "./Acp.ts"

const mode = Schema.optionalKey(Schema.String)

export const acp = providerKind({
  kind: "acp",
  settings: {
    command: setting(Schema.String, "The agent's program: a path, or a name on the path. Needed."),
    args: setting(
      Schema.Array(Schema.String),
      'What the program is started with, for many agents `["acp"]`.'
    ),
    env,
    authMethod: setting(
      Schema.String,
      "The id of one of the agent's ways to sign in, for an agent that wants to be told before it works."
    ),
    modes: setting(
      Schema.Struct({ read_only: mode, approval_required: mode, full_access: mode, plan: mode }),
      "The ids of the agent's modes, where their names do not say what they are."
    )
  },
  make: ({ stateDirectory: _, ...instance }, settings) => Acp.make({ ...instance, ...settings })
})
