/** Finds the server of this machine, as `turnkeeper` does: by two files in its data directory. */
import { defaultDataDirectory, files } from "../../packages/contracts/src/Discovery.ts"
import { connect } from "../../packages/client/src/index.ts"
import type { Client, ConnectOptions } from "../../packages/client/src/index.ts"
import { readFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"

export const connectHere = (options: Partial<ConnectOptions> = {}): Client => {
  const directory = defaultDataDirectory(process.env, homedir())
  const { address } = JSON.parse(readFileSync(join(directory, files.lock), "utf8")) as {
    readonly address: string
  }
  // Read anew for each connection, so that a new token needs no restart of this program.
  const token = () => readFileSync(join(directory, files.token), "utf8").trim()
  return connect({
    url: address,
    credential: { type: "token", token },
    client: { name: "example", version: "1" },
    ...options
  })
}
