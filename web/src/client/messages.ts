/** What goes over the WebSocket, and the data of the streams that the presets ship. */

/** The version of the message protocol that this client speaks. */
export const PROTOCOL_VERSION = 1;

/** An integer above 2^53 arrives as `bigint`, any other number as `number`. */
export type Numeric = number | bigint;

/** A value that the node may be unable to supply. */
export type Reported<T> = T | null;

// ---------------------------------------------------------------- client to gateway

export interface SubscribeMessage {
  type: 'subscribe';
  stream: string;
  /** Of a stream with keys. */
  key?: string;
  /** Of a key that needs a signature: until when it is good (Unix seconds), and the signature itself. */
  expires?: number;
  signature?: string;
  /** Log streams: everything after this seq, please. */
  since?: number;
  /** The epoch that `since` belongs to. */
  epoch?: string | number | bigint;
  /** Log streams: members that must have one of these values. */
  filter?: Record<string, unknown>;
  /** Changes may come as merge patches. */
  delta?: boolean;
  id?: string;
}

export interface UnsubscribeMessage {
  type: 'unsubscribe';
  stream: string;
  key?: string;
  id?: string;
}

export interface PingMessage {
  type: 'ping';
  id?: string;
}

export type ClientMessage = SubscribeMessage | UnsubscribeMessage | PingMessage;

// ---------------------------------------------------------------- gateway to client

export interface WelcomeMessage {
  type: 'welcome';
  message?: string;
  timestamp?: number;
  available_streams?: string[];
  /** Streams with a key, by name, and what their keys are. */
  keyed?: Record<string, string>;
  /** Changes only when the gateway lost its state. */
  epoch?: string | number;
  /** Version of the message protocol: `1`, `"1.2"` or `"blockcast.v1"`. Absent means 1. */
  protocol?: string | number;
}

export interface SubscribedMessage {
  type: 'subscribed' | 'unsubscribed';
  stream: string;
  /** Of a stream with keys. */
  key?: string;
  /** Of an `unsubscribed` that nobody asked for: `expired`, and why in words. */
  code?: string;
  message?: string;
  timestamp?: number;
  id?: string;
}

export interface PongMessage {
  type: 'pong';
  timestamp?: number;
  id?: string;
}

export type StreamState = 'waiting' | 'live' | 'stale';

export interface StatusMessage {
  /** Of a stream with keys. */
  key?: string;
  type: 'status';
  stream: string;
  state: StreamState;
  /** Seconds since the poll that made the data. */
  age?: number | null;
  error?: unknown;
  /** There when the stream's node is not well. */
  node?: NodeState;
  /** Seconds until it is asked again. */
  retry_in?: number;
  /** What happened within the last minute. */
  note?: string;
  timestamp?: number;
}

/** `down`: not asked for a while, because it failed too often; `limited`: it asked for fewer calls. */
export type NodeState = 'down' | 'limited';

export interface ErrorMessage {
  /** Of a stream with keys. */
  key?: string;
  type: 'error';
  message: string;
  code?: string | number;
  stream?: string;
  id?: string;
}

/** Entries of a log stream that the gateway no longer has. */
export interface GapNotice {
  /** The last seq this client had. */
  since: number;
  /** The oldest seq that was still kept. */
  oldest: number;
  /** Where the log itself lacks something: from and to these numbers (or texts) of the node's own, which it could not deliver. */
  from?: unknown;
  to?: unknown;
}

/** A stream's data: `type` is the stream's name. */
export interface DataMessage<D = unknown> {
  /** Of a stream with keys. */
  key?: string;
  type: string;
  data?: D;
  /** A merge patch (RFC 7396) on the data with the seq `base`, instead of `data`. */
  delta?: unknown;
  base?: number;
  seq?: number;
  /** Unix seconds of the poll that made the data. */
  timestamp?: number;
  gap?: GapNotice;
}

export type StreamKind = 'snapshot' | 'log';

/** One row of `/api/streams`. */
export interface StreamInfo {
  /** What the keys of the stream are, of one that has keys. */
  keyed?: string | null;
  name: string;
  kind: StreamKind | null;
  /** Seconds between two polls. */
  interval: number | null;
  seq: number | null;
  age: number | null;
  state: string | null;
  error: string | null;
  /** The ranges of the history that is kept, and of which numbers; null when none is, or the gateway is older. */
  history: { ranges: string[]; series: string[] } | null;
}

/** What `/api/streams/NAME/history` has: element i is of the seconds from `from + i * step` on, null where there is nothing. */
export interface StreamHistory {
  stream: string;
  epoch?: string | number;
  now: number;
  step: number;
  from: number;
  series: Record<string, { min: (number | null)[]; mean: (number | null)[]; max: (number | null)[] }>;
}

// ---------------------------------------------------------------- data of the shipped streams

export interface NetworkMetrics {
  network_strength: Reported<number>;
  block_height: Reported<Numeric>;
  finality_time: Reported<number>;
  peer_count: Reported<number>;
  tps: Reported<number>;
  bandwidth_in: Reported<Numeric>;
  bandwidth_out: Reported<Numeric>;
  active_connections: Reported<number>;
}

export type MarketStatus = 'healthy' | 'idle' | 'unavailable';

export interface MarketHealth {
  status: MarketStatus;
  /** Why it is unavailable. */
  error?: unknown;
  [figure: string]: unknown;
}

export type MarketName = 'compute' | 'storage' | 'energy' | 'ads';

export interface MarketsHealth {
  overall_status: 'healthy' | 'degraded' | 'down';
  markets: Partial<Record<MarketName, MarketHealth>> & Record<string, MarketHealth | undefined>;
  healthy_markets: number;
  total_markets: number;
}

export interface Receipt {
  id: string | Numeric;
  market: string;
  block_height: Reported<Numeric>;
  timestamp: Reported<Numeric>;
  provider: Reported<string>;
  consumer: Reported<string>;
  amount: Reported<Numeric>;
  [more: string]: unknown;
}

export interface Receipts {
  receipts: Receipt[];
  count: number;
}

export interface Operation {
  [field: string]: unknown;
}

export interface Operations {
  operations: Operation[];
  count: number;
}

export interface Peer {
  id: string;
  address: Reported<string>;
  latency_ms: Reported<number>;
  is_validator: Reported<boolean>;
}

export interface Peers {
  peers: Peer[];
  total: number;
}

/** The streams of the presets. */
export interface KnownStreams {
  network_metrics: NetworkMetrics;
  markets_health: MarketsHealth;
  receipts: Receipts;
  operations: Operations;
  peers: Peers;
}

/**
 * The streams of your gateway and their data: add to it with `declare module 'blockcast-web'`. What stands here goes before
 * the presets' streams of the same name; the data of a stream that neither knows is `unknown`.
 */
export interface Streams {}

/** The streams whose data is known, by their names. */
export type StreamTypes = Omit<KnownStreams, keyof Streams> & Streams;

/** A stream's name, completed by an editor; any other text is one, too. */
export type StreamName = keyof StreamTypes | (string & {});

/** The data of the stream `S`. */
export type StreamData<S extends string> = S extends keyof StreamTypes ? StreamTypes[S] : unknown;
