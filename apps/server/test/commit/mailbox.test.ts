/** What a mailbox promises whoever writes to it, beside what the laws say of a thread. */
import { assert, it } from "@effect/vitest"
import type { Happening } from "@turnkeeper/domain/thread/Owed"
import { Effect, Exit, Layer } from "effect"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import { coalesced } from "../../src/ingestion/Ingestion.ts"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { CommandId, ProviderTurnId } from "@turnkeeper/domain/ids"
import { project, provider, receipt, store, threadId } from "../store/fixtures.ts"

it.live("a letter that breaks the rules' own code breaks nothing behind it", () =>
  Effect.gen(function* () {
    const mailbox = yield* (yield* Mailboxes).of(threadId("t"))
    const cause = { type: "provider", generation: 1 } as const
    const poison = { type: "nonsense" } as unknown as Happening
    const broken = yield* Effect.exit(mailbox.hear([poison], cause))
    assert.isTrue(Exit.isFailure(broken))
    const late: Happening = {
      type: "provider",
      generation: 1,
      seq: 1,
      event: { type: "unknown", method: "x" }
    }
    yield* mailbox.hear([late], cause)
    yield* mailbox.tell(late, cause)
    assert.isTrue(mailbox.isIdle())
  }).pipe(Effect.provide(Layer.provideMerge(Mailboxes.layer, store)))
)

it.live("letters that mean nothing are carried out one after another, however many wait", () =>
  Effect.gen(function* () {
    const mailbox = yield* (yield* Mailboxes).of(threadId("t"))
    const late: Happening = {
      type: "provider",
      generation: 1,
      seq: 1,
      event: { type: "unknown", method: "x" }
    }
    const create = mailbox.command(
      {
        type: "thread.create",
        commandId: CommandId.make("create"),
        threadId: threadId("t"),
        projectId: project,
        title: "T",
        provider
      },
      receipt("create"),
      "test"
    )
    const letters = Array.from({ length: 20_000 }, () =>
      mailbox.tell(late, { type: "provider", generation: 1 })
    )
    // They come while the command is being written.
    yield* Effect.all([create, ...letters], { concurrency: "unbounded", discard: true })
    assert.isTrue(mailbox.isIdle())
    assert.strictEqual(mailbox.current().version, 1)
  }).pipe(Effect.provide(Layer.provideMerge(Mailboxes.layer, store)))
)

const piece = (text: string, more: { readonly offset?: number; readonly item?: string } = {}) => {
  const { offset, item = "answer" } = more
  const itself = {
    type: "text.delta",
    providerTurnId: ProviderTurnId.make("turn"),
    providerItemId: item
  } as const
  return { ...itself, text, ...(offset !== undefined && { offset }) } satisfies ProviderEvent
}

it("neighbouring pieces of one text become one, and nothing else does", () => {
  const end: ProviderEvent = { type: "notice", message: "between" }
  const said = [piece("a"), piece("b"), end, piece("c"), piece("d", { item: "other" }), piece("e")]
  const before = structuredClone(said)
  assert.deepStrictEqual(coalesced(said), [
    piece("ab"),
    end,
    piece("c"),
    piece("d", { item: "other" }),
    piece("e")
  ])
  assert.deepStrictEqual(said, before)
})

const update = (step: number, item = "plan"): ProviderEvent => ({
  type: "item.updated",
  providerTurnId: ProviderTurnId.make("turn"),
  providerItemId: item,
  detail: { step }
})

it("of neighbouring updates of one item the last counts, and no other is left out", () => {
  const said = [update(1), update(2), update(3, "other"), update(4), piece("a"), update(5), update(6)]
  assert.deepStrictEqual(coalesced(said), [update(2), update(3, "other"), update(4), piece("a"), update(6)])
})

it("a piece joins only where the one before it ended", () => {
  const said = [piece("ab", { offset: 4 }), piece("c", { offset: 6 }), piece("d", { offset: 9 }), piece("e")]
  assert.deepStrictEqual(coalesced(said), [
    piece("abc", { offset: 4 }),
    piece("d", { offset: 9 }),
    piece("e")
  ])
})
