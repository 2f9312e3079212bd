/** How the program is found. */
import { assert, it } from "@effect/vitest"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findBinary } from "../src/health.ts"

it("takes the program named, else the one of the environment, else the first on the path", () => {
  const directory = mkdtempSync(join(tmpdir(), "codex-health-"))
  const program = join(directory, "codex")
  assert.isNull(findBinary(undefined, { PATH: directory }))
  writeFileSync(program, "", { mode: 0o755 })
  assert.equal(findBinary(undefined, { PATH: `/nowhere:${directory}` }), program)
  assert.equal(findBinary(undefined, { PATH: "", TURNKEEPER_CODEX_BIN: program }), program)
  assert.equal(findBinary(program, { TURNKEEPER_CODEX_BIN: "/other" }), program)
  assert.isNull(findBinary("/no/such/program", { PATH: directory }))
  rmSync(directory, { recursive: true })
})
