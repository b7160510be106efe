/** How a stream and a connection are, in one set of words, and why. */

/**
 * Every status there is. A connection is `idle`, `connecting`, `connected`, `polling`, `reconnecting`, `paused` or `disconnected`;
 * a stream is one of them as long as no data can come, and else `waiting`, `live`, `stale`, `unauthorized` or `refused`.
 */
export const Status = {
  /** Nobody wants anything, so there is no connection; or the hook is not `enabled`. */
  Idle: 'idle',
  /** The first attempt is under way. */
  Connecting: 'connecting',
  /** The WebSocket delivers. */
  Connected: 'connected',
  /** The WebSocket does not get through; REST delivers. */
  Polling: 'polling',
  /** Neither does; the next attempt is at `retryAt` or under way. */
  Reconnecting: 'reconnecting',
  /** The page has been hidden for long. */
  Paused: 'paused',
  /** Over: lost with `reconnect` off, or something that another attempt would not change. */
  Disconnected: 'disconnected',
  /** Subscribed; the first data is not there yet. */
  Waiting: 'waiting',
  /** The data is the newest there is. */
  Live: 'live',
  /** The node or the connection stopped delivering; the data is the last good one. */
  Stale: 'stale',
  /** The gateway wants a token, or another one. */
  Unauthorized: 'unauthorized',
  /** The gateway does not offer this stream. */
  Refused: 'refused',
} as const;

export type Status = (typeof Status)[keyof typeof Status];

export type ConnectionState = Extract<
  Status,
  'idle' | 'connecting' | 'connected' | 'polling' | 'reconnecting' | 'paused' | 'disconnected'
>;

/**
 * Why nothing comes:
 * - `unauthorized`: no token, or one that is not known; `forbidden`: known, and not allowed
 * - `unreachable`: nobody answers; `timeout`: not in time; `silent`: a connection that was there stopped answering
 * - `blocked`: HTTP gets through, and WebSocket does not
 * - `refused`: the gateway ended or refused the connection; `busy`, `restarting`: come back later
 * - `closed`: it said goodbye; `broken`: it did not
 * - `unsupported`: no WebSocket on this platform; `address`: no address, or one that cannot be used
 * - `protocol`: what came is not the protocol
 * - `node`: of a stream: the gateway is there, and its node does not answer as it should
 */
export type ErrorReason =
  | 'unauthorized'
  | 'forbidden'
  | 'unreachable'
  | 'timeout'
  | 'silent'
  | 'blocked'
  | 'refused'
  | 'busy'
  | 'restarting'
  | 'closed'
  | 'broken'
  | 'unsupported'
  | 'address'
  | 'protocol'
  | 'node';

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
  /** What happened, in words. */
  readonly error: string | null;
  /** The same as one word, to act on. */
  readonly reason: ErrorReason | null;
  /** What the browser says of its network. */
  readonly online: boolean;
  /** Streams that the gateway offers, or null before it said so. */
  readonly streams: readonly string[] | null;
  /** The streams with a key, which are not among these, and what their keys are; null before the first welcome. */
  readonly keyed: Readonly<Record<string, string>> | null;
  readonly epoch: string | null;
  /** The gateway speaks another version of the protocol than this client. */
  readonly incompatible: string | null;
}

/** The status before anything happened; what a server renders, and a browser in its first pass over that. */
export const INITIAL_STATUS: ConnectionStatus = {
  state: 'idle',
  connected: false,
  attempt: 0,
  retryAt: null,
  lostAt: null,
  error: null,
  reason: null,
  online: true,
  streams: null,
  keyed: null,
  epoch: null,
  incompatible: null,
};

/** What failed: thrown by `call`, `stream` and suspense, and handed to `onError`. */
export class BlockcastError extends Error {
  readonly reason: ErrorReason | 'rpc';
  /** The gateway's or the node's own code, if it gave one. */
  readonly code: string | number | null;
  /** The `data` of a JSON-RPC error. */
  readonly data: unknown;

  constructor(message: string, reason: ErrorReason | 'rpc', code: string | number | null = null, data?: unknown) {
    super(message);
    this.name = 'BlockcastError';
    this.reason = reason;
    this.code = code;
    this.data = data;
  }
}

type Listener = () => void;

/** The status of one client, and who wants to know of its changes. */
export class StatusStore {
  current: ConnectionStatus = INITIAL_STATUS;
  private readonly listeners = new Set<Listener>();

  listen(listener: Listener): () => void {
    const own: Listener = () => listener();
    this.listeners.add(own);
    return () => void this.listeners.delete(own);
  }

  change(change: Partial<ConnectionStatus>): void {
    const keys = Object.keys(change) as (keyof ConnectionStatus)[];
    if (keys.every((key) => Object.is(change[key], this.current[key]))) {
      return;
    }
    this.current = { ...this.current, ...change };
    for (const listener of [...this.listeners]) {
      listener();
    }
  }
}
