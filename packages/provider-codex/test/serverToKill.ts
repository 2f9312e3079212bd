/** `node serverToKill.ts <options as JSON> <prompt>` */
import { serveToBeKilled } from "@turnkeeper/testkit/providerRig"
import * as Codex from "../src/Codex.ts"

await serveToBeKilled(Codex.make)
