import { useCallback, useMemo, useSyncExternalStore } from 'react';
import { INITIAL_STATUS, type ConnectionStatus, type StreamClient } from '../client';
import { useStreamClient, type HookOptions } from './context';

export interface ConnectionHandle extends ConnectionStatus {
  readonly client: StreamClient;
  /** Tries again now instead of at `retryAt`. */
  readonly retry: () => void;
  /** Leaves the connection for a new one, with a new token. */
  readonly reconnect: () => void;
}

/** How the connection is. Renders on every change of it, and wants no connection by itself. */
export function useConnection(options?: string | ({ url?: string } & HookOptions)): ConnectionHandle {
  const { url, ...rest } = typeof options === 'string' ? { url: options } : { url: undefined, ...options };
  const client = useStreamClient(url, rest);
  const status = useConnectionStatus(client);
  return useMemo(
    () => ({ ...status, client, retry: () => client.retry(), reconnect: () => client.reconnect() }),
    [client, status],
  );
}

export function useConnectionStatus(client: StreamClient): ConnectionStatus {
  return useSyncExternalStore(
    useCallback((listener) => client.onStatus(listener), [client]),
    () => client.status,
    // What the server rendered: a root that is hydrated later must begin with the same.
    () => INITIAL_STATUS,
  );
}
