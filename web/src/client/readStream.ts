import type { FetchInit } from './options';
import { BlockcastError, type ErrorReason } from './status';
import type { StreamClient, StreamOptions } from './StreamClient';
import type { StreamMessage } from './StreamSlot';

export interface StreamIterator<D> extends AsyncIterableIterator<StreamMessage<D>> {
  return(): Promise<IteratorResult<StreamMessage<D>>>;
}

/**
 * A stream as an async iterator. A reader that is slower than the stream skips to the newest value of a snapshot stream; of a log
 * it gets everything, up to `most` messages, and then a `gap`. What no waiting would mend is thrown.
 */
export function readStream<D>(
  client: StreamClient,
  stream: string,
  { signal, ...options }: StreamOptions & { signal?: FetchInit['signal'] },
  most: number,
): StreamIterator<D> {
  type Message = StreamMessage<D>;
  const queue: Message[] = [];
  let waiting: { resolve: (result: IteratorResult<Message>) => void; reject: (error: unknown) => void }[] = [];
  let failure: BlockcastError | null = null;
  let leave: (() => void) | null = null;
  let done = false;
  let last: number | null = null;

  const finish = (error: BlockcastError | null = null): void => {
    if (done) {
      return;
    }
    done = true;
    failure = error;
    leave?.();
    signal?.removeEventListener('abort', abort);
    for (const { resolve, reject } of waiting) {
      if (error === null) {
        resolve({ done: true, value: undefined });
      } else {
        failure = null;
        reject(error);
      }
    }
    waiting = [];
  };
  const abort = (): void => {
    queue.length = 0;
    finish();
  };

  const push = (message: Message): void => {
    const reader = waiting.shift();
    if (reader !== undefined) {
      last = message.seq;
      reader.resolve({ done: false, value: message });
      return;
    }
    if (message.kind === 'snapshot') {
      queue.length = 0;
    }
    queue.push(message);
    if (queue.length > most) {
      queue.shift();
      const next = queue[0] as Message;
      queue[0] = { ...next, gap: { since: last ?? 0, oldest: next.seq ?? 0 } };
    }
  };

  const start = (): void => {
    if (leave !== null || done) {
      return;
    }
    if (signal?.aborted) {
      finish();
      return;
    }
    signal?.addEventListener('abort', abort);
    leave = client.subscribe<D>(stream, {
      ...options,
      onData: (_data, message) => push(message),
      onStatus: ({ status, error, reason, refused }) => {
        if (status === 'refused') {
          finish(new BlockcastError(error ?? `the gateway refused "${stream}"`, 'refused', refused));
        } else if (status === 'disconnected') {
          finish(new BlockcastError(error ?? 'disconnected', (reason ?? 'closed') as ErrorReason));
        }
      },
    });
  };

  return {
    next() {
      start();
      const message = queue.shift();
      if (message !== undefined) {
        last = message.seq;
        return Promise.resolve({ done: false, value: message });
      }
      if (failure !== null) {
        const error = failure;
        failure = null;
        return Promise.reject(error);
      }
      if (done) {
        return Promise.resolve({ done: true, value: undefined });
      }
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    return() {
      abort();
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
