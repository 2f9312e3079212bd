/** What the figures were measured on: without it they say nothing. */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs"
import { availableParallelism, cpus, loadavg } from "node:os"
import { join } from "node:path"
import { inDirectory } from "./directory.ts"
import { figure, repeated } from "./report.ts"
import type { Figure } from "./report.ts"

export const machine = async (): Promise<ReadonlyArray<Figure>> => [
  figure({ name: "machine.node", value: process.version, unit: "" }),
  figure({ name: "machine.processor", value: cpus()[0]?.model.trim() ?? "unknown", unit: "" }),
  figure({ name: "machine.cores", value: availableParallelism(), unit: "cores" }),
  // Other work on the machine makes every absolute figure worse; ratios suffer less.
  figure({ name: "machine.load", value: loadavg()[0] ?? 0, unit: "running, last minute" }),
  figure({ name: "machine.fsync", unit: "ms", ...repeated(await inDirectory(fsyncs)) })
]

/** Milliseconds to write one page and have it on the disk, each of 50 times. */
const fsyncs = async (directory: string): Promise<ReadonlyArray<number>> => {
  const file = openSync(join(directory, "page"), "w")
  const page = Buffer.alloc(4_096, 1)
  const times = Array.from({ length: 50 }, () => {
    const from = performance.now()
    writeSync(file, page)
    fsyncSync(file)
    return performance.now() - from
  })
  closeSync(file)
  return times
}
