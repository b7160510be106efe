import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react';
import { sharedClient } from '../client/shared';
import type { ConnectionState, ConnectionStatus, StreamClient, StreamClientOptions } from '../client/StreamClient';
import type { LogEntry, StreamView } from '../client/StreamSlot';
import type { ClientMessage, GapNotice, KnownStreams, StreamState } from '../client/messages';

export type HookOptions = Omit<StreamClientOptions, 'url'>;

/** The connection for `url` (default: the page's own `/ws`), the same one for every component that asks. */
export function useStreamClient(url?: string, options?: HookOptions): StreamClient {
  // Options are read once, when the first component asks for this address.
  return useMemo(() => sharedClient(url, options), [url]);
}

/** How the connection is. Renders on every change of it, and wants no connection by itself. */
export function useConnection(url?: string): ConnectionStatus {
  const client = useStreamClient(url);
  return useSyncExternalStore(
    useCallback((listener) => client.onStatus(listener), [client]),
    () => client.status,
    () => client.status,
  );
}

/** One stream as the client keeps it. Renders once for each change of that stream and for nothing else. */
export function useStreamView<D = unknown>(stream: string, url?: string): StreamView<D> {
  const client = useStreamClient(url);
  return useSyncExternalStore(
    useCallback((listener) => client.subscribe(stream, listener), [client, stream]),
    () => client.view<D>(stream),
    () => client.view<D>(stream),
  );
}

export interface DataStream<D> {
  /** The newest value; of a log stream the newest message's data. Null before the first. */
  data: D | null;
  /** Data can come now. */
  connected: boolean;
  /** Why the stream, or else the connection, delivers nothing. */
  error: string | null;
  /** `waiting` before the first data, `stale` when the node or the connection stopped delivering, else `live`. */
  state: StreamState;
  stale: boolean;
  seq: number | null;
  /** Unix seconds of the poll that made the data. */
  timestamp: number | null;
  /** Seconds from then to this render, by the gateway's clock. */
  age: number | null;
  /** Log streams: everything received, newest first. */
  entries: readonly LogEntry[];
  /** Log streams: the last announced gap. */
  gap: GapNotice | null;
}

/**
 * A stream's newest data: `const { data, connected, error } = useDataStream('network_metrics', 'ws://localhost:8080')`.
 * Subscribes while the component is there, and renders once for each change of this stream.
 */
export function useDataStream<S extends keyof KnownStreams>(stream: S, url?: string): DataStream<KnownStreams[S]>;
export function useDataStream<D = unknown>(stream: string, url?: string): DataStream<D>;
export function useDataStream(stream: string, url?: string): DataStream<unknown> {
  const client = useStreamClient(url);
  const view = useStreamView(stream, url);

  const onStatus = useCallback((listener: () => void) => client.onStatus(listener), [client]);
  const connected = useSyncExternalStore(onStatus, () => client.status.connected, () => false);
  const lost = useSyncExternalStore(
    onStatus,
    () => (client.status.connected ? null : client.status.error),
    () => null,
  );

  return useMemo(
    () => ({
      data: view.data,
      connected,
      error: view.error ?? lost,
      state: view.state,
      stale: view.state === 'stale',
      seq: view.seq,
      timestamp: view.timestamp,
      age: view.timestamp === null ? null : Math.max(0, client.now() - view.timestamp),
      entries: view.entries,
      gap: view.gap,
    }),
    [client, view, connected, lost],
  );
}

export interface UseWebSocketOptions extends HookOptions {
  /** Default: the page's own `/ws`. */
  url?: string;
  /** Streams to subscribe to from the start. */
  streams?: readonly string[];
}

export interface WebSocketHandle {
  state: ConnectionState;
  connected: boolean;
  /** The newest data of each stream that this component subscribed to. */
  data: Readonly<Partial<KnownStreams>> & { readonly [stream: string]: unknown };
  error: string | null;
  /** When the next attempt is due (local clock, ms), if one is waited for. */
  retryAt: number | null;
  /** Streams that the gateway offers. */
  streams: readonly string[] | null;
  subscribe: (stream: string) => void;
  unsubscribe: (stream: string) => void;
  /** Sends a message of your own; false when there is no connection. */
  send: (message: ClientMessage | Record<string, unknown>) => boolean;
  /** Tries again now. */
  retry: () => void;
  client: StreamClient;
}

/**
 * The connection and any number of its streams: `const { state, subscribe, unsubscribe, data } = useWebSocket({ url, reconnect,
 * reconnectInterval })`. Components with the same `url` share one connection; its options are those of the first.
 */
export function useWebSocket(options: UseWebSocketOptions = {}): WebSocketHandle {
  const { url, streams = NONE, ...clientOptions } = options;
  const client = useStreamClient(url, clientOptions);
  const group = useMemo(() => new StreamGroup(client), [client]);
  const data = useSyncExternalStore(group.attach, group.read, group.read);
  const status = useConnection(url);

  const names = streams.join('\n');
  useEffect(() => {
    const wanted = names === '' ? [] : names.split('\n');
    wanted.forEach(group.subscribe);
    return () => wanted.forEach(group.unsubscribe);
  }, [group, names]);

  return {
    state: status.state,
    connected: status.connected,
    data,
    error: status.error,
    retryAt: status.retryAt,
    streams: status.streams,
    subscribe: group.subscribe,
    unsubscribe: group.unsubscribe,
    send: group.send,
    retry: group.retry,
    client,
  };
}

const NONE: readonly string[] = [];

/**
 * The streams one component subscribed to, as one store. It outlives a detach, because strict mode detaches and attaches again
 * without running what the component did in between.
 */
class StreamGroup {
  private readonly client: StreamClient;
  private readonly wanted = new Map<string, (() => void) | null>();
  private listener: (() => void) | null = null;
  private release: (() => void) | null = null;
  private snapshot: Record<string, unknown> = {};

  constructor(client: StreamClient) {
    this.client = client;
  }

  readonly attach = (listener: () => void): (() => void) => {
    this.listener = listener;
    this.release = this.client.hold();
    for (const stream of this.wanted.keys()) {
      this.join(stream);
    }
    return () => {
      this.listener = null;
      this.release?.();
      this.release = null;
      for (const [stream, leave] of this.wanted) {
        leave?.();
        this.wanted.set(stream, null);
      }
    };
  };

  readonly read = (): Record<string, never> => this.snapshot as Record<string, never>;

  readonly subscribe = (stream: string): void => {
    if (!this.wanted.has(stream)) {
      this.wanted.set(stream, null);
      if (this.listener !== null) {
        this.join(stream);
      }
    }
  };

  readonly unsubscribe = (stream: string): void => {
    this.wanted.get(stream)?.();
    if (this.wanted.delete(stream) && stream in this.snapshot) {
      const { [stream]: _left, ...rest } = this.snapshot;
      this.snapshot = rest;
      this.listener?.();
    }
  };

  readonly send = (message: ClientMessage | Record<string, unknown>): boolean => this.client.send(message);

  readonly retry = (): void => this.client.retry();

  private join(stream: string): void {
    const update = (): void => {
      const { data } = this.client.view(stream);
      if (data !== null && data !== this.snapshot[stream]) {
        this.snapshot = { ...this.snapshot, [stream]: data };
        this.listener?.();
      }
    };
    this.wanted.set(stream, this.client.subscribe(stream, update));
    update();
  }
}
