import { createContext, useCallback, useContext, useSyncExternalStore, type ReactNode } from 'react';
import type { StreamClient } from '../client/StreamClient';
import type { StreamView } from '../client/StreamSlot';
import { History, type Series } from './history';

interface Gateway {
  client: StreamClient;
  history: History;
}

const GatewayContext = createContext<Gateway | null>(null);
const histories = new WeakMap<StreamClient, History>();

/** The gateway that everything below shows. */
export function GatewayProvider({ client, children }: { client: StreamClient; children: ReactNode }): ReactNode {
  let history = histories.get(client);
  if (history === undefined) {
    history = new History(client);
    histories.set(client, history);
  }
  const gateway = { client, history };
  return <GatewayContext value={gateway}>{children}</GatewayContext>;
}

function useGateway(): Gateway {
  const gateway = useContext(GatewayContext);
  if (gateway === null) {
    throw new Error('used outside of a GatewayProvider');
  }
  return gateway;
}

export function useClient(): StreamClient {
  return useGateway().client;
}

/** A stream of this gateway. Renders once per change of it. */
export function useStream<D = unknown>(stream: string): StreamView<D> {
  const { client } = useGateway();
  return useSyncExternalStore(
    useCallback((listener) => client.subscribe(stream, listener), [client, stream]),
    () => client.view<D>(stream),
  );
}

/** The recorded numbers of a stream. */
export function useSeries(stream: string): Series {
  const { history } = useGateway();
  return useSyncExternalStore(
    useCallback((listener) => history.subscribe(stream, listener), [history, stream]),
    () => history.read(stream),
  );
}
