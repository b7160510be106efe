import { useCallback, useSyncExternalStore } from 'react';
import { useStreamClient } from '../hooks';
import type { StreamClient } from '../client';
import { History, type Series } from './history';

const histories = new WeakMap<StreamClient, History>();

function historyOf(client: StreamClient): History {
  let history = histories.get(client);
  if (history === undefined) {
    history = new History(client);
    histories.set(client, history);
  }
  return history;
}

/** The recorded numbers of a stream. */
export function useSeries(stream: string): Series {
  const history = historyOf(useStreamClient());
  return useSyncExternalStore(
    useCallback((listener) => history.subscribe(stream, listener), [history, stream]),
    () => history.read(stream),
  );
}
