/** What a client is told, and what it needs of its platform; no type here needs the DOM. */

/** A function whose argument each platform has a type of its own for: compared as a method's, in either direction. */
type Loose<A extends unknown[], R> = { call(...args: A): R }['call'];

export type SocketHandler = Loose<[event: object], void> | null;

export interface WebSocketLike {
  readonly readyState: number;
  onopen: SocketHandler;
  onmessage: SocketHandler;
  onclose: SocketHandler;
  onerror: SocketHandler;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** The browser's `WebSocket`, that of React Native or Node.js 22, or the one of the package `ws`. */
export type WebSocketConstructor = new (url: string, ...more: never[]) => WebSocketLike;

export interface FetchInit {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  cache?: 'no-cache';
  signal?: AbortSignalLike;
}

export interface AbortSignalLike {
  readonly aborted: boolean;
  // Methods, so that every platform's own AbortSignal fits.
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  text(): Promise<string>;
}

export type FetchLike = Loose<[input: string, init?: object], Promise<ResponseLike>>;

/** A bearer token, or a function that gets one: it is asked for each new connection, and after each 401. */
export type Token = string | (() => string | null | undefined | Promise<string | null | undefined>);

/** What the server of an application signs a key with, for gateways that ask for it. */
export interface KeySignature {
  /** Unix seconds. */
  readonly expires: number;
  /** HMAC-SHA256, hexadecimal. */
  readonly signature: string;
}

type Signed = KeySignature | null | undefined;

/** Gets the signature of a key of a stream: asked when a key is subscribed to, and when the signature of before has ended. */
export type SignKey = (stream: string, key: string) => Signed | Promise<Signed>;

/** What a client wants to know of the page or the app it lives in. */
export interface Page {
  /** Nobody looks: after `hiddenTimeout` the connection is let go. */
  hidden(): boolean;
  /** What the platform says of its network. */
  online?(): boolean;
  /** Calls `changed` whenever `hidden` or `online` may have changed, until the returned function is called. */
  watch(changed: () => void): () => void;
}

export interface StreamClientOptions {
  /** `ws://…`, `wss://…`, `http(s)://…` or a path; default: `/ws` of the page's own host. */
  url?: string;
  /** Bearer token, or a function that gets one. Sent as a subprotocol, and to REST as `Authorization`. Default: none. */
  token?: Token;
  /** Gets signatures of keys, where the gateway asks for them. Default: none. */
  signKey?: SignKey;
  /** More headers: of every REST request, and of the WebSocket where the platform can send some (not in a browser). */
  headers?: Record<string, string>;
  /** Come back after a loss. Default true. */
  reconnect?: boolean;
  /** Cap of the first wait, in ms; it doubles with every attempt. Default 1000. */
  reconnectInterval?: number;
  /** Cap of every wait, in ms. Default 30000. */
  maxReconnectInterval?: number;
  /** REST prefix for the fallback (`/api`), or false for none. Default: next to the WebSocket address. */
  rest?: string | false;
  /** Where `call` posts JSON-RPC, or false for nowhere. Default: `/rpc` next to the WebSocket address. */
  rpc?: string | false;
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
  /** A page hidden for this long lets its connection go, in ms; 0: never. Default 300000. */
  hiddenTimeout?: number;
  /** Attempts that never got through before REST is tried. Default 2. */
  restAfter?: number;
  /** Time between two rounds of the REST fallback, in ms. Default 3000. */
  restInterval?: number;
  /** Default: the platform's own. Node.js before 22 has none: `import WebSocket from 'ws'`. */
  webSocket?: WebSocketConstructor;
  /** Default: the platform's own. */
  fetch?: FetchLike;
  /** Default: the browser's document and window, if there are any. */
  page?: Page;
  random?: () => number;
}

/** The options with their defaults. What has no default may be undefined. */
export type Settings = Required<Omit<StreamClientOptions, Optional>> & Pick<StreamClientOptions, Optional>;

type Optional = 'url' | 'token' | 'signKey' | 'headers' | 'rest' | 'rpc' | 'webSocket' | 'page';

export const DEFAULTS: Settings = {
  reconnect: true,
  reconnectInterval: 1_000,
  maxReconnectInterval: 30_000,
  delta: true,
  maxEntries: 10_000,
  keepEntries: Infinity,
  pingAfter: 15_000,
  pongTimeout: 5_000,
  connectTimeout: 10_000,
  staleAfter: 5_000,
  hiddenTimeout: 300_000,
  restAfter: 2,
  restInterval: 3_000,
  fetch: (input, init) => fetch(input, init as RequestInit),
  random: () => Math.random(),
};

export function defined<T extends object>(options: T): Partial<T> {
  const result: Partial<T> = {};
  for (const name of Object.keys(options) as (keyof T)[]) {
    if (options[name] !== undefined) {
      result[name] = options[name];
    }
  }
  return result;
}
