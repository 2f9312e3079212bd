/** What a person may set for an instance, and how the adapter is made from that. The server's list names this. */
import { env, providerKind, setting } from "@turnkeeper/provider-kit/ProviderKind"
import { Schema } from "effect"
import * as Example from "./Example.ts"

export const kind = providerKind({
  kind: "example",
  settings: {
    binary: setting(Schema.String, "The agent's program. The one that comes with this adapter when absent."),
    env
  },
  make: (instance, settings) => Example.make({ ...instance, ...settings })
})
