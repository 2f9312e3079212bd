/**
 * `npm run test:browser`: the web client in a real browser, against the real server process with the scripted
 * provider. Builds the client first. `-- --screenshots` also renews the pictures in docs/screenshots.
 *
 * It takes the Chromium that is installed; TURNKEEPER_CHROMIUM names another. Without any it says what to
 * install, and has failed. The last line counts.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { findChromium } from "../apps/web/test/browser/chromium.ts"
import { conclude, runSuites } from "./vitestRun.ts"

const root = join(import.meta.dirname, "..")
const web = join(root, "apps/web")
const pictures = join(root, "docs/screenshots")

/** One after the other: each has a server and a browser of its own. */
const suites = ["flows", "connection", "long", "views"].map((name) => ({
  package: "apps/web",
  files: [`test/browser/${name}.test.ts`]
}))

const build = (): boolean => {
  const vite = join(web, "node_modules/vite/bin/vite.js")
  const { status } = spawnSync(process.execPath, [vite, "build", "--logLevel", "warn"], {
    cwd: web,
    stdio: "inherit"
  })
  return status === 0
}

const run = (): number => {
  const chromium = findChromium()
  if (chromium === null) {
    console.error("No Chromium is installed, so nothing of the web client can be shown.")
    console.error("Install one: apt-get install chromium, or name yours: TURNKEEPER_CHROMIUM=/path/to/it")
    return conclude({ passed: 0, failed: 1, skipped: 0 })
  }
  console.log(`The browser: ${chromium}`)
  if (!build()) {
    console.error("The web client could not be built.")
    return conclude({ passed: 0, failed: 1, skipped: 0 })
  }
  const wantsPictures = process.argv.includes("--screenshots")
  if (wantsPictures) mkdirSync(pictures, { recursive: true })
  const env = {
    TURNKEEPER_BROWSER: chromium,
    ...(wantsPictures && { TURNKEEPER_SCREENSHOTS: pictures })
  }
  return conclude(runSuites(suites, env))
}

process.exitCode = run()
