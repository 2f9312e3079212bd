/** The client of Turnkeeper for browsers, Node and Electron. Begin with `connect`. */
export type { BlockedReason, Connection, ServerFacts } from "./Connection.ts"
export type {
  AnswerInput,
  AnyCommand,
  CallMethod,
  Client,
  ConnectOptions,
  Credential,
  FailureOf,
  NewProjectInput,
  NewThreadInput,
  Outbox,
  OutboxEntry,
  OutboxModel,
  PayloadOf,
  ProjectChanges,
  Receipt,
  ResultOf,
  SendInput,
  SentIds,
  ThreadChanges,
  ThreadHandle,
  WebSocketConstructor
} from "./Client.ts"
export { browserTicket } from "./browserTicket.ts"
export { connect } from "./connect.ts"
export {
  Blocked,
  Closed,
  ConnectionLost,
  Discarded,
  NotConnected,
  NotInOutbox,
  OtherDatabase,
  OutboxFull,
  ServerBroken
} from "./Errors.ts"
export type { DispatchFailed, LinkFailure } from "./Errors.ts"
export { newId } from "./newId.ts"
export type { Freshness, OptimisticSend, ProvidersModel, ShellModel, ThreadModel } from "./Models.ts"
export { localStorageOutbox, memoryOutbox } from "./OutboxStorage.ts"
export type { KeyValueStorage, OutboxStorage, StoredCommand } from "./OutboxStorage.ts"
export { until } from "./Readable.ts"
export type { Readable } from "./Readable.ts"
