/** A process that takes a data directory, says so on stdout, and holds it until it is ended. */
import { Effect, Layer } from "effect"
import { DataDirectory } from "../../src/store/DataDirectory.ts"

const directory = process.argv[2] ?? ""

const hold = Effect.gen(function* () {
  const { announce } = yield* DataDirectory
  yield* announce("http://127.0.0.1:4000")
  process.stdout.write("held\n")
})

Effect.runPromise(
  Layer.launch(Layer.effectDiscard(hold).pipe(Layer.provide(DataDirectory.layer(directory))))
).catch((error) => {
  process.stdout.write(`${String(error)}\n`)
  process.exitCode = 1
})
// Keeps the process alive while it waits to be ended.
process.stdin.resume()
