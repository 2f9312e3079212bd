/**
 * The layer graph: what is built on what.
 *
 *     clients ──▶ rpc ──▶ Engine ──▶ Mailboxes ──▶ Commit ──▶ Feed ──▶ rpc ──▶ clients
 *                                    ▲      │
 *             Ingestion ──▶ ─────────┘      ▼
 *     providers ◀── Sessions ◀── Reactor: pending(state)        Reconciler: live sessions ──▶ Mailboxes
 */
import { NodeServices } from "@effect/platform-node"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { Context, Effect, Layer, References } from "effect"
import type { Ready, ServeOptions } from "./cli/serve.ts"
import { Commit } from "./engine/Commit.ts"
import { measured } from "./engine/CommitLoad.ts"
import { Engine } from "./engine/Engine.ts"
import { Feed } from "./engine/Feed.ts"
import { Mailboxes } from "./engine/Mailboxes.ts"
import { Rebuild } from "./maintenance/Rebuild.ts"
import { Upkeep } from "./maintenance/Upkeep.ts"
import { Projects } from "./projection/Projects.ts"
import { Threads } from "./projection/Threads.ts"
import { ThreadView } from "./projection/ThreadView.ts"
import * as AuthRoutes from "./http/AuthRoutes.ts"
import * as Configured from "./provider/configured.ts"
import { Registry } from "./provider/Registry.ts"
import { Sessions } from "./provider/Sessions.ts"
import { HeavyReads } from "./reads/HeavyReads.ts"
import { Reactor } from "./reactor/Reactor.ts"
import { IdleSessions } from "./reconciler/IdleSessions.ts"
import { Reconciler } from "./reconciler/Reconciler.ts"
import * as Listen from "./rpc/Listen.ts"
import { Token } from "./rpc/Token.ts"
import { beforeListening } from "./startup.ts"
import { DataDirectory } from "./store/DataDirectory.ts"
import { EventLog } from "./store/EventLog.ts"
import { Meta } from "./store/Meta.ts"
import { migrated } from "./store/Migrations.ts"
import * as Sqlite from "./store/Sqlite.ts"

/** The database file with its reads. */
export const storeLayer = (filename: string) =>
  Layer.mergeAll(
    ThreadView.layer,
    Threads.layer,
    Projects.layer,
    EventLog.layer,
    HeavyReads.layer(filename)
  ).pipe(Layer.provideMerge(Meta.layer), Layer.provideMerge(migrated(Sqlite.layer({ filename }))))

/** Everything that keeps threads true, from commands and provider words to commits; no door yet. */
export const coreLayer = (providers: Parameters<typeof Registry.layer>[0]) =>
  Layer.merge(Reconciler.layer, Rebuild.layer).pipe(
    Layer.provideMerge(Reactor.layer),
    Layer.provideMerge(Sessions.layer),
    Layer.provideMerge(Engine.layer),
    Layer.provideMerge(Mailboxes.layer),
    Layer.provideMerge(measured(Commit.layer)),
    Layer.provideMerge(Layer.mergeAll(Feed.layer, Registry.layer(providers)))
  )

/** Runs the server until it is interrupted; then everything ends in the reverse order of its beginning. */
export const serve = (options: ServeOptions, onReady: (info: Ready) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    // 1. The directory is ours alone, and the address can be.
    const directory = yield* Layer.build(DataDirectory.layer(options.dataDirectory))
    const { database, announce } = Context.get(directory, DataDirectory)
    const token = yield* Layer.build(Token.layer(options.dataDirectory, options.secret))
    yield* Listen.addressIsFree(options)
    // 2. The adapters; what an earlier, killed server left running is ended here.
    const providers = yield* Configured.instances(options.providerConfig, options.dataDirectory)
    // 3. The database and all that works on it.
    const core = yield* Layer.build(Layer.provideMerge(coreLayer(providers), storeLayer(database)))
    // 4. What the tables say is held against the truth, before anybody may ask.
    yield* Effect.provide(beforeListening, core)
    // 5. The door.
    const door = yield* Layer.build(
      Listen.layer(options).pipe(Layer.provide([Layer.succeedContext(core), Layer.succeedContext(token)]))
    )
    const url = yield* Effect.provide(Listen.url, door)
    yield* announce(url)
    // 6. Beside the work: what nobody uses is closed, what nobody can ask for any more goes.
    yield* Layer.build(
      Layer.mergeAll(IdleSessions.layer, Upkeep.layer).pipe(Layer.provide(Layer.succeedContext(core)))
    )
    const newLink = (scope: Scope) => Effect.provide(AuthRoutes.newLink(scope), door)
    yield* onReady({ url, port: Number(new URL(url).port), newLink })
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.provide(NodeServices.layer),
    // Standard output belongs to the program's answers.
    Effect.provideService(References.LogToStderr, true)
  )
