/** `npm run explore`: walks the kernel's worlds and prints what it saw. `-- --deep` takes larger bounds. */
import { explore } from "../explorer/explore.ts"
import type { Exploration } from "../explorer/explore.ts"
import { laws } from "../explorer/laws.ts"
import { deepWalks, walks } from "../explorer/walks.ts"
import type { Walk } from "../explorer/walks.ts"

const deep = process.argv.includes("--deep")
const statesMax = 6_000_000
const tty = process.stderr.isTTY

const walk = ({ name, bounds }: Walk): Exploration => {
  console.log(`\n${name}\n  ${JSON.stringify(bounds)}`)
  const began = performance.now()
  const result = explore(bounds, {
    statesMax,
    onProgress: (states, waiting) => {
      if (tty) process.stderr.write(`\r  ${states} states, ${waiting} waiting   `)
    }
  })
  if (tty) process.stderr.write("\r")
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`  ${result.states} states, ${result.transitions} transitions, ${seconds} s`)
  for (const violation of result.violations) {
    console.log(`\n  ${violation.law}: ${violation.message}`)
    for (const line of violation.trace) console.log(`    ${line}`)
  }
  if (!result.complete) console.log(`  given up beyond ${statesMax} states: this walk proves nothing`)
  return result
}

const results = (deep ? [...walks, ...deepWalks] : walks).map(walk)
const sum = (of: (result: Exploration) => number) => results.reduce((total, result) => total + of(result), 0)
const violations = sum((result) => result.violations.length)
console.log(
  `\n${sum((result) => result.states)} states, ${sum((result) => result.transitions)} transitions, ` +
    `${laws.length} laws, ${violations} violations`
)
process.exitCode = violations === 0 && results.every((result) => result.complete) ? 0 : 1
