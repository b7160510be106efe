/** The client of a blockcast gateway; needs no framework. */
export { StreamClient } from './StreamClient';
export { fetchStream } from './fetchStream';
export type { StreamHandlers, StreamOptions } from './StreamClient';
export type { StreamCondition } from './condition';
export type { StreamIterator } from './readStream';
export { BlockcastError, INITIAL_STATUS, Status } from './status';
export type { ConnectionState, ConnectionStatus, ErrorReason } from './status';
export type {
  AbortSignalLike,
  FetchInit,
  FetchLike,
  KeySignature,
  Page,
  ResponseLike,
  SignKey,
  SocketHandler,
  StreamClientOptions,
  Token,
  WebSocketConstructor,
  WebSocketLike,
} from './options';
export { emptyView, errorText, logField } from './StreamSlot';
export type { LogEntry, StreamMessage, StreamView } from './StreamSlot';
export { filterData, matches } from './Slots';
export type { Filter, FilterValue, Since } from './Slots';
export { sameCondition, streamCondition } from './condition';
export { forgetSharedClients, sharedClient } from './shared';
export { canonical, parseExact } from './json';
export { keyed } from './keys';
export { isObject, mergePatch } from './mergePatch';
export { websocketUrl } from './urls';
export * from './messages';
