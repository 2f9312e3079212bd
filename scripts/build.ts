/**
 * `npm run build`: the server as a few plain JavaScript files in `apps/server/dist`, and the web client as
 * it is served, compressed, in `apps/server/dist/web`.
 *
 * In development the sources run as they are. What is started for use is the bundle: it starts several times
 * as fast and holds about half the memory, because nothing is loaded that is not used. The web client is
 * built only when its sources have changed since.
 */
import { build as bundle } from "esbuild"
import { readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { buildWeb } from "./buildWeb.ts"

const root = join(import.meta.dirname, "..")
const directory = join(root, "apps/server/dist")
const web = "web"

const bundleServer = () =>
  bundle({
    absWorkingDir: root,
    entryPoints: { main: "apps/server/src/main.ts", start: "scripts/start.ts" },
    outdir: directory,
    bundle: true,
    // Commands that are not the server do not load it.
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22.19",
    minifySyntax: true,
    minifyWhitespace: true,
    // Names in stack traces and of services stay as they are written.
    keepNames: true,
    // A dependency in the older module format asks for built-in modules by `require`.
    banner: { js: 'import{createRequire as $r}from"node:module";const require=$r(import.meta.url);' },
    metafile: true,
    logLevel: "warning"
  })

const dayMillis = 86_400_000

/** Chunks of earlier builds have other names. A server that runs may still load those it was built with. */
const clear = async (made: ReadonlySet<string>) => {
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    if (name === web || made.has(path)) continue
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > dayMillis) await rm(path, { recursive: true, force: true })
  }
}

const { metafile } = await bundleServer()
await clear(new Set(Object.keys(metafile.outputs).map((path) => join(root, path))))
await buildWeb(root, join(directory, web))
