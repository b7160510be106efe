import { backoffDelay, type BackoffOptions } from './backoff';
import { messageOf } from './failures';
import type { Http } from './Http';
import { parseExact } from './json';
import { unkeyed } from './keys';
import { isObject } from './mergePatch';
import type { DataMessage, StreamInfo } from './messages';
import { BlockcastError, type ErrorReason } from './status';
import type { KeySignature } from './options';
import { errorText } from './StreamSlot';

export interface RestPollerOptions {
  /** REST prefixes without a slash at their end, the likeliest first: the next one is tried where a gateway is not found. */
  urls: string[];
  http: Http;
  /** Time between two rounds, in ms. */
  interval: () => number;
  backoff: () => BackoffOptions;
  random: () => number;
  /** Streams to ask for, with the seq that is held. */
  wanted: () => { name: string; seq: number | null }[];
  /** The signature of a key, where one is needed. */
  signature: (name: string) => Promise<KeySignature | null>;
  /** It was not taken. */
  onUnsigned: (name: string) => void;
  /** Comes before the messages of its round. */
  onEpoch: (epoch: string | null) => void;
  onList: (streams: StreamInfo[]) => void;
  onMessage: (name: string, message: DataMessage) => void;
  onRefused: (name: string, error: string, code: string) => void;
  onUp: () => void;
  onDown: (error: string, reason: ErrorReason) => void;
}

/**
 * The same streams by REST, for networks that let no WebSocket through: each round asks for the list of streams and then for
 * those whose seq is another one than what is held.
 */
export class RestPoller {
  private readonly options: RestPollerOptions;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private failures = 0;
  private at = 0;
  private abort: AbortController | undefined;

  constructor(options: RestPollerOptions) {
    this.options = options;
  }

  get active(): boolean {
    return this.running;
  }

  start(): void {
    if (!this.running) {
      this.running = true;
      this.failures = 0;
      void this.round();
    }
  }

  stop(): void {
    this.running = false;
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = undefined;
  }

  /** `/streams`, from the first address that has it. Rejects with what the first one said when none does. */
  async list(signal?: AbortSignal): Promise<StreamList> {
    let first: unknown;
    for (let tried = 0; tried < this.options.urls.length; tried += 1) {
      try {
        return await fetchStreams(this.url, this.options.http, signal);
      } catch (error) {
        first ??= error;
        const reason = error instanceof BlockcastError ? error.reason : null;
        if (signal?.aborted || (reason !== 'refused' && reason !== 'unreachable' && reason !== 'protocol')) {
          throw error;
        }
        this.at = (this.at + 1) % this.options.urls.length;
      }
    }
    throw first;
  }

  private get url(): string {
    return this.options.urls[this.at] as string;
  }

  private async round(): Promise<void> {
    const { options } = this;
    const abort = new AbortController();
    const deadline = setTimeout(() => abort.abort(), 10_000);
    this.abort = abort;

    try {
      const { epoch, streams: list } = await this.list(abort.signal);
      if (!this.running || this.abort !== abort) {
        return;
      }
      options.onEpoch(epoch);

      const offered = new Map(list.map((info) => [info.name, info]));
      const changed: string[] = [];
      for (const { name, seq } of options.wanted()) {
        const { stream, key } = unkeyed(name);
        const info = offered.get(stream);
        if (info === undefined) {
          options.onRefused(name, `the gateway has no stream "${stream}"`, 'unknown_stream');
        } else if (key !== undefined || info.seq === null || info.seq !== seq) {
          changed.push(name);
        }
      }

      const messages = await Promise.all(changed.map((name) => this.one(name, abort.signal)));
      if (!this.running || this.abort !== abort) {
        return;
      }

      this.failures = 0;
      options.onUp();
      for (const message of messages) {
        if (message !== null) {
          options.onMessage(message.type, message);
        }
      }
      options.onList(list);
      this.timer = setTimeout(() => void this.round(), options.interval());
    } catch (error) {
      if (!this.running || this.abort !== abort) {
        return;
      }
      const reason = error instanceof BlockcastError && error.reason !== 'rpc' ? error.reason : 'unreachable';
      options.onDown(messageOf(error), reason);
      const wait = backoffDelay(this.failures, options.backoff(), options.random);
      this.failures += 1;
      this.timer = setTimeout(() => void this.round(), Math.max(wait, 1000));
    } finally {
      clearTimeout(deadline);
    }
  }

  private async one(name: string, signal: AbortSignal): Promise<DataMessage | null> {
    const { options } = this;
    const { stream, key } = unkeyed(name);
    const path = [stream, ...(key === undefined ? [] : [key])].map(encodeURIComponent).join('/');
    let signature: KeySignature | null;
    try {
      signature = await options.signature(name);
    } catch (error) {
      options.onRefused(name, `no signature for ${key}: ${messageOf(error)}`, 'unsigned');
      return null;
    }
    const query = signature === null ? '' : `?expires=${signature.expires}&signature=${encodeURIComponent(signature.signature)}`;
    const response = await options.http.request(`${this.url}/streams/${path}${query}`, { cache: 'no-cache', signal });
    if (response.status === 503) {
      return null; // no snapshot yet
    }
    if (!response.ok) {
      const code = response.status === 404 ? 'unknown_stream' : response.status === 403 || response.status === 401 ? 'forbidden_stream' : String(response.status);
      options.onUnsigned(name);
      options.onRefused(name, `the gateway answered ${response.status}`, code);
      return null;
    }
    const message = parseExact(await response.text());
    return isObject(message) ? ({ ...message, type: name } as DataMessage) : null;
  }
}

/** `/api/streams`, read. Rejects when it is not there. */
export async function fetchStreams(url: string, http: Http, signal?: AbortSignal): Promise<StreamList> {
  let document: unknown;
  try {
    document = await http.json(`${url}/streams`, signal ? { signal } : {});
  } catch (error) {
    throw error instanceof BlockcastError ? error : new BlockcastError(`${url}/streams is not JSON`, 'protocol');
  }
  return {
    epoch: isObject(document) && document.epoch !== undefined && document.epoch !== null ? String(document.epoch) : null,
    streams: readStreams(document),
  };
}

export interface StreamList {
  epoch: string | null;
  streams: StreamInfo[];
}

/** Rows of `/api/streams`: an array, or an object that has it as `streams`; each row has the stream's name. */
export function readStreams(document: unknown): StreamInfo[] {
  const rows = isObject(document) ? document.streams : document;
  const list = isObject(rows) ? Object.entries(rows).map(([name, row]) => ({ name, ...(isObject(row) ? row : {}) })) : rows;
  if (!Array.isArray(list)) {
    return [];
  }
  return list
    .filter(isObject)
    .map((row): StreamInfo => ({
      name: String(row.name ?? row.stream ?? ''),
      kind: row.kind === 'log' || row.kind === 'snapshot' ? row.kind : null,
      interval: numberOrNull(row.interval),
      seq: numberOrNull(row.seq),
      age: numberOrNull(row.age),
      state: typeof row.state === 'string' ? row.state : null,
      error: errorText(row.error),
      ...(isObject(row.keys) && { keyed: String(row.keys.name) }),
      history: isObject(row.history) ? { ranges: texts(row.history.ranges), series: texts(row.history.series) } : null,
    }))
    .filter((info) => info.name !== '');
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
