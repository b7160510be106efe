import { createContext, createElement, useContext, useEffect, useMemo, useRef, type ReactElement, type ReactNode } from 'react';
import { sharedClient, websocketUrl, type StreamClient, type StreamClientOptions } from '../client';

export type HookOptions = Omit<StreamClientOptions, 'url'>;

interface Defaults {
  readonly client: StreamClient;
}

const StreamContext = createContext<Defaults | null>(null);

export interface StreamProviderProps extends StreamClientOptions {
  /** A client of your own, instead of the one for `url`. */
  client?: StreamClient | undefined;
  children?: ReactNode;
}

/**
 * The gateway, and how to connect to it, for every hook below that names no other. The options count when it is first rendered; a
 * `token` that is a text may change.
 */
export function StreamProvider({ client, children, ...options }: StreamProviderProps): ReactElement {
  const { url, ...rest } = options;
  const used = useMemo(() => client ?? sharedClient(url, rest), [client, url]);
  const value = useMemo(() => ({ client: used }), [used]);

  const token = typeof options.token === 'function' ? undefined : (options.token ?? null);
  const before = useRef(token);
  useEffect(() => {
    if (token !== undefined && token !== before.current) {
      used.setToken(token);
    }
    before.current = token;
  }, [used, token]);

  return createElement(StreamContext.Provider, { value }, children);
}

/**
 * The client for `url`; without one that of the provider above, or else the one for the page's own `/ws`. Options are read once for
 * each address; those that differ from what its connection has are reported.
 */
export function useStreamClient(url?: string, options?: HookOptions): StreamClient {
  const above = useContext(StreamContext)?.client ?? null;
  return useMemo(() => {
    if (above !== null && (url === undefined || above.url === websocketUrl(url))) {
      return above;
    }
    const { url: _url, ...rest } = { url, ...options };
    return sharedClient(url, rest);
  }, [above, url]);
}
