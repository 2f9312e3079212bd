/** What `npm start` runs, with the options that it gives to Node, as a server by itself. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

export const buildServer = () => {
  execFileSync(process.execPath, [join(root, "scripts/build.ts")])
}

const nodeOptions = (): ReadonlyArray<string> => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly scripts: { readonly start: string }
  }
  return scripts.start.split(" ").filter((word) => word.startsWith("--"))
}

/** Arguments of Node. It has to be built. */
export const serverProgram: ReadonlyArray<string> = [
  ...nodeOptions(),
  join(root, "apps/server/dist/main.js"),
  "serve"
]
