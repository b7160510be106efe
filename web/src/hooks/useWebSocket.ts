import { useEffect, useMemo, useSyncExternalStore } from 'react';
import type { ClientMessage, ConnectionState, ErrorReason, StreamClient, StreamTypes } from '../client';
import { useStreamClient, type HookOptions } from './context';
import { useConnectionStatus } from './useConnection';

export { useDataStream } from './useDataStream';
export type { DataStream } from './useDataStream';

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
  data: Readonly<Partial<StreamTypes>> & { readonly [stream: string]: unknown };
  /** What happened, in words, and as one word. */
  error: string | null;
  reason: ErrorReason | null;
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
 * reconnectInterval })`. Components with the same `url` share one connection.
 */
export function useWebSocket(options: UseWebSocketOptions = {}): WebSocketHandle {
  const { url, streams = NONE, ...clientOptions } = options;
  const client = useStreamClient(url, clientOptions);
  const group = useMemo(() => new StreamGroup(client), [client]);
  const data = useSyncExternalStore(group.attach, group.read, nothing);
  const status = useConnectionStatus(client);

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
    reason: status.reason,
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
const NOTHING = {} as Record<string, never>;
const nothing = (): Record<string, never> => NOTHING;

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
