/**
 * `npm run docs:check`: every link in the project's pages leads to a file, and every heading that is linked
 * to is there.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"

const root = join(import.meta.dirname, "..")

/** Pages that people read; what tools install is not ours. */
const pages = globSync("**/*.md", {
  cwd: root,
  exclude: (name) => name === "node_modules" || name === ".providers" || name === ".git"
})

const linksOf = (text: string) => [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target)

/** As the usual renderers make them: lower case, spaces as hyphens, no punctuation. */
const anchorsOf = (text: string) =>
  new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} -]/gu, "")
        .replaceAll(" ", "-")
    )
  )

const brokenIn = (page: string): ReadonlyArray<string> => {
  const file = join(root, page)
  return linksOf(readFileSync(file, "utf8")).filter((link) => {
    if (/^[a-z]+:/.test(link)) return false
    const [path = "", anchor] = link.split("#")
    const target = path === "" ? file : join(dirname(file), path)
    if (!existsSync(target)) return true
    return anchor !== undefined && !anchorsOf(readFileSync(target, "utf8")).has(anchor)
  })
}

const broken = pages.flatMap((page) => brokenIn(page).map((link) => `${page}: ${link}`))
for (const line of broken) console.log(`leads nowhere: ${line}`)
console.log(`${pages.length} pages in ${relative(process.cwd(), root) || "."}, ${broken.length} broken links`)
process.exitCode = broken.length === 0 ? 0 : 1
