import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import {
  BlockcastError,
  canonical,
  emptyView,
  filterData,
  INITIAL_STATUS,
  keyed,
  logField,
  matches,
  sameCondition,
  streamCondition,
  type ConnectionStatus,
  type Filter,
  type GapNotice,
  type LogEntry,
  type StreamClient,
  type StreamCondition,
  type StreamMessage,
  type StreamName,
  type StreamOptions,
  type StreamState,
  type StreamTypes,
  type StreamView,
} from '../client';
import { useStreamClient, type HookOptions } from './context';

export interface DataStream<D> extends StreamCondition {
  /** The newest value, or what `select` makes of it; of a log stream the newest message's data. Null before the first. */
  readonly data: D | null;
  /** `waiting` before the first data, `stale` when the node or the connection stopped delivering, else `live`. */
  readonly state: StreamState;
  readonly stale: boolean;
  readonly seq: number | null;
  /** Unix seconds of the poll that made the data. */
  readonly timestamp: number | null;
  /** Seconds from then to this render, by the gateway's clock. */
  readonly age: number | null;
  /** Log streams: everything received, newest first. */
  readonly entries: readonly LogEntry[];
  /** Log streams: the last announced gap. */
  readonly gap: GapNotice | null;
}

export interface DataStreamOptions<D, T = D> extends StreamOptions, Omit<HookOptions, 'delta'> {
  /** Default: that of the `StreamProvider`, or the page's own `/ws`. */
  url?: string | undefined;
  /** False: nothing is asked for, and the status is `idle`. Default true. */
  enabled?: boolean | undefined;
  /** What of the data is of interest: `data` is its result, and nothing renders while that stays the same. */
  select?: ((data: D) => T) | undefined;
  /** When two results of `select` are the same. Default `Object.is`. */
  isEqual?: ((one: T, other: T) => boolean) | undefined;
  /** What is shown until the first message, also by a server: of `fetchStream` there, say. */
  initialData?: D | undefined;
  /** Gets every message, however many come between two renders. */
  onMessage?: ((data: D, message: StreamMessage<D>) => void) | undefined;
  /** Gets every new error of the stream or its connection. */
  onError?: ((error: BlockcastError) => void) | undefined;
  /** Log streams: entries are missing. */
  onGap?: ((gap: GapNotice, message: StreamMessage<D>) => void) | undefined;
}

/**
 * A stream's newest data: `const { data, connected, error } = useDataStream('network_metrics', 'ws://localhost:8080')`.
 * Subscribes while the component is there, and renders once for each change of this stream.
 */
export function useDataStream<S extends keyof StreamTypes, T = StreamTypes[S]>(
  stream: S,
  options?: string | DataStreamOptions<StreamTypes[S], T>,
): DataStream<T>;
export function useDataStream<D = unknown, T = D>(stream: StreamName, options?: string | DataStreamOptions<D, T>): DataStream<T>;
export function useDataStream(stream: string, options?: string | DataStreamOptions<unknown, unknown>): DataStream<unknown> {
  const given: DataStreamOptions<unknown, unknown> = typeof options === 'string' ? { url: options } : (options ?? {});
  return useStreamReader(stream, given).result;
}

interface Reader {
  client: StreamClient;
  result: DataStream<unknown>;
  /** This render is a server's, or a browser's first one over what a server rendered. */
  hydrating: boolean;
}

/** What `useDataStream` and its suspense variant have in common. */
export function useStreamReader(of: string, given: DataStreamOptions<unknown, unknown>, suspends = false): Reader {
  const { url, enabled: wanted = true, select, isEqual, initialData, onMessage, onError, onGap, since, delta, filter, key, ...rest } = given;
  // A page that has no address yet asks for none.
  const enabled = wanted && key !== '';
  const stream = keyed(of, key);
  const client = useStreamClient(url, rest);

  const handlers = useRef({ onMessage, onError, onGap });
  useEffect(() => {
    handlers.current = { onMessage, onError, onGap };
  });
  const wantsMessages = onMessage !== undefined || onGap !== undefined;
  const wantsErrors = onError !== undefined;

  const identity = canonical([filter ?? null, since ?? null, delta ?? null]);
  const wish = useMemo((): StreamOptions => ({ filter, since, delta }), [identity]);

  const subscribe = useCallback(
    (listener: () => void) => {
      if (!enabled) {
        return () => {};
      }
      let last: string | null = null;
      const leave = [
        client.onStatus(listener),
        client.subscribe<unknown>(stream, {
          ...wish,
          onChange: listener,
          ...(wantsMessages && {
            onData: (data: unknown, message: StreamMessage) => handlers.current.onMessage?.(data, message),
            onGap: (gap: GapNotice, message: StreamMessage) => handlers.current.onGap?.(gap, message),
          }),
          ...(wantsErrors && {
            onStatus: ({ error, reason, refused }: StreamCondition) => {
              if (error !== null && error !== last) {
                handlers.current.onError?.(new BlockcastError(error, reason ?? 'broken', refused));
              }
              last = error;
            },
          }),
        }),
      ];
      return () => leave.forEach((one) => one());
    },
    [client, stream, enabled, wish, wantsMessages, wantsErrors],
  );

  const [memory] = useState(() => new Memory());
  const build = (view: StreamView, status: ConnectionStatus): DataStream<unknown> =>
    memory.read(client, enabled, view, status, wish.filter, select, isEqual, initialData);
  const before = useMemo(() => emptyView(stream), [stream]);

  let hydrating = false;
  const result = useSyncExternalStore(
    subscribe,
    () => build(enabled ? client.view(stream) : before, client.status),
    () => {
      // What the server rendered: a root that is hydrated later must begin with the same, whatever has come meanwhile.
      // One that suspends rendered nothing there.
      hydrating = true;
      return suspends && typeof document !== 'undefined' ? build(client.view(stream), client.status) : build(before, INITIAL_STATUS);
    },
  );
  return { client, result, hydrating };
}

/** The last result, so that what did not change stays the same object and renders nothing. */
class Memory {
  private last: DataStream<unknown> | null = null;
  private view: StreamView | null = null;
  private filtered: { view: StreamView; filter: Filter; result: StreamView } | null = null;
  private selected: { data: unknown; select: unknown; result: unknown } | null = null;

  read(
    client: StreamClient,
    enabled: boolean,
    held: StreamView,
    status: ConnectionStatus,
    filter: Filter | undefined,
    select: ((data: unknown) => unknown) | undefined,
    isEqual: ((one: unknown, other: unknown) => boolean) | undefined,
    initialData: unknown,
  ): DataStream<unknown> {
    const view = filter === undefined ? held : this.filter(held, filter);
    const source = view.data ?? initialData ?? null;
    const data = source === null || select === undefined ? source : this.select(source, select, isEqual);
    const condition = streamCondition(view, status);
    if (!enabled) {
      Object.assign(condition, { status: 'idle', connected: false, error: null, reason: null, retryAt: null } satisfies Partial<StreamCondition>);
    }

    const { last } = this;
    const same =
      last !== null &&
      Object.is(last.data, data) &&
      (select !== undefined || this.view === view) &&
      last.state === view.state &&
      last.gap === view.gap &&
      sameCondition(condition, last);
    if (same) {
      return last;
    }
    this.view = view;
    this.last = {
      ...condition,
      data,
      state: view.state,
      stale: view.state === 'stale',
      seq: view.seq,
      timestamp: view.timestamp,
      age: view.timestamp === null ? null : Math.max(0, client.now() - view.timestamp),
      entries: view.entries,
      gap: view.gap,
    };
    return this.last;
  }

  private filter(view: StreamView, filter: Filter): StreamView {
    if (view.kind !== 'log') {
      return view;
    }
    if (this.filtered?.view !== view || this.filtered.filter !== filter) {
      const field = logField(view.data, 'log');
      const result = {
        ...view,
        data: field === null ? view.data : filterData(view.data, field, filter),
        entries: view.entries.filter(({ value }) => matches(value, filter)),
      };
      this.filtered = { view, filter, result };
    }
    return this.filtered.result;
  }

  private select(data: unknown, select: (data: unknown) => unknown, isEqual: (one: unknown, other: unknown) => boolean = Object.is): unknown {
    const before = this.selected;
    if (before !== null && before.data === data && before.select === select) {
      return before.result;
    }
    const made = select(data);
    const result = before !== null && isEqual(before.result, made) ? before.result : made;
    this.selected = { data, select, result };
    return result;
  }
}
