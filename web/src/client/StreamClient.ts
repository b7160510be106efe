import { Connection } from './Connection';
import { sameCondition, streamCondition, type StreamCondition } from './condition';
import { Credentials } from './Credentials';
import type { Failure } from './failures';
import { Fallback } from './Fallback';
import { Http } from './Http';
import { httpFailure } from './failures';
import { parseExact, stringifyExact } from './json';
import { keyed } from './keys';
import { isObject } from './mergePatch';
import type { ClientMessage, StreamData, StreamHistory, StreamInfo, StreamName } from './messages';
import { defined, DEFAULTS, type FetchInit, type Settings, type StreamClientOptions, type Token } from './options';
import { PageLifeCycle } from './Page';
import { readStream, type StreamIterator } from './readStream';
import { Session } from './Session';
import { Signatures } from './Signatures';
import { deliverTo, safely, seqOf, Slots, type Filter, type Since, type Subscriber } from './Slots';
import { BlockcastError, INITIAL_STATUS, StatusStore, type ConnectionStatus } from './status';
import type { StreamMessage, StreamView } from './StreamSlot';
import { resolveHttp, restUrls, rpcUrl, websocketUrl } from './urls';

export type { ConnectionState, ConnectionStatus } from './status';
export type { StreamClientOptions, WebSocketLike } from './options';

type Listener = () => void;

/** React's strict mode and moving panels leave and come back at once (ms). */
const LINGER = 200;

/** What a subscriber wants of a stream. */
export interface StreamOptions {
  /** Log streams, when nothing is held yet: only what came after this seq. */
  since?: Since | undefined;
  /** Take this stream's changes as merge patches. Default: as the client's option `delta` says. */
  delta?: boolean | undefined;
  /** Log streams: members that must be equal to the value, or to one of the values. */
  filter?: Filter | undefined;
  /** Streams with a key: which one, an address say. */
  key?: string | undefined;
}

/** What a subscriber is called for. What is held already comes first, soon after `subscribe` returned. */
export interface StreamHandlers<D = unknown> extends StreamOptions {
  /** The newest value of a snapshot stream; of a log what is new, each entry once. */
  onData?: (data: D, message: StreamMessage<D>) => void;
  /** How the stream is: at first, and after each change. */
  onStatus?: (status: StreamCondition) => void;
  /** Runs after each change of the stream's `view`. */
  onChange?: () => void;
  /** Entries of a log are missing: those between the two seqs are no longer kept. */
  onGap?: (gap: NonNullable<StreamMessage['gap']>, message: StreamMessage<D>) => void;
}

/**
 * One connection to a gateway for as many listeners as there are: remembers who wants which stream, brings the connection and
 * the subscriptions back after every loss, and keeps each stream's newest state. No framework in here.
 */
export class StreamClient {
  readonly url: string;

  private readonly settings: Settings;
  /** What the options said themselves, beside the defaults. */
  private given: Partial<StreamClientOptions>;
  private readonly statusStore = new StatusStore();
  private readonly credentials: Credentials;
  private readonly http: Http;
  private readonly connection: Connection;
  private readonly pageLife: PageLifeCycle;
  private readonly slots: Slots;
  private readonly session: Session;
  private readonly fallback: Fallback;

  private readonly epochListeners = new Set<Listener>();
  private holders = 0;
  private nextCall = 1;
  private staleTimer: ReturnType<typeof setTimeout> | undefined;
  private lingerTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: StreamClientOptions = {}) {
    this.url = websocketUrl(options.url);
    this.given = defined(options);
    this.settings = { ...DEFAULTS, ...this.given };
    this.credentials = new Credentials(this.settings);
    this.http = new Http(this.settings, this.credentials);
    this.slots = new Slots(this.settings);
    this.pageLife = new PageLifeCycle(this.settings, {
      onPause: () => this.pause(),
      onWake: () => this.wake(),
      onOnline: (online) => {
        this.statusStore.change({ online });
        if (!online) {
          // A gateway on this very machine may still be there: ask it.
          this.connection.check();
        }
      },
    });
    this.connection = new Connection(this.url, this.settings, this.statusStore, this.credentials, {
      onReady: () => this.onReady(),
      onMessage: (text) => this.session.receive(text),
      onLost: (failure, blocked) => this.onLost(failure, blocked),
      onTold: (failure) => void this.fallback.diagnose(failure),
    });
    const { url, settings, http, slots, connection, statusStore: status } = this;
    const signatures = new Signatures(settings);
    this.session = new Session(slots, status, connection, signatures, () => [...this.epochListeners].forEach((listener) => listener()));
    this.fallback = new Fallback(
      { url, settings, http, slots, session: this.session, signatures, connection, status },
      { onUp: () => clearTimeout(this.staleTimer), onDown: () => this.staleSoon() },
    );
  }

  // -------------------------------------------------------------- for those who listen

  /** The connection as it is now. Same object until something changes. */
  get status(): ConnectionStatus {
    return this.statusStore.current;
  }

  /** A stream as it is now. Same object until something changes. */
  view<D = unknown>(stream: string, key?: string): StreamView<D> {
    return this.slots.view(keyed(stream, key)) as StreamView<D>;
  }

  /** How a stream is, in one word and with what is known beside it. */
  condition(stream: string, key?: string): StreamCondition {
    return streamCondition(this.slots.view(keyed(stream, key)), this.status);
  }

  /** Local clock of the last message of any kind (ms), 0 before the first. */
  get lastMessageAt(): number {
    return this.connection.lastMessage;
  }

  /** Somebody wants the connection. */
  get held(): boolean {
    return this.holders > 0;
  }

  /** The gateway's clock, Unix seconds: the local one, corrected by what its messages said. */
  now(): number {
    return this.session.now();
  }

  /**
   * Wants `stream` until the returned function is called. Handlers get its messages; a plain function runs after each change of
   * its `view`.
   */
  subscribe<S extends StreamName>(stream: S, handlers: StreamHandlers<StreamData<S>> | Listener): () => void;
  subscribe<D = unknown>(stream: string, handlers: StreamHandlers<D> | Listener): () => void;
  subscribe(stream: string, handlers: StreamHandlers<never> | Listener): () => void {
    return typeof handlers === 'function'
      ? this.join(stream, { changed: () => handlers() })
      : this.attend(keyed(stream, (handlers as StreamHandlers).key), handlers as StreamHandlers);
  }

  /** The messages of a stream, one after the other, for `for await`. Ends with the loop, or with `signal`. */
  stream<S extends StreamName>(stream: S, options?: StreamOptions & { signal?: FetchInit['signal'] }): StreamIterator<StreamData<S>>;
  stream<D = unknown>(stream: string, options?: StreamOptions & { signal?: FetchInit['signal'] }): StreamIterator<D>;
  stream(stream: string, options: StreamOptions & { signal?: FetchInit['signal'] } = {}): StreamIterator<never> {
    return readStream(this, stream, options, this.settings.maxEntries) as StreamIterator<never>;
  }

  /** Asks the node through the gateway's JSON-RPC. Rejects with a `BlockcastError`: of the node, or that there is none. */
  call<R = unknown>(method: string, params: unknown = [], options: { signal?: FetchInit['signal'] } = {}): Promise<R> {
    if (this.settings.rpc === false) {
      return Promise.reject(new BlockcastError('the option rpc is false', 'unsupported'));
    }
    const url = this.settings.rpc === undefined ? rpcUrl(this.url) : resolveHttp(this.settings.rpc, this.url);
    const id = this.nextCall++;
    return this.http.call(url, method, stringifyExact({ jsonrpc: '2.0', id, method, params }), options.signal) as Promise<R>;
  }

  /** Runs `listener` after each change of `status`. Wants no connection by itself. */
  onStatus(listener: Listener): () => void {
    return this.statusStore.listen(listener);
  }

  /** Runs `listener` when the gateway started over and everything held was dropped. */
  onEpoch(listener: Listener): () => void {
    const own: Listener = () => listener();
    this.epochListeners.add(own);
    return () => void this.epochListeners.delete(own);
  }

  /** Wants a connection, whatever it brings, until the returned function is called. */
  hold(): () => void {
    this.holders += 1;
    clearTimeout(this.lingerTimer);
    if (this.status.state === 'idle') {
      this.begin();
    }
    let done = false;
    return () => {
      if (done) {
        return;
      }
      done = true;
      this.holders -= 1;
      if (this.holders === 0) {
        clearTimeout(this.lingerTimer);
        this.lingerTimer = setTimeout(() => {
          if (this.holders === 0) {
            this.end();
          }
        }, LINGER);
      }
    };
  }

  /** Sends a message of your own. Returns false when there is no connection to take it. */
  send(message: ClientMessage | Record<string, unknown>): boolean {
    return this.connection.send(message);
  }

  /** Tries again now instead of at `retryAt`. */
  retry(): void {
    if (this.holders > 0) {
      this.connection.retry();
    }
  }

  /** Leaves the connection for a new one, with a new token: after a login, say. */
  reconnect(): void {
    this.credentials.expire();
    if (this.holders > 0) {
      this.fallback.stop();
      this.session.end();
      this.connection.forgive();
      this.connection.open();
    }
  }

  /** Another token from now on, for the connection that there is as well: after a login, or a logout. */
  setToken(token: Token | null): void {
    this.settings.token = token ?? undefined;
    this.given = { ...this.given, token: token ?? undefined };
    this.reconnect();
  }

  /** What `/api/streams` says; asked once per connection. Rejects when there is no REST. */
  describe(): Promise<StreamInfo[]> {
    return this.fallback.describe();
  }

  /** A document of the gateway's REST: `rest('health')` is what `/api/health` says, well or not. */
  async rest(path: string): Promise<unknown> {
    const { rest } = this.settings;
    if (rest === false || !/^wss?:/.test(this.url)) {
      throw new BlockcastError('the option rest is false, or there is no address for it', 'unsupported');
    }
    const url = `${rest === undefined ? (restUrls(this.url)[0] as string) : resolveHttp(rest, this.url)}/${path}`;
    const response = await this.http.request(url, { cache: 'no-cache' });
    if (!response.ok && response.status !== 503) {
      throw httpFailure(response.status, url);
    }
    try {
      return parseExact(await response.text());
    } catch {
      throw new BlockcastError(`${url} is not JSON`, 'protocol');
    }
  }

  /** The course of a stream's chosen numbers, as the gateway keeps it; null where it keeps none. */
  async history(stream: string, range: '1h' | '24h' = '1h'): Promise<StreamHistory | null> {
    const infos = await this.describe();
    if (infos.find(({ name }) => name === stream)?.history?.ranges.includes(range) !== true) {
      return null;
    }
    let document: unknown;
    try {
      document = await this.rest(`streams/${encodeURIComponent(stream)}/history?range=${range}`);
    } catch (error) {
      if (error instanceof BlockcastError && error.code === 404) {
        return null;
      }
      throw error;
    }
    return isObject(document) && isObject(document.series) && typeof document.step === 'number' ? (document as unknown as StreamHistory) : null;
  }

  /**
   * Takes the options of one more caller: those that nobody named before are set while nothing is connected. Returns the names of
   * those that have another value and keep it.
   */
  configure(options: Omit<StreamClientOptions, 'url'>): string[] {
    const differing: string[] = [];
    const added = defined(options) as Record<string, unknown>;
    const settings = this.settings as unknown as Record<string, unknown>;
    for (const name of Object.keys(added)) {
      const free = this.holders === 0 && this.status.state === 'idle' && !(name in this.given);
      if (free) {
        settings[name] = added[name];
        this.given = { ...this.given, [name]: added[name] };
      } else if (!equalOption(settings[name], added[name])) {
        differing.push(name);
      }
    }
    return differing;
  }

  /** The value of an option, given or by default. */
  option<N extends keyof StreamClientOptions>(name: N): StreamClientOptions[N] {
    return (this.settings as StreamClientOptions)[name];
  }

  // -------------------------------------------------------------- subscribers

  private join(stream: string, subscriber: Subscriber): () => void {
    this.slots.add(stream, subscriber);
    const release = this.hold();
    if (this.connection.ready) {
      this.session.ask(stream);
    }

    let done = false;
    return () => {
      if (done) {
        return;
      }
      done = true;
      const last = this.slots.remove(stream, subscriber);
      release();
      if (last) {
        setTimeout(() => this.session.leave(stream), LINGER);
      }
    };
  }

  /** A subscriber with handlers: gets what is held, then what comes. */
  private attend(stream: string, handlers: StreamHandlers): () => void {
    const { onData, onStatus, onGap, onChange, since, delta, filter } = handlers;
    let left = false;
    let started = false;
    let told: StreamCondition | null = null;

    const tell = (): void => {
      const condition = this.condition(stream);
      if (!left && onStatus !== undefined && (told === null || !sameCondition(told, condition))) {
        told = condition;
        safely(() => onStatus(condition));
      }
    };
    const changed = (): void => {
      tell();
      onChange?.();
    };
    const subscriber: Subscriber = { changed, since, delta, filter };
    if (onData !== undefined || onGap !== undefined) {
      subscriber.message = (message) => {
        if (left) {
          return;
        }
        if (message.gap !== null && onGap !== undefined) {
          const { gap } = message;
          safely(() => onGap(gap, message));
        }
        if (started) {
          onData?.(message.data, message);
        }
      };
    }

    const leave = this.join(stream, subscriber);
    const ignoreStatus = onStatus === undefined ? null : this.onStatus(tell);
    // What is held, and what came meanwhile, not before the caller has got the function that ends it.
    void Promise.resolve().then(() => {
      const held = this.slots.slot(stream).replay(since === undefined ? null : seqOf(since));
      started = true;
      if (held !== null && !left) {
        subscriber.had = undefined;
        deliverTo(subscriber, held);
      }
      tell();
    });

    return () => {
      left = true;
      ignoreStatus?.();
      leave();
    };
  }

  // -------------------------------------------------------------- life of the connection

  private begin(): void {
    this.pageLife.start();
    this.statusStore.change({ online: this.pageLife.online });
    this.connection.open();
  }

  /** Nobody is left: let go of everything but the memory. */
  private end(): void {
    this.pageLife.stop();
    this.leave('no listener left');
    this.connection.forgive();
    this.given = {};
    const { streams, epoch, incompatible } = this.status;
    this.statusStore.change({ ...INITIAL_STATUS, online: this.status.online, streams, epoch, incompatible });
  }

  /** Nobody has looked for long: spare the gateway and the node. */
  private pause(): void {
    this.leave('hidden');
    this.statusStore.change({ state: 'paused', connected: false, retryAt: null, lostAt: Date.now(), error: null, reason: null, attempt: 0 });
  }

  private leave(reason: string): void {
    this.session.end();
    this.connection.close(reason);
    this.fallback.stop();
    clearTimeout(this.staleTimer);
    this.markStale();
  }

  private wake(): void {
    const { state } = this.status;
    if (this.holders > 0 && (state === 'paused' || this.settings.reconnect) && state !== 'disconnected') {
      this.connection.wake();
    }
  }

  private onReady(): void {
    clearTimeout(this.staleTimer);
    this.fallback.stop();
    this.fallback.forget();
    this.statusStore.change({ state: 'connected', connected: true, retryAt: null, lostAt: null, error: null, reason: null, attempt: 0 });
    this.session.start();
  }

  private onLost(failure: Failure, blocked: number): void {
    this.session.end();
    if (failure.final === true) {
      this.markStale();
      // Without a WebSocket there is still REST, for whoever asked for it.
      if (failure.reason === 'unsupported' && typeof this.settings.rest === 'string') {
        this.fallback.start();
      }
      return;
    }
    if (blocked >= this.settings.restAfter && !this.pageLife.hidden) {
      this.fallback.start();
    }
    if (this.status.state !== 'polling' && this.status.lostAt === null) {
      this.staleSoon();
    }
  }

  private staleSoon(): void {
    clearTimeout(this.staleTimer);
    this.staleTimer = setTimeout(() => this.markStale(), this.settings.staleAfter);
  }

  private markStale(): void {
    this.slots.each((slot) => slot.stale());
  }

}

/** Functions and classes are made anew by each caller, and cannot be compared; one beside none can. */
function equalOption(one: unknown, other: unknown): boolean {
  return one === other || (typeof one === 'function' && typeof other === 'function') || stringifyExact(one) === stringifyExact(other);
}
