export { useConnection, useDataStream, useStreamClient, useStreamView, useWebSocket } from './useWebSocket';
export type { DataStream, HookOptions, UseWebSocketOptions, WebSocketHandle } from './useWebSocket';
