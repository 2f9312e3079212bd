/** The server's tests on one mutant, named by its number in `TURNKEEPER_MUTANT`; without it on the server as it is. */
import { join } from "node:path"
import { defineConfig } from "vitest/config"
import { mutants } from "./mutants.ts"

const chosen = process.env["TURNKEEPER_MUTANT"]
const mutant = chosen === undefined ? null : mutants[Number(chosen)]!
const server = join(import.meta.dirname, "../..")

export default defineConfig({
  root: server,
  // A module that was transformed for one mutant must not be found again for another, nor for none.
  test: { fsModuleCache: false },
  plugins: [
    {
      name: "mutant",
      enforce: "pre",
      transform(code: string, id: string) {
        if (mutant === null || id.split("?")[0] !== join(server, "src", mutant.file)) return null
        const parts = code.split(mutant.find)
        if (parts.length !== 2)
          throw new Error(`${mutant.file} has the text of this mutant ${parts.length - 1} times`)
        return { code: parts.join(mutant.put), map: null }
      }
    }
  ]
})
