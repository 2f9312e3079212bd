/**
 * The web client's files, as the server sends them: built by vite, each with its compressed forms beside it.
 *
 * What was built is marked with a hash of everything it was made of, so that the same sources are not built
 * again.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, globSync, readFileSync } from "node:fs"
import { cp, readFile, rename, rm, writeFile } from "node:fs/promises"
import { extname, join } from "node:path"
import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"

/** From the project's root: whatever can change what is built. */
const inputs = [
  "apps/web/index.html",
  "apps/web/package.json",
  "apps/web/vite.config.*",
  "apps/web/public/**",
  "apps/web/src/**",
  "packages/{client,contracts,domain}/package.json",
  "packages/{client,contracts,domain}/src/**",
  "bun.lockb",
  "scripts/buildWeb.ts"
]

const stampName = ".stamp"

/** Does nothing when `target` holds what these sources make. Throws when the build fails. */
export const buildWeb = async (root: string, target: string): Promise<void> => {
  const source = join(root, "apps/web")
  if (!existsSync(join(source, "index.html"))) return
  const stamp = hashOf(root)
  if (existsSync(join(target, stampName)) && readFileSync(join(target, stampName), "utf8") === stamp) return
  process.stderr.write("Building the web client …\n")
  const built = join(source, "dist")
  runVite(source, built)
  // It appears under its name only when it is whole.
  const fresh = `${target}.${process.pid}.new`
  try {
    await cp(built, fresh, { recursive: true })
    await compressAll(fresh)
    await writeFile(join(fresh, stampName), stamp)
    await rm(target, { recursive: true, force: true })
    await rename(fresh, target)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

const hashOf = (root: string): string => {
  const hash = createHash("sha256")
  const files = globSync(inputs, { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
  for (const file of files)
    hash.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0")
  return hash.digest("hex")
}

const runVite = (source: string, built: string) => {
  const vite = join(source, "node_modules/vite/bin/vite.js")
  const { status, error } = spawnSync(
    process.execPath,
    [vite, "build", "--outDir", built, "--emptyOutDir", "--logLevel", "warn"],
    // Standard output belongs to whatever comes after the build.
    { cwd: source, stdio: ["ignore", 2, 2] }
  )
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`The web client could not be built: vite ended with status ${status}.`)
}

const compressible = new Set([
  ".html",
  ".js",
  ".mjs",
  ".css",
  ".json",
  ".svg",
  ".txt",
  ".wasm",
  ".webmanifest"
])
/** Below this the headers weigh more than what is saved. */
const bytesMin = 1_024

const compressAll = async (directory: string) => {
  const files = globSync("**/*", { cwd: directory }).filter((name) => compressible.has(extname(name)))
  // One after another: the two compressors of a file already keep two cores busy.
  for (const name of files) await compress(join(directory, name))
}

const compress = async (file: string) => {
  const content = await readFile(file)
  if (content.length < bytesMin) return
  const [br, gz] = await Promise.all([
    promisify(brotliCompress)(content, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: content.length }
    }),
    promisify(gzip)(content, { level: 9 })
  ])
  if (br.length < content.length) await writeFile(`${file}.br`, br)
  if (gz.length < content.length) await writeFile(`${file}.gz`, gz)
}
