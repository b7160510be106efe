export { StreamClient } from './StreamClient';
export type { ConnectionState, ConnectionStatus, StreamClientOptions, WebSocketLike } from './StreamClient';
export type { LogEntry, StreamView } from './StreamSlot';
export { sharedClient } from './shared';
export { parseExact } from './json';
export { mergePatch } from './mergePatch';
export * from './messages';
