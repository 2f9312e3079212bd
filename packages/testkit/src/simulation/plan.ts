/**
 * What happens in a run, as data, from its seed. Steps name nobody that only the run knows: they point
 * with a number from 0 to 1 at what is there when their time comes, so that a run with a step left out is
 * still a run.
 */
import type { Capabilities } from "@turnkeeper/provider-kit/Provider"
import { makeRandom } from "../crash/random.ts"
import type { Random } from "../crash/random.ts"
import type { DiskFault } from "./Disk.ts"
import { friendly } from "./Hostile.ts"
import type { Hostility } from "./Hostile.ts"

export interface Plan {
  readonly seed: number
  readonly setting: Setting
  readonly steps: ReadonlyArray<Step>
}

/** What holds for the whole run. */
export interface Setting {
  readonly threads: number
  readonly hostility: Hostility
  readonly providers: readonly [ProviderSetting, ProviderSetting]
  readonly gatherMs: number
  readonly disorder: number
  readonly opsMax: number
  /** At the end the provider answers no call any more; otherwise it becomes friendly. */
  readonly endsDeaf: boolean
  /** The clients show the list of threads, too. */
  readonly sidebar: boolean
}

export interface ProviderSetting {
  readonly id: "one" | "two"
  readonly capabilities: Partial<Capabilities>
  readonly joinsOwnTurns: boolean
  readonly tickMs: number
}

/** `pick`: which of those that are there. */
interface Aimed {
  readonly thread: number
  readonly client: number
  readonly pick: number
}

export type Deed =
  | ({
      readonly type: "say"
      readonly text: string
      readonly delivery: "queue" | "steer" | "interrupt"
      readonly copies: number
      readonly elsewhere: boolean
    } & Aimed)
  | ({ readonly type: "interrupt"; readonly named: boolean } & Aimed)
  | ({ readonly type: "retry" | "edit" | "reorder" | "answer" | "archive" | "unarchive" | "switch" } & Aimed)
  | ({ readonly type: "stop"; readonly force: boolean } & Aimed)
  | ({ readonly type: "repeat" | "reuse" } & Aimed)
  | ({ readonly type: "delete" } & Aimed)
  /** The provider by itself. */
  | ({ readonly type: "provider dies" | "provider exits" | "own turn" | "re-ask" | "old word" } & Aimed)
  | { readonly type: "disconnect" | "reconnect"; readonly client: number }
  | { readonly type: "crash"; readonly died: boolean }
  /** The server goes down as soon as somewhere a message is being sent, or a session started. */
  | { readonly type: "crash while"; readonly moment: Moment; readonly died: boolean }
  | { readonly type: "restart" }
  | { readonly type: "disk"; readonly fault: DiskFault }

export type Moment = "sending" | "starting"

/** What is let happen after a deed. */
export type Pause =
  | { readonly type: "steps"; readonly steps: number }
  | { readonly type: "rest" }
  | { readonly type: "time"; readonly ms: number }

export interface Step {
  readonly deed: Deed
  readonly pause: Pause
}

export const planOf = (seed: number): Plan => {
  const random = makeRandom(seed).fork(1)
  const setting = settingOf(random)
  const count = random.between(8, 45)
  const steps = Array.from({ length: count }, () => ({
    deed: deedOf(random, setting),
    pause: pauseOf(random)
  }))
  const plain = { seed, setting: { ...setting, sidebar: false }, steps }
  return withEdges(makeRandom(seed).fork(4), withStorage(makeRandom(seed).fork(3), plain))
}

/**
 * What goes wrong between two things: a line that breaks with a prompt on its way, a session that is still
 * closing, a crash in the middle of a send, a start behind which nothing can be listed. Where the disk fails,
 * nothing else does in some runs: then every end of a turn has to be told.
 */
const withEdges = (random: Random, plan: Plan): Plan => {
  const sometimes = (most: number) => (random.chance(0.5) ? 0 : random.between(1, 100) * (most / 100))
  const { setting } = plan
  const edges = { cuts: sometimes(0.4), closes: sometimes(1), listings: sometimes(1) }
  const steps = plan.steps.flatMap((step) =>
    step.deed.type === "say" && random.chance(0.15) ? crashingWhile(random, step) : [step]
  )
  // The last thing that happens to a server may be its end in the middle of a send.
  if (random.chance(0.25)) {
    const said = { deed: say(random, aimedOf(random, setting)), pause: pauseOf(random) }
    steps.push(...crashingWhile(random, said))
  }
  const isQuiet = random.chance(0.4) && steps.some(({ deed }) => deed.type === "disk")
  if (isQuiet) return withDiskAlone({ ...plan, steps })
  return { ...plan, setting: { ...setting, hostility: { ...setting.hostility, ...edges } }, steps }
}

const crashingWhile = (random: Random, step: Step): ReadonlyArray<Step> => {
  const moment = random.pick<Moment>(["sending", "sending", "starting"])
  const crash = { type: "crash while", moment, died: random.chance(0.5) } as const
  const crashing = { deed: crash, pause: pauseOf(random) }
  return [{ ...step, pause: { type: "steps", steps: 0 } }, crashing]
}

const withDiskAlone = (plan: Plan): Plan => ({
  ...plan,
  setting: { ...plan.setting, hostility: { ...friendly, delays: plan.setting.hostility.delays } },
  steps: plan.steps.filter(({ deed }) => !isEnd(deed) && !isDeath(deed))
})

/**
 * Half of the runs have a disk that never fails. Some have nothing but that: then every word of the provider
 * has to be there in the end. What else happens in a run is the same with and without.
 */
const withStorage = (random: Random, plan: Plan): Plan => {
  const setting = { ...plan.setting, sidebar: random.chance(0.7) }
  if (random.chance(0.5)) return { ...plan, setting }
  const alone = random.chance(0.3)
  const { hostility } = setting
  return {
    ...plan,
    setting: alone ? { ...setting, hostility: { ...hostility, copies: 0, drops: 0, echoes: 0 } } : setting,
    steps: withDiskFaults(random, alone ? plan.steps.filter(({ deed }) => !isEnd(deed)) : plan.steps)
  }
}

export const isEnd = ({ type }: Deed) => type === "crash" || type === "crash while" || type === "restart"
export const isDeath = ({ type }: Deed) => type === "provider dies" || type === "provider exits"

const withDiskFaults = (random: Random, steps: ReadonlyArray<Step>): ReadonlyArray<Step> =>
  steps.flatMap((step) =>
    random.chance(0.8)
      ? [step]
      : [{ deed: { type: "disk", fault: diskFaultOf(random) }, pause: pauseOf(random) }, step]
  )

const diskFaultOf = (random: Random): DiskFault => ({
  place: random.pick(["prepare", "step", "commit denied", "commit unheard", "read"]),
  at: random.pick([1, 1, 2, 3, random.between(1, 40)]),
  times: random.pick([1, 1, 2, 5, 40]),
  error: random.pick(["full", "write", "read", "busy"]),
  undoes: random.chance(0.5)
})

const settingOf = (random: Random): Omit<Setting, "sidebar"> => {
  // Every kind of trouble is absent in some runs, so that what is left of it stands out.
  const sometimes = (most: number) => (random.chance(0.5) ? 0 : random.between(1, 100) * (most / 100))
  return {
    threads: random.between(1, 3),
    hostility: {
      ...friendly,
      calls: random.chance(0.25) ? 0 : random.between(1, 100) * 0.004,
      copies: sometimes(0.15),
      drops: sometimes(0.15),
      delays: sometimes(0.3),
      echoes: sometimes(0.1)
    },
    providers: [providerOf("one", random), providerOf("two", random)],
    gatherMs: random.pick([0, 20, 20]),
    disorder: random.pick([0, 0, 0.1, 0.5]),
    opsMax: random.pick([2048, 2048, 200, 30]),
    endsDeaf: random.chance(0.2)
  }
}

const providerOf = (id: "one" | "two", random: Random): ProviderSetting => ({
  id,
  capabilities: {
    steer: random.chance(0.7),
    resume: random.chance(0.8),
    history: random.chance(0.7),
    reasksRequests: random.chance(0.5)
  },
  joinsOwnTurns: random.chance(0.3),
  tickMs: random.pick([0, 40, 400])
})

const pauseOf = (random: Random): Pause => {
  const which = random.between(1, 10)
  if (which <= 4) return { type: "steps", steps: random.pick([0, 1, 3, 10, 30, 100, 300]) }
  if (which <= 7) return { type: "rest" }
  return { type: "time", ms: random.pick([1, 50, 500, 3_000, 15_000, 61_000, 310_000]) }
}

type Maker = (random: Random, aimed: Aimed) => Deed

const say: Maker = (random, aimed) => ({
  type: "say",
  ...aimed,
  text: textOf(random),
  delivery: random.pick(["queue", "queue", "queue", "steer", "interrupt"]),
  copies: random.pick([1, 1, 1, 2, 3]),
  elsewhere: random.chance(0.1)
})

/** How often each deed comes, and how it is made. */
const makers: ReadonlyArray<readonly [weight: number, make: Maker]> = [
  [40, say],
  [8, (random, aimed) => ({ type: "interrupt", ...aimed, named: random.chance(0.5) })],
  [4, (_, aimed) => ({ type: "retry", ...aimed })],
  [3, (_, aimed) => ({ type: "edit", ...aimed })],
  [2, (_, aimed) => ({ type: "reorder", ...aimed })],
  [10, (_, aimed) => ({ type: "answer", ...aimed })],
  [1, (_, aimed) => ({ type: "archive", ...aimed })],
  [1, (_, aimed) => ({ type: "unarchive", ...aimed })],
  [2, (_, aimed) => ({ type: "switch", ...aimed })],
  [5, (random, aimed) => ({ type: "stop", ...aimed, force: random.chance(0.3) })],
  [4, (_, aimed) => ({ type: "repeat", ...aimed })],
  [2, (_, aimed) => ({ type: "reuse", ...aimed })],
  [1, (_, aimed) => ({ type: "delete", ...aimed })],
  [3, (_, aimed) => ({ type: "provider dies", ...aimed })],
  [2, (_, aimed) => ({ type: "provider exits", ...aimed })],
  [4, (_, aimed) => ({ type: "own turn", ...aimed })],
  [2, (_, aimed) => ({ type: "re-ask", ...aimed })],
  [5, (_, aimed) => ({ type: "old word", ...aimed })],
  [4, (_, { client }) => ({ type: "disconnect", client })],
  [4, (_, { client }) => ({ type: "reconnect", client })],
  [12, (random) => ({ type: "crash", died: random.chance(0.5) })],
  [3, () => ({ type: "restart" })]
]

const aimedOf = (random: Random, { threads }: Pick<Setting, "threads">): Aimed => ({
  thread: random.between(0, threads - 1),
  client: random.between(0, 1),
  pick: random.between(0, 999) / 1_000
})

const deedOf = (random: Random, setting: Pick<Setting, "threads">): Deed => {
  const aimed = aimedOf(random, setting)
  const all = makers.reduce((sum, [weight]) => sum + weight, 0)
  let left = random.between(1, all)
  for (const [weight, make] of makers) {
    left -= weight
    if (left <= 0) return make(random, aimed)
  }
  return { type: "restart" }
}

const directives = [
  "[[slow:5]]",
  "[[slow:40]]",
  "[[flood:30]]",
  "[[think:about it]]",
  "[[shell:ls]]",
  "[[ask:make]]",
  "[[question:Which?|a|b]]",
  "[[fail:no luck]]",
  "[[drop:2]]",
  "[[drop:9]]",
  "[[die]]",
  "[[stall]]",
  "[[reject:not this]]",
  "[[own]]",
  "[[refuse-interrupt]]",
  "[[refuse-stop]]",
  "[[aux]]",
  "[[unknown:what]]",
  "[[manual]]"
] as const

const textOf = (random: Random): string => {
  const many = random.pick([0, 1, 1, 2, 3])
  const [first, ...rest] = directives
  return `Please. ${Array.from({ length: many }, () => random.pick([first, ...rest])).join(" ")}`.trim()
}
