/** What a client is told, and what it tells of its connection. */

/**
 * - `idle`: nobody wants anything, so there is no connection
 * - `connecting`: the first attempt is under way
 * - `connected`: the WebSocket delivers
 * - `polling`: the WebSocket does not get through; REST delivers
 * - `reconnecting`: neither does; the next attempt is at `retryAt` or under way
 * - `paused`: the tab has been hidden for long
 * - `disconnected`: lost, and `reconnect` is off
 */
export type ConnectionState =
  | 'idle'
  | 'connecting'
  | 'connected'
  | 'polling'
  | 'reconnecting'
  | 'paused'
  | 'disconnected';

/** A new object for every change. */
export interface ConnectionStatus {
  readonly state: ConnectionState;
  /** Data can come: `connected` or `polling`. */
  readonly connected: boolean;
  /** Attempts since the last connection that held. */
  readonly attempt: number;
  /** When the next attempt is due (local clock, ms), or null while one is under way or none is planned. */
  readonly retryAt: number | null;
  /** Since when no data can come (local clock, ms), or null while it can. */
  readonly lostAt: number | null;
  readonly error: string | null;
  /** What the browser says of its network. */
  readonly online: boolean;
  /** Streams that the gateway offers, or null before it said so. */
  readonly streams: readonly string[] | null;
  readonly epoch: string | null;
  /** The gateway speaks another version of the protocol than this client. */
  readonly incompatible: string | null;
}

export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface StreamClientOptions {
  /** `ws://…`, `wss://…` or a path; default: `/ws` of the page's own host. */
  url?: string;
  /** Come back after a loss. Default true. */
  reconnect?: boolean;
  /** Cap of the first wait, in ms; it doubles with every attempt. Default 1000. */
  reconnectInterval?: number;
  /** Cap of every wait, in ms. Default 30000. */
  maxReconnectInterval?: number;
  /** REST prefix for the fallback (`/api`), or false for none. Default: next to the WebSocket address. */
  rest?: string | false;
  /** Ask for merge patches. Default true. */
  delta?: boolean;
  /** Most entries kept of each log stream. Default 10000. */
  maxEntries?: number;
  /** Entries kept of a log stream as they come by and by. When one message brings more, so many are kept, up to `maxEntries`. Default: `maxEntries`. */
  keepEntries?: number;
  /** Silence after which a ping is sent, in ms. Default 15000. */
  pingAfter?: number;
  /** How long its answer may take, in ms. Default 5000. */
  pongTimeout?: number;
  /** How long the handshake may take, in ms. Default 10000. */
  connectTimeout?: number;
  /** After this time without a connection, nothing counts as live any more, in ms. Default 5000. */
  staleAfter?: number;
  /** A tab hidden for this long lets its connection go, in ms; 0: never. Default 300000. */
  hiddenTimeout?: number;
  /** Attempts that never got through before REST is tried. Default 2. */
  restAfter?: number;
  webSocket?: new (url: string) => WebSocketLike;
  fetch?: typeof fetch;
  random?: () => number;
}
