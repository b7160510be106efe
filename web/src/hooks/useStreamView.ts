import { useCallback, useMemo, useSyncExternalStore } from 'react';
import { emptyView, type StreamView } from '../client';
import { useStreamClient } from './context';

/** One stream as the client keeps it. Renders once for each change of that stream and for nothing else. */
export function useStreamView<D = unknown>(stream: string, url?: string): StreamView<D> {
  const client = useStreamClient(url);
  const server = useMemo(() => emptyView(stream) as StreamView<D>, [stream]);
  return useSyncExternalStore(
    useCallback((listener) => client.subscribe(stream, listener), [client, stream]),
    () => client.view<D>(stream),
    () => server,
  );
}
