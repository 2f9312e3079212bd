/**
 * The files of the web client. They hold no secret, so they need no credential.
 *
 * Promise: nothing outside the client's folder is ever read. Its files are listed beforehand, and a request
 * can only name one of the list; links are not followed.
 */
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import type { HttpServerRequest } from "effect/http"
import { existsSync, readdirSync, statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { extname, join } from "node:path"
import { ofPage } from "./headers.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

export interface Site {
  /** The file that the request names; null where it names none. */
  readonly file: (request: Request) => Effect.Effect<Response> | null
  /** The page itself, for a place inside it that somebody opens in a browser; null for any other request. */
  readonly page: (request: Request) => Effect.Effect<Response> | null
}

/** Beside the bundle; in development where the web client's own build puts it. Null: it was not built. */
export const found = (): string | null =>
  [join(import.meta.dirname, "web"), join(import.meta.dirname, "../../../web/dist")].find((directory) =>
    existsSync(join(directory, index))
  ) ?? null

const index = "index.html"

/** Far more than a web client has: a folder with more was given by mistake. */
const filesMax = 5_000

export const make = (directory: string | null): Site => {
  const fileAt = directory === null ? () => undefined : makeListing(directory)
  return {
    file: (request) => {
      if (!isRead(request)) return null
      const path = pathOf(request.url)
      const file = fileAt(path === "/" ? `/${index}` : path)
      return file === undefined ? null : answer(file, request)
    },
    page: (request) => {
      if (!isRead(request) || !isNavigation(request)) return null
      const page = fileAt(`/${index}`)
      return page === undefined ? Effect.succeed(notBuilt) : answer(page, request)
    }
  }
}

/** Finds a file by its path in the address. A client that is built anew while the server runs is listed anew. */
const makeListing = (directory: string) => {
  const builtAt = () => statSync(join(directory, index), { throwIfNoEntry: false })?.mtimeMs
  let listedAt = builtAt()
  let files = listed(directory)
  return (path: string): SiteFile | undefined => {
    const known = files.get(path)
    if (known !== undefined && path !== `/${index}`) return known
    const now = builtAt()
    if (now === undefined || now === listedAt) return known
    try {
      files = listed(directory)
      listedAt = now
    } catch {
      // It is being replaced at this moment: the next request looks again.
    }
    return files.get(path)
  }
}

interface SiteFile {
  /** On disk. */
  readonly path: string
  readonly type: string
  readonly etag: string
  /** The name holds a hash of the content. */
  readonly immutable: boolean
  /** What was compressed when it was built, best first. */
  readonly encodings: ReadonlyArray<{ readonly name: string; readonly path: string }>
}

const encodings = [
  { name: "br", extension: ".br" },
  { name: "gzip", extension: ".gz" }
]

/** By their path in the address. */
const listed = (directory: string): ReadonlyMap<string, SiteFile> => {
  const names = namesUnder(directory, "")
  if (names.length > filesMax) throw new Error(`${directory} has more than ${filesMax} files`)
  const all = new Set(names)
  const files = new Map<string, SiteFile>()
  for (const name of names) {
    if (encodings.some(({ extension }) => name.endsWith(extension))) continue
    const path = join(directory, name)
    const { size, mtimeMs } = statSync(path)
    files.set(`/${name}`, {
      path,
      type: types[extname(name)] ?? "application/octet-stream",
      etag: `W/"${size.toString(36)}-${Math.trunc(mtimeMs).toString(36)}"`,
      immutable: name.startsWith("assets/"),
      encodings: encodings.flatMap(({ name: encoding, extension }) =>
        all.has(name + extension) ? [{ name: encoding, path: path + extension }] : []
      )
    })
  }
  return files
}

/** With forward slashes; nothing hidden, and files only: a link is none. */
const namesUnder = (directory: string, prefix: string): ReadonlyArray<string> =>
  readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith(".")) return []
    const name = `${prefix}${entry.name}`
    if (entry.isDirectory()) return namesUnder(directory, `${name}/`)
    return entry.isFile() ? [name] : []
  })

const answer = (file: SiteFile, request: Request): Effect.Effect<Response> =>
  Effect.gen(function* () {
    const headers = {
      ...ofPage,
      "cache-control": file.immutable ? "public, max-age=31536000, immutable" : "no-cache",
      etag: file.etag,
      vary: "accept-encoding"
    }
    if (isKnown(request.headers["if-none-match"], file.etag))
      return HttpServerResponse.empty({ status: 304, headers })
    const encoding = file.encodings.find(({ name }) => accepts(request.headers["accept-encoding"], name))
    const content = yield* Effect.tryPromise(() => readFile(encoding?.path ?? file.path))
    return HttpServerResponse.uint8Array(content, {
      contentType: file.type,
      headers: encoding === undefined ? headers : { ...headers, "content-encoding": encoding.name }
    })
  }).pipe(
    // Built anew or taken away since the server started.
    Effect.orElseSucceed(() => HttpServerResponse.empty({ status: 404 }))
  )

const isRead = ({ method }: Request) => method === "GET" || method === "HEAD"

/** Somebody opens an address, rather than a page asking for a file or a program for data. */
const isNavigation = ({ headers, url }: Request) =>
  (headers["accept"] ?? "").includes("text/html") && extname(pathOf(url)) === ""

/** The path of a request's address, decoded; empty where that cannot be. */
const pathOf = (url: string): string => {
  try {
    return decodeURIComponent(url.split(/[?#]/, 1)[0] ?? "")
  } catch {
    return ""
  }
}

const isKnown = (header: string | undefined, etag: string) =>
  header !== undefined && header.split(",").some((one) => one.trim() === etag)

const accepts = (header: string | undefined, encoding: string) =>
  (header ?? "").split(",").some((one) => {
    const [name = "", ...parameters] = one.split(";").map((part) => part.trim().toLowerCase())
    return name === encoding && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })

const notBuilt = HttpServerResponse.text(
  "This server runs without its web client. Build it with: npm run build\n",
  { status: 404, headers: ofPage }
)

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".txt": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm"
}
