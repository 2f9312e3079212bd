/** `node serverToKill.ts <options as JSON> <prompt>` */
import { serveToBeKilled } from "@turnkeeper/testkit/providerRig"
import * as Claude from "../src/Claude.ts"

await serveToBeKilled(Claude.make, ({ type }) => type === "item.started")
