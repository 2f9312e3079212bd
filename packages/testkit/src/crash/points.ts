/**
 * The named points at which the server can be killed: places where a promise hangs on what comes first.
 *
 * The driver writes into a file which point comes next and at which pass of it; the armed server
 * (`armed.ts`) reads it and kills itself there. One point at a time.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Random } from "./random.ts"

/** Passed by a server that listens. */
const workNames = [
  "before a commit",
  "after a commit",
  /** Of the event without which a prompt that went out would go out again. */
  "before the marker of a send",
  "after the marker of a send",
  "in mid-stream",
  "before a prompt",
  "after a prompt",
  "before a provider call",
  "after a provider call"
] as const

/** Passed by a server that starts: any statement of it, and each commit by which it reconciles. */
const startNames = ["in start-up", "before a commit of start-up", "after a commit of start-up"] as const

export type WorkName = (typeof workNames)[number]
export type StartName = (typeof startNames)[number]

export interface Point {
  readonly name: WorkName | StartName
  /** Which pass of it, from 1. */
  readonly at: number
}

const isStartName = (name: Point["name"]): name is StartName =>
  (startNames as ReadonlyArray<string>).includes(name)

export const isOfStart = ({ name }: Point): boolean => isStartName(name)

/** How many passes a point may wait for: what is rare is taken early, or the kill would never come. */
const passesMax: { readonly [Name in Point["name"]]: number } = {
  "before a commit": 30,
  "after a commit": 30,
  "before the marker of a send": 4,
  "after the marker of a send": 4,
  "in mid-stream": 12,
  "before a prompt": 4,
  "after a prompt": 4,
  "before a provider call": 10,
  "after a provider call": 10,
  "in start-up": 60,
  "before a commit of start-up": 4,
  "after a commit of start-up": 4
}

export const pointOf = (random: Random): Point => {
  const name = random.chance(0.25) ? random.pick(startNames) : random.pick(workNames)
  return { name, at: random.between(1, passesMax[name]) }
}

/** What driver and server tell each other, by files: it has to survive a kill. */
export interface PointFiles {
  readonly arm: (point: Point) => void
  readonly disarm: () => void
  /** The server has not read yet what it was told. */
  readonly isWaiting: () => boolean
  /** The server reads it, once. */
  readonly takeArmed: () => Point | null
  /** Written as the last thing before the kill. */
  readonly noteHit: (point: Point) => void
  /** The point at which the server killed itself since the last time this was asked. */
  readonly takeHit: () => Point | null
}

export const directoryVariable = "TURNKEEPER_CRASH_POINTS"

export const pointFilesIn = (directory: string): PointFiles => {
  const armed = join(directory, "armed.json")
  const hit = join(directory, "hit.json")
  return {
    arm: (point) => write(armed, point),
    disarm: () => rmSync(armed, { force: true }),
    isWaiting: () => existsSync(armed),
    takeArmed: () => take(armed),
    noteHit: (point) => write(hit, point),
    takeHit: () => take(hit)
  }
}

/** There whole or not at all: whoever reads it may do so at any moment. */
const write = (file: string, point: Point) => {
  writeFileSync(`${file}.new`, JSON.stringify(point))
  renameSync(`${file}.new`, file)
}

const take = (file: string): Point | null => {
  if (!existsSync(file)) return null
  const point = JSON.parse(readFileSync(file, "utf8")) as Point
  rmSync(file)
  return point
}
