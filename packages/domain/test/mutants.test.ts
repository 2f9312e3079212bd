/**
 * Each law is worth what it catches: a kernel with one rule broken on purpose is caught, by that law.
 */
import { describe, expect, it } from "@effect/vitest"
import { explore } from "../explorer/explore.ts"
import { kernel } from "../explorer/Kernel.ts"
import type { Kernel } from "../explorer/Kernel.ts"
import { laws } from "../explorer/laws.ts"
import type { Bounds } from "../explorer/World.ts"
import { Result } from "effect"
import { activeTurn, headTurn, sendingTurn } from "../src/thread/draft.ts"
import type { EventOf, ThreadEvent, ThreadEventType } from "../src/thread/Event.ts"
import type { Happening, Outcome, OwedType } from "../src/thread/Owed.ts"
import type { Session, ThreadState } from "../src/thread/State.ts"

const small: Bounds = { turns: 1, own: 0, requests: 0, generations: 2, items: 0, deliveries: false }
const ownTurns: Bounds = { ...small, own: 1 }
const inside: Bounds = { ...small, requests: 1, items: 1 }
const two: Bounds = { ...small, turns: 2, deliveries: true }

interface Mutant {
  readonly law: string
  readonly breaks: string
  readonly bounds: Bounds
  readonly kernel: Partial<Kernel>
}

type Observe = Kernel["observe"]
type Events = ReadonlyArray<ThreadEvent>

const provided = (happening: Happening, type: string) =>
  happening.type === "provider" && happening.event.type === type

const outcome = <Type extends Outcome["type"]>(happening: Happening, type: Type) =>
  happening.type === "outcome" && happening.outcome.type === type
    ? (happening.outcome as Extract<Outcome, { readonly type: Type }>)
    : null

/** The true rule, heard otherwise. */
const hears = (change: (happening: Happening, state: ThreadState) => Happening): Partial<Kernel> => ({
  observe: (happening, state) => kernel.observe(change(happening, state), state)
})

/** The true rule's events, changed. */
const tells = (change: (events: Events, happening: Happening, state: ThreadState) => Events) => ({
  observe: ((happening, state) =>
    change(kernel.observe(happening, state), happening, state)) satisfies Observe
})

const drops = (...types: ReadonlyArray<ThreadEventType>) =>
  tells((events) => events.filter((event) => !types.includes(event.type)))

/** The true step, and then another session than it made. */
const evolves = <Type extends ThreadEventType>(
  type: Type,
  change: (event: EventOf<Type>, before: Session, after: Session) => Partial<Session>
): Partial<Kernel> => ({
  evolve: (state, event) => {
    const next = kernel.evolve(state, event)
    if (event.type !== type) return next
    return {
      ...next,
      session: { ...next.session, ...change(event as EventOf<Type>, state.session, next.session) }
    }
  }
})

const forgets = (type: OwedType): Partial<Kernel> => ({
  pending: (state) => kernel.pending(state).filter((owed) => owed.type !== type)
})

const settledAs = (events: Events, change: Partial<EventOf<"turn.settled">>): Events =>
  events.map((event) => (event.type === "turn.settled" ? { ...event, ...change } : event))

const reason = "broken on purpose"

const mutants: ReadonlyArray<Mutant> = [
  {
    law: "L1",
    breaks: "the next message goes out while a turn runs",
    bounds: two,
    kernel: {
      pending: (state) => {
        const head = headTurn(state)
        const { generation } = state.session
        const eager = { type: "turn.send", generation, attempt: 1, begun: false } as const
        return head !== undefined && activeTurn(state) !== undefined
          ? [...kernel.pending(state), { ...eager, turnId: head.id }]
          : kernel.pending(state)
      },
      begin: (owed, state) =>
        owed.type === "turn.send" && activeTurn(state) !== undefined
          ? [{ type: "turn.send_started", turnId: owed.turnId, generation: owed.generation, into: null }]
          : kernel.begin(owed, state)
    }
  },
  {
    law: "L2",
    breaks: "the active turn is not cleared when it settles",
    bounds: small,
    kernel: evolves("turn.settled", (_event, before) => ({ activeTurnId: before.activeTurnId }))
  },
  {
    law: "L2",
    breaks: "the session stays running when its turn has settled",
    bounds: small,
    kernel: evolves("turn.settled", (_event, before) =>
      before.status === "running" ? { status: before.status } : {}
    )
  },
  {
    law: "L3",
    breaks: "a turn is settled by its end and again by the end of its session",
    bounds: small,
    kernel: tells((events, happening) =>
      provided(happening, "session.exited")
        ? [...events, ...events.filter((event) => event.type === "turn.settled")]
        : events
    )
  },
  {
    law: "L4",
    breaks: "the end of any provider turn ends the active one",
    bounds: ownTurns,
    kernel: hears((happening, state) => {
      const active = activeTurn(state)
      if (happening.type !== "provider" || happening.event.type !== "turn.completed" || active === undefined)
        return happening
      if (happening.event.providerTurnId === null) return happening
      return { ...happening, event: { ...happening.event, providerTurnId: active.providerTurnId } }
    })
  },
  {
    law: "L4",
    breaks: "an end without a name ends the active turn",
    bounds: small,
    kernel: hears((happening, state) => {
      const active = activeTurn(state)
      if (happening.type !== "provider" || happening.event.type !== "turn.completed" || active === undefined)
        return happening
      const providerTurnId = happening.event.providerTurnId ?? active.providerTurnId
      return { ...happening, event: { ...happening.event, providerTurnId } }
    })
  },
  {
    law: "L4",
    breaks: "the end of the active turn is not listened to",
    bounds: small,
    kernel: tells((events, happening) => (provided(happening, "turn.aborted") ? [] : events))
  },
  {
    law: "L5",
    breaks: "a turn settles and leaves its items open",
    bounds: inside,
    kernel: tells((events) =>
      events.some((event) => event.type === "turn.settled")
        ? events.filter((event) => event.type !== "item.completed")
        : events
    )
  },
  {
    law: "L5",
    breaks: "a turn settles and leaves its request open",
    bounds: inside,
    kernel: tells((events) =>
      events.some((event) => event.type === "turn.settled")
        ? events.filter((event) => event.type !== "request.closed")
        : events
    )
  },
  {
    law: "L6",
    breaks: "a transient error is shown as the session's last error",
    bounds: small,
    kernel: evolves("session.recovering", (event) => ({ lastError: event.message }))
  },
  {
    law: "L6",
    breaks: "a transient error makes the session an error",
    bounds: small,
    kernel: tells((events, happening) => (provided(happening, "error.transient") ? [] : events))
  },
  {
    law: "L6",
    breaks: "recovering is never cleared",
    bounds: inside,
    kernel: drops("session.recovered")
  },
  {
    law: "L6",
    breaks: "the half text stays beside the whole one",
    bounds: { ...inside, items: 2, requests: 0 },
    kernel: tells((events) =>
      events.filter((event) => event.type !== "item.completed" || event.status !== "superseded")
    )
  },
  {
    law: "L7",
    breaks: "a turn that is gone after a restart counts as completed",
    bounds: small,
    kernel: {
      reconcile: (live, state, occasion) =>
        settledAs(kernel.reconcile(live, state, occasion), { state: "completed" })
    }
  },
  {
    law: "L7",
    breaks: "a turn that the provider no longer knows counts as completed",
    bounds: small,
    kernel: tells((events, happening) =>
      outcome(happening, "probe.gone") ? settledAs(events, { state: "completed" }) : events
    )
  },
  {
    law: "L7",
    breaks: "a turn whose process exited in order counts as completed",
    bounds: small,
    kernel: tells((events, happening) =>
      provided(happening, "session.exited") ? settledAs(events, { state: "completed" }) : events
    )
  },
  {
    law: "L8",
    breaks: "a failed send is swallowed",
    bounds: small,
    kernel: tells((events, happening) =>
      outcome(happening, "send.rejected")?.fault.reason === "Unavailable" ? [] : events
    )
  },
  {
    law: "L8",
    breaks: "a failed send leaves the session ready",
    bounds: small,
    kernel: evolves("turn.settled", (event, _before, after) =>
      event.state === "error" && after.status === "error" && after.open ? { status: "ready" } : {}
    )
  },
  {
    law: "L8",
    breaks: "a failed start says nothing of why",
    bounds: small,
    kernel: {
      evolve: (state, event) => {
        const next = kernel.evolve(state, event)
        return { ...next, session: { ...next.session, lastError: null } }
      }
    }
  },
  {
    law: "L9",
    breaks: "a failing stop pretends that the session has stopped",
    bounds: small,
    kernel: hears((happening) => {
      const failed = outcome(happening, "stop.failed")
      return failed === null
        ? happening
        : { type: "outcome", outcome: { type: "stop.ok", generation: failed.generation } }
    })
  },
  {
    law: "L9",
    breaks: "a stop that worked leaves the session open",
    bounds: small,
    kernel: tells((events, happening) => (outcome(happening, "stop.ok") ? [] : events))
  },
  {
    law: "L10",
    breaks: "events of an older generation count",
    bounds: small,
    kernel: hears((happening, { session }) =>
      happening.type === "provider" ? { ...happening, generation: session.generation } : happening
    )
  },
  {
    law: "L10",
    breaks: "the last words of a closed generation revive it",
    bounds: small,
    kernel: {
      observe: (happening, state) =>
        kernel.observe(happening, { ...state, session: { ...state.session, open: true } })
    }
  },
  {
    law: "L10",
    breaks: "events are not numbered: a copy of `started` makes a phantom turn",
    bounds: ownTurns,
    kernel: hears((happening, { session }) =>
      happening.type === "provider" ? { ...happening, seq: session.seen + 1 } : happening
    )
  },
  {
    law: "L10",
    breaks: "an interrupt that fails late stops the next session",
    bounds: small,
    kernel: tells((events, happening, state) =>
      outcome(happening, "interrupt.failed") && events.length === 0 && state.session.open
        ? [{ type: "session.stop_asked", by: "interrupt", step: "stop" }]
        : events
    )
  },
  {
    law: "L10",
    breaks: "a start that was given up opens the session when it succeeds late",
    bounds: small,
    kernel: tells((events, happening) => {
      const ok = outcome(happening, "start.ok")
      return ok !== null && events.length === 0
        ? [{ type: "session.started", generation: ok.generation, resume: null }]
        : events
    })
  },
  {
    law: "L11",
    breaks: "every command is new, however often it comes",
    bounds: small,
    kernel: { repetition: () => "new" }
  },
  {
    law: "L11",
    breaks: "another body under a used id is answered as the first",
    bounds: small,
    kernel: { repetition: (stored) => (stored === null ? "new" : "repeated") }
  },
  {
    law: "L12",
    breaks: "a message whose outcome is unknown is sent again",
    bounds: small,
    kernel: tells((events, happening, state) => {
      const unknown = outcome(happening, "send.unknown")
      return unknown !== null && sendingTurn(state)?.id === unknown.turnId
        ? [{ type: "turn.requeued", turnId: unknown.turnId, reason }]
        : events
    })
  },
  {
    law: "L12",
    breaks: "a message that the record does not know yet is sent again though its generation lives",
    bounds: small,
    kernel: tells((events, happening, state) => {
      const told = outcome(happening, "evidence")
      return told?.evidence.type === "absent" && state.session.open && events.length > 0
        ? [{ type: "turn.requeued", turnId: told.turnId, reason }]
        : events
    })
  },
  {
    law: "L12",
    breaks: "after a restart what was being sent is sent again",
    bounds: small,
    kernel: {
      reconcile: (live, state, occasion) => {
        const sending = sendingTurn(state)
        const events = kernel.reconcile(live, state, occasion)
        return sending !== undefined && live.type === "absent"
          ? [...events, { type: "turn.requeued", turnId: sending.id, reason }]
          : events
      }
    }
  },
  {
    law: "L12",
    breaks: "a turn of the provider's own is taken for the one being sent",
    bounds: ownTurns,
    kernel: hears((happening, state) => {
      const sending = sendingTurn(state)
      if (happening.type !== "provider" || happening.event.type !== "turn.started" || sending === undefined)
        return happening
      return { ...happening, event: { ...happening.event, turnId: sending.id } }
    })
  },
  {
    law: "L12",
    breaks: "a message in doubt is settled as not delivered",
    bounds: small,
    kernel: tells((events, happening) =>
      outcome(happening, "evidence")?.evidence.type === "none"
        ? settledAs(events, { delivery: "not_delivered" })
        : events
    )
  },
  {
    law: "L13",
    breaks: "what waits behind a failed turn is sent all the same",
    bounds: two,
    kernel: tells((events) =>
      events.filter((event) => event.type !== "turn.settled" || event.state !== "cancelled")
    )
  },
  {
    law: "L13",
    breaks: "a stop leaves the queue, and the queue starts a new session",
    bounds: two,
    kernel: {
      decide: (command, state, facts) =>
        Result.map(kernel.decide(command, state, facts), (events) =>
          command.type === "thread.session.stop"
            ? events.filter((event) => event.type !== "turn.settled")
            : events
        )
    }
  },
  {
    law: "L14",
    breaks: "a send in doubt is never looked into",
    bounds: small,
    kernel: forgets("turn.evidence")
  },
  {
    law: "L14",
    breaks: "no deadline: a turn whose end was lost runs for ever",
    bounds: small,
    kernel: forgets("deadline")
  },
  {
    law: "L14",
    breaks: "a quiet turn is noted, and nobody asks",
    bounds: small,
    kernel: forgets("turn.probe")
  },
  {
    law: "L14",
    breaks: "a stop is recorded and never carried out",
    bounds: small,
    kernel: forgets("session.stop")
  },
  {
    law: "L14",
    breaks: "a session is never started for a turn that waits",
    bounds: small,
    kernel: forgets("session.start")
  },
  {
    law: "L14",
    breaks: "a stop request outlives its session",
    bounds: small,
    kernel: evolves("session.stopped", (_event, before) => ({ stopAsked: before.stopAsked }))
  }
]

describe("a kernel with one rule broken on purpose", () => {
  for (const { law, breaks, bounds, kernel: broken } of mutants) {
    it(`is caught by ${law}: ${breaks}`, () => {
      const result = explore(bounds, {
        kernel: { ...kernel, ...broken },
        stopAtFirst: true,
        statesMax: 60_000
      })
      // One step may break two laws at once; the one that is named must be among them.
      expect(result.violations.map((violation) => violation.law)).toContain(law)
      expect(result.violations[0]!.trace.length).toBeGreaterThan(0)
    })
  }

  it("is there for every law", () => {
    expect(new Set(mutants.map((mutant) => mutant.law))).toEqual(new Set(laws.map((law) => law.name)))
  })

  it.for([small, ownTurns, inside, two, { ...inside, items: 2, requests: 0 }])(
    "is all that is caught: within the same bounds %j the true kernel keeps every law",
    (bounds) => {
      expect(explore(bounds, { statesMax: 60_000 })).toMatchObject({ complete: true, violations: [] })
    }
  )
})
