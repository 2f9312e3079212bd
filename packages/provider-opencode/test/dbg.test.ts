import { it } from "@effect/vitest"
import { MessageId, TurnId } from "@turnkeeper/domain/ids"
import { listen } from "@turnkeeper/provider-kit/testing/Listener"
import { Effect } from "effect"
import { appendFileSync } from "node:fs"
import * as OpenCode from "../src/OpenCode.ts"
import { makeWorld, openOptions } from "./real.ts"
it.live("dbg", () => Effect.scoped(Effect.gen(function* () {
  const world = yield* makeWorld()
  const t0 = Date.now()
  const log = (s: string) => appendFileSync("/tmp/oc-dbg.log", `${Date.now() - t0} ${s.slice(0, 500)}\n`)
  const p = yield* OpenCode.make({ ...world.options, tap: (d, l) => { if (!l.includes("plugin.added")) log(`${d} ${l}`) } })
  const s = yield* p.open(openOptions(world))
  const ear = yield* listen(s, { clock: "real", deadlineMs: 30000 })
  const prompt = (text: string, n: number) => ({ turnId: TurnId.make(`turn-${n}`), messageId: MessageId.make(`m-${n}`), text, attachments: [], model: null, runtimeMode: "approval_required" as const, interactionMode: "default" as const })
  const a = yield* s.send(prompt("[[slow:2000]]", 1))
  yield* s.interrupt(a.providerTurnId)
  yield* ear.until("end", () => ear.of("turn.completed").length > 0)
  const b = yield* s.send(prompt("[[text:These are]]", 2))
  yield* ear.until("end", () => ear.of("turn.completed").length > 1)
  log(JSON.stringify(ear.heard().filter(x => x.type.startsWith("turn")), null, 0))
  for (const r of world.model.requests()) log(JSON.stringify({...r, context: r.context.map(c => c.text.slice(0,80))}))
})), 60000)
