/**
 * A log file that stays bounded: when it is full it is put aside as `.1`, what was aside moves on, and the
 * oldest is dropped.
 *
 * Writing never fails: a server with a full disk has worse to do than to stop over its log.
 */
import { appendFileSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs"
import { dirname } from "node:path"

export interface RotatedFile {
  readonly write: (text: string) => void
}

export interface RotatedFileOptions {
  /** Of each file. A single text that is larger is cut. */
  readonly bytesMax: number
  /** With the newest. At least 1. */
  readonly files: number
}

export const openRotated = (file: string, { bytesMax, files }: RotatedFileOptions): RotatedFile => {
  attempt(() => mkdirSync(dirname(file), { recursive: true, mode: 0o700 }))
  let size = sizeOf(file)

  const rotate = () => {
    attempt(() => rmSync(nameOf(file, files - 1), { force: true }))
    for (let age = files - 2; age >= 0; age--) {
      attempt(() => renameSync(nameOf(file, age), nameOf(file, age + 1)))
    }
    size = sizeOf(file)
  }

  return {
    write: (text) => {
      const bytes = Buffer.from(text).subarray(0, bytesMax)
      if (size + bytes.length > bytesMax) rotate()
      // It could not be moved away: rather a gap in the log than a file without end.
      if (size + bytes.length > bytesMax) return
      if (attempt(() => appendFileSync(file, bytes, { mode: 0o600 }))) size += bytes.length
    }
  }
}

const nameOf = (file: string, age: number) => (age === 0 ? file : `${file}.${age}`)

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const attempt = (run: () => void): boolean => {
  try {
    run()
    return true
  } catch {
    return false
  }
}
