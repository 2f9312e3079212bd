/**
 * What all tests share.
 *
 * How long something takes is never what a test says: a machine may be busy with other things, or stand still for
 * a while. These bounds are for what hangs.
 */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } }
  }
})
