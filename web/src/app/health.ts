import { useCallback, useRef, useSyncExternalStore } from 'react';
import type { ConnectionStatus, StreamClient, StreamView } from '../client';

export type HealthKind =
  | 'live'
  | 'connecting'
  | 'waiting'
  | 'polling'
  | 'catching-up'
  | 'partly-stale'
  | 'node-down'
  | 'reconnecting'
  | 'disconnected'
  | 'offline'
  | 'paused'
  | 'incompatible';

export type Level = 'ok' | 'info' | 'warn' | 'bad';

/** Everything that the banner says. */
export interface Health {
  readonly kind: HealthKind;
  readonly level: Level;
  /** Streams that are not live. */
  readonly streams: readonly string[];
  readonly error: string | null;
  /** Unix seconds of the newest data that is still shown, for as long as it is not live. */
  readonly since: number | null;
  /** Local clock (ms) of the next attempt to connect. */
  readonly retryAt: number | null;
  /** Local clock (ms) of the gateway's next question to a node that is down. */
  readonly nodeRetryAt: number | null;
  readonly attempt: number;
}

/** Sums up the connection and the streams, the worst first. */
export function assess(status: ConnectionStatus, views: readonly StreamView[]): Health {
  const stale = views.filter(({ state }) => state === 'stale');
  const waiting = views.filter(({ state }) => state === 'waiting');
  const newest = (list: readonly StreamView[]): number | null =>
    list.reduce<number | null>((best, { freshAt }) => (freshAt !== null && (best === null || freshAt > best) ? freshAt : best), null);
  const health = (kind: HealthKind, level: Level, more: Partial<Health> = {}): Health => ({
    kind,
    level,
    streams: [],
    error: null,
    since: null,
    retryAt: null,
    nodeRetryAt: null,
    attempt: 0,
    ...more,
  });

  if (status.incompatible !== null) {
    return health('incompatible', 'bad', { error: status.incompatible });
  }
  if (!status.connected) {
    const more = { error: status.error, retryAt: status.retryAt, attempt: status.attempt, since: newest(views) };
    switch (status.state) {
      case 'paused':
        return health('paused', 'info', more);
      case 'idle':
      case 'connecting':
        return health('connecting', 'info', more);
      case 'disconnected':
        return health('disconnected', 'bad', more);
      default:
        return health(status.online ? 'reconnecting' : 'offline', 'warn', more);
    }
  }

  // The gateway says it with the first stream that it asks for in vain; the others only come to know one after the other.
  const down = views.filter((view) => view.node === 'down' && !views.some((other) => answeredSince(other, view)));
  if (down.length > 0) {
    const retries = down.flatMap(({ nodeRetryAt }) => (nodeRetryAt === null ? [] : [nodeRetryAt]));
    return health('node-down', 'bad', {
      streams: down.map(({ stream }) => stream),
      error: down.find((view) => view.error !== null)?.error ?? null,
      since: newest(down),
      nodeRetryAt: retries.length === 0 ? null : Math.min(...retries),
    });
  }

  const error = [...stale, ...waiting].find((view) => view.error !== null)?.error ?? null;
  if (stale.length > 0 && error === null) {
    // Nobody listened for a while, so nothing was polled: the first answer is on its way, and nothing has failed.
    return health('catching-up', 'info', { streams: stale.map(({ stream }) => stream), since: newest(stale) });
  }
  if (stale.length > 0) {
    const down = stale.length + waiting.length === views.length;
    return health(down ? 'node-down' : 'partly-stale', down ? 'bad' : 'warn', {
      streams: stale.map(({ stream }) => stream),
      error,
      since: newest(stale),
    });
  }
  if (waiting.length > 0 && (waiting.length === views.length || error !== null)) {
    return health('waiting', error === null ? 'info' : 'warn', { streams: waiting.map(({ stream }) => stream), error });
  }
  if (status.state === 'polling') {
    return health('polling', 'info', { error: status.error });
  }
  return health('live', 'ok');
}

/** A stream that became live after the other one's node was called down: it answers again. */
function answeredSince(other: StreamView, down: StreamView): boolean {
  return other.state === 'live' && other.node === null && other.freshAt !== null && down.statusAt !== null && other.freshAt > down.statusAt;
}

/** The health of the connection and of `streams`; renders only when what it says changes. */
export function useHealth(client: StreamClient, streams: readonly string[]): Health {
  const names = streams.join('\n');
  const last = useRef<{ key: string; health: Health } | null>(null);

  const subscribe = useCallback(
    (listener: () => void) => {
      const leave = [client.onStatus(listener)];
      if (names !== '') {
        leave.push(...names.split('\n').map((stream) => client.subscribe(stream, listener)));
      }
      return () => leave.forEach((one) => one());
    },
    [client, names],
  );

  const read = (): Health => {
    const views = names === '' ? [] : names.split('\n').map((stream) => client.view(stream));
    const health = assess(client.status, views);
    // While all is well `since` moves with every message, and is not shown.
    const key = JSON.stringify(health);
    if (last.current?.key !== key) {
      last.current = { key, health };
    }
    return last.current.health;
  };

  return useSyncExternalStore(subscribe, read);
}
