/**
 * Prints the list of threads each time it changes, and says when it is not up to date.
 *
 *     node examples/node/watch.ts
 */
import { threadWords } from "../../packages/contracts/src/Words.ts"
import { connectHere } from "./local.ts"

const client = connectHere()

const show = () => {
  const { asOf, status, threads } = client.shell.get()
  const age = status === "stale" && asOf !== null ? ` (as of ${new Date(asOf).toLocaleTimeString()})` : ""
  process.stdout.write(`${client.connection.get().status}${age}\n`)
  for (const row of threads)
    process.stdout.write(`  ${row.title.padEnd(40)} ${threadWords(row, Date.now())}\n`)
}

const ends = [client.shell.subscribe(show), client.connection.subscribe(show)]
process.once("SIGINT", () => {
  for (const end of ends) end()
  void client.close()
})
