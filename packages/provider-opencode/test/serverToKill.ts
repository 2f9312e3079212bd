/** `node serverToKill.ts <options as JSON> <prompt>` */
import { serveToBeKilled } from "@turnkeeper/testkit/providerRig"
import * as OpenCode from "../src/OpenCode.ts"

await serveToBeKilled(OpenCode.make)
