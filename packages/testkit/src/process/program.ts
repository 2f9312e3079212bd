/** A server as `npm start` runs it: with the options that are given to Node there. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../../..")

const nodeOptions = (): ReadonlyArray<string> => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly scripts: { readonly start: string }
  }
  return scripts.start.split(" ").filter((word) => word.startsWith("--"))
}

const servedBy = (file: string): ReadonlyArray<string> => [...nodeOptions(), join(root, file), "serve"]

/** Arguments of Node. The sources as they are; the bundle has to be built. */
export const servedFrom = {
  sources: servedBy("apps/server/src/main.ts"),
  bundle: servedBy("apps/server/dist/main.js")
} as const
