/**
 * What each call does: one expression, the same for every transport.
 */
import { Api } from "@turnkeeper/contracts/Api"
import { Malformed } from "@turnkeeper/contracts/Checked"
import { InvalidRequest, UnsupportedProtocol } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import { agree, supported } from "@turnkeeper/contracts/Version"
import type { ProtocolRange } from "@turnkeeper/contracts/Version"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { ThreadNotFound } from "@turnkeeper/domain/thread/Command"
import { Effect, Stream } from "effect"
import { nameless } from "../engine/Change.ts"
import { Engine } from "../engine/Engine.ts"
import { Feed } from "../engine/Feed.ts"
import { CurrentCaller } from "../http/Access.ts"
import { countSubscription } from "../http/gauges.ts"
import { Rebuild } from "../maintenance/Rebuild.ts"
import { Projects } from "../projection/Projects.ts"
import { Threads } from "../projection/Threads.ts"
import { ThreadView } from "../projection/ThreadView.ts"
import { HeavyReads } from "../reads/HeavyReads.ts"
import { Registry } from "../provider/Registry.ts"
import { browse, Playground } from "./browse.ts"
import { providerSubscription } from "./ProviderSubscription.ts"
import { ServerInfo } from "./ServerInfo.ts"
import { shellSubscription } from "./ShellSubscription.ts"
import { threadSubscription } from "./ThreadSubscription.ts"

export const layer = Api.toLayer(
  Effect.gen(function* () {
    const engine = yield* Engine
    const providers = yield* Registry
    const server = yield* ServerInfo
    const view = yield* ThreadView
    const threads = yield* Threads
    const heavy = yield* HeavyReads
    const playground = yield* Playground
    const rebuild = yield* Rebuild
    const { epoch } = view
    const source = { epoch, view, threads, projects: yield* Projects, feed: yield* Feed }

    return Api.of({
      "server.hello": call(({ protocol }) =>
        Effect.map(agreed(protocol), (version) => ({
          protocol: version,
          server: { ...server, epoch },
          capabilities: [],
          limits
        }))
      ),
      "orchestration.dispatch": call(({ command }) =>
        CurrentCaller.pipe(
          Effect.flatMap((caller) => engine.dispatch(command, caller?.name ?? nameless)),
          Effect.map((committed) => ({ status: "accepted" as const, ...committed }))
        )
      ),
      "orchestration.subscribeShell": subscription((input) => shellSubscription(source, input)),
      "orchestration.subscribeThread": subscription((input) => threadSubscription(source, input)),
      "orchestration.history": call(({ threadId, before, limit }) =>
        Effect.andThen(
          found(threads, threadId),
          view.history(threadId, before, Math.min(limit, limits.historyPage))
        )
      ),
      "orchestration.itemText": call(({ threadId, itemId, offset, limit }) =>
        Effect.andThen(
          found(threads, threadId),
          view.itemText(threadId, itemId, offset, Math.min(limit, limits.itemTextPage))
        )
      ),
      "orchestration.search": call(({ query, threadId = null, limit, before = null }) =>
        heavy.search({ query, threadId, limit: Math.min(limit, limits.searchPage), before })
      ),
      "workspace.browse": call((input) => browse(input, playground)),
      "maintenance.rebuild": subscription(() => rebuild.items),
      "providers.list": call(() => providers.list),
      "providers.subscribe": subscription(() => providerSubscription(providers)),
      "providers.refresh": call(() =>
        Effect.flatMap(providers.refresh, (settingsProblem) =>
          Effect.map(providers.list, (rows) => ({ providers: rows, settingsProblem }))
        )
      )
    })
  })
)

const found = Effect.fnUntraced(function* (threads: Threads["Service"], threadId: ThreadId) {
  const [row] = yield* threads.byIds([threadId])
  if (row === undefined || row.deletedAt !== null) return yield* new ThreadNotFound({ threadId })
})

const agreed = (client: ProtocolRange) => {
  const version = agree(client)
  return version === null
    ? Effect.fail(new UnsupportedProtocol({ client, server: supported }))
    : Effect.succeed(version)
}

/** A handler that is only asked for what fits its schema. */
const call =
  <I, A, E, R>(f: (input: I) => Effect.Effect<A, E, R>) =>
  (input: I | Malformed): Effect.Effect<A, E | InvalidRequest, R> =>
    input instanceof Malformed ? Effect.fail(invalid(input)) : guarded(f(input))

const subscription =
  <I, A, E, R>(f: (input: I) => Stream.Stream<A, E, R>) =>
  (input: I | Malformed): Stream.Stream<A, E | InvalidRequest, R> =>
    input instanceof Malformed
      ? Stream.fail(invalid(input))
      : counted(Stream.catchDefect(f(input), (d) => Stream.unwrap(broken(d))))

const counted = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Stream.unwrap(Effect.as(countSubscription, stream))

const invalid = ({ issues }: Malformed) => new InvalidRequest({ issues })

/** What broke is for the log; a client is told that it broke. */
const guarded = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.catchDefect(effect, broken)
const broken = (defect: unknown) =>
  Effect.andThen(Effect.logError("A call broke", defect), Effect.die("internal error"))
