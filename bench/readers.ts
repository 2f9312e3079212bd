/** So many readers of one thread, in a process of their own. Says when they are live, and when they have it all. */
import { createInterface } from "node:readline"
import { follow } from "./follow.ts"

const [url, token, threadId, count] = process.argv.slice(2) as [string, string, string, string]
const readers = await Promise.all(
  Array.from({ length: Number(count) }, () => follow({ url, token }, threadId))
)
console.log("live")
createInterface({ input: process.stdin })
  .on(
    "line",
    (version) =>
      void Promise.all(readers.map((reader) => reader.until(Number(version)))).then(() =>
        console.log(String(readers.reduce((sum, reader) => sum + reader.bytes(), 0)))
      )
  )
  // Ends with whoever started it.
  .on("close", () => process.exit(0))
