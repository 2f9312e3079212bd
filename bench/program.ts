import { execFileSync } from "node:child_process"
import { join } from "node:path"

/** What is measured as a process of its own is the bundle. */
export const buildServer = () => {
  execFileSync(process.execPath, [join(import.meta.dirname, "../scripts/build.ts")])
}
