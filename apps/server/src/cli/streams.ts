/**
 * What goes where: the answer of a command to standard output, everything else (the log, notes, how it is to
 * be called right) to standard error, so that `turnkeeper … > file` keeps the answer and nothing but it.
 */
import { Console, Effect, Layer, References } from "effect"
import { CliOutput } from "effect/cli"

const { defaultPresenter } = CliOutput

/** Help that was asked for is the answer; shown because the call was wrong it is not. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.updateService(defaultPresenter.present(event), Console.Console, (console) =>
          Object.assign(Object.create(console), { log: console.error.bind(console) })
        )
      : defaultPresenter.present(event)
}

export const layer = Layer.merge(
  Layer.succeed(References.LogToStderr, true),
  CliOutput.layerPresenter(presenter)
)
