import { BlockcastError, type StreamClient, type StreamName, type StreamOptions, type StreamTypes } from '../client';
import { useStreamReader, type DataStream, type DataStreamOptions } from './useDataStream';

/** The subscription of a component that waits ends this long (ms) after the data came: by then it has its own. */
const KEEP = 5_000;

export type SuspenseDataStream<D> = Omit<DataStream<D>, 'data'> & { readonly data: D };

export type SuspenseOptions<D, T = D> = Omit<DataStreamOptions<D, T>, 'enabled'>;

/**
 * Like `useDataStream`, and `data` is always there: until then the component suspends, and a stream that is refused is thrown to the
 * error boundary. A server renders the fallback, or `initialData`.
 */
export function useSuspenseDataStream<S extends keyof StreamTypes, T = StreamTypes[S]>(
  stream: S,
  options?: string | SuspenseOptions<StreamTypes[S], T>,
): SuspenseDataStream<T>;
export function useSuspenseDataStream<D = unknown, T = D>(stream: StreamName, options?: string | SuspenseOptions<D, T>): SuspenseDataStream<T>;
export function useSuspenseDataStream(stream: string, options?: string | SuspenseOptions<unknown, unknown>): SuspenseDataStream<unknown> {
  const given: SuspenseOptions<unknown, unknown> = typeof options === 'string' ? { url: options } : (options ?? {});
  const { client, result, hydrating } = useStreamReader(stream, given, true);
  if (result.data !== null) {
    return result as SuspenseDataStream<unknown>;
  }
  if (hydrating && typeof document === 'undefined') {
    throw serverError(stream);
  }
  if (result.status === 'refused' || result.status === 'disconnected') {
    throw new BlockcastError(result.error ?? result.status, result.reason ?? 'refused', result.refused);
  }
  throw firstData(client, stream, given);
}

const pending = new WeakMap<StreamClient, Map<string, Promise<void>>>();

/** Resolves when there is data, or when none will come. */
function firstData(client: StreamClient, stream: string, { since, delta, filter }: StreamOptions): Promise<void> {
  const promises = pending.get(client) ?? new Map<string, Promise<void>>();
  pending.set(client, promises);
  let promise = promises.get(stream);
  if (promise === undefined) {
    promise = new Promise<void>((resolve) => {
      const done = (): void => {
        promises.delete(stream);
        setTimeout(leave, KEEP);
        resolve();
      };
      const leave = client.subscribe(stream, {
        since,
        delta,
        filter,
        onData: done,
        onStatus: ({ status }) => {
          if (status === 'refused' || status === 'disconnected') {
            done();
          }
        },
      });
    });
    promises.set(stream, promise);
  }
  return promise;
}

/** On a server React sends the fallback of the boundary around, and the browser goes on from there. */
function serverError(stream: string): Error {
  const error = new BlockcastError(`"${stream}" has no data on the server: the fallback is rendered there (see initialData)`, 'unsupported');
  // Next.js then knows that this is meant, and logs nothing.
  return Object.assign(error, { digest: 'BAILOUT_TO_CLIENT_SIDE_RENDERING' });
}
