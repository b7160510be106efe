export { useDataStream } from './useWebSocket';
export type { DataStream } from './useWebSocket';
