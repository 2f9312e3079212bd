/** `npm run explore`: walks the kernel's worlds and prints what it saw. `-- --deep` takes larger bounds. */
import { explore } from "../explorer/explore.ts"
import type { Bounds } from "../explorer/World.ts"

const deep = process.argv.includes("--deep")
const bounds: Bounds = deep
  ? { turns: 3, own: 1, requests: 1, generations: 3, items: 1, deliveries: true }
  : { turns: 2, own: 1, requests: 1, generations: 2, items: 1, deliveries: true }

console.log(`Exploring ${JSON.stringify(bounds)}`)
const tty = process.stderr.isTTY
const result = explore(bounds, {
  onProgress: (states, waiting) => {
    if (tty) process.stderr.write(`\r${states} states, ${waiting} waiting   `)
  }
})
if (tty) process.stderr.write("\n")
for (const violation of result.violations) {
  console.log(`\n${violation.law}: ${violation.message}`)
  for (const line of violation.trace) console.log(`    ${line}`)
}
const { states, transitions, laws, violations } = result
console.log(`${states} states, ${transitions} transitions, ${laws} laws, ${violations.length} violations`)
process.exitCode = violations.length === 0 ? 0 : 1
