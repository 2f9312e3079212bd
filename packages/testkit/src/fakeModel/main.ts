/**
 * The fake model as a process of its own:
 *
 *     node packages/testkit/src/fakeModel/main.ts --port 0 [--delay-ms 5] [--slow-delay-ms 200]
 *
 * Prints one line, `{"event":"ready","url":"http://127.0.0.1:…","port":…}`, and runs until SIGTERM or SIGINT.
 */
import { parseArgs } from "node:util"
import { start } from "./server.ts"

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    "delay-ms": { type: "string", default: "5" },
    "slow-delay-ms": { type: "string", default: "200" }
  }
})

const model = await start({
  port: Number(values.port),
  delayMs: Number(values["delay-ms"]),
  slowDelayMs: Number(values["slow-delay-ms"])
})
process.stdout.write(`${JSON.stringify({ event: "ready", url: model.url, port: model.port })}\n`)
const end = () => void model.close()
process.once("SIGTERM", end)
process.once("SIGINT", end)
