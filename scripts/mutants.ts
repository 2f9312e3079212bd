/**
 * `npm run mutants`: kernels with one rule broken on purpose, each of which the explorer has to catch by the
 * law it breaks. The last line counts.
 */
import { conclude, runSuites } from "./vitestRun.ts"

process.exitCode = conclude(runSuites([{ package: "packages/domain", files: ["test/mutants.test.ts"] }], {}))
