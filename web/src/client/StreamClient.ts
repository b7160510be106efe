import { resolveHttp, restUrls, rpcUrl, websocketUrl } from './urls';
import { Connection } from './Connection';
import { Credentials } from './Credentials';
import { incompatibility, messageOf, type Failure } from './failures';
import { Http } from './Http';
import { parseExact, stringifyExact } from './json';
import { isObject } from './mergePatch';
import type {
  ClientMessage,
  DataMessage,
  ErrorMessage,
  StatusMessage,
  StreamData,
  StreamInfo,
  StreamName,
  StreamState,
  SubscribeMessage,
  WelcomeMessage,
} from './messages';
import { defined, DEFAULTS, type FetchInit, type Settings, type StreamClientOptions, type Token } from './options';
import { PageLifeCycle } from './Page';
import { RestPoller } from './RestPoller';
import { deliverTo, safely, sameFilter, seqOf, Slots, type Filter, type Since, type Subscriber } from './Slots';
import { BlockcastError, INITIAL_STATUS, StatusStore, type ConnectionStatus, type ErrorReason } from './status';
import { errorText, type StreamMessage, type StreamSlot, type StreamView } from './StreamSlot';
import { readStream, type StreamIterator } from './readStream';
import { sameCondition, streamCondition, type StreamCondition } from './condition';

export type { ConnectionState, ConnectionStatus } from './status';
export type { StreamClientOptions, WebSocketLike } from './options';

type Listener = () => void;

/** A resync that is not answered in this time (ms) is given up. */
const RESYNC_WAIT = 10_000;
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
  private poller: RestPoller | null = null;

  private readonly epochListeners = new Set<Listener>();
  private holders = 0;
  /** Streams that the gateway was asked for on this connection, with the filter it was told. */
  private readonly subscribed = new Map<string, Filter | null>();
  private readonly resyncTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private clockOffset: number | null = null;
  private nextId = 1;
  private infos: Promise<StreamInfo[]> | null = null;
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
      onMessage: (text) => this.receive(text),
      onLost: (failure, blocked) => this.onLost(failure, blocked),
      onTold: (failure) => void this.diagnose(failure),
    });
  }

  // -------------------------------------------------------------- for those who listen

  /** The connection as it is now. Same object until something changes. */
  get status(): ConnectionStatus {
    return this.statusStore.current;
  }

  /** A stream as it is now. Same object until something changes. */
  view<D = unknown>(stream: string): StreamView<D> {
    return this.slots.view(stream) as StreamView<D>;
  }

  /** How a stream is, in one word and with what is known beside it. */
  condition(stream: string): StreamCondition {
    return streamCondition(this.slots.view(stream), this.status);
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
    return Date.now() / 1000 + (this.clockOffset ?? 0);
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
      : this.attend(stream, handlers as StreamHandlers);
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
    const id = this.nextId++;
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
      this.poller?.stop();
      this.subscribed.clear();
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
    const poller = this.rest();
    if (poller === null) {
      return Promise.reject(new BlockcastError('no REST address', 'unsupported'));
    }
    if (this.infos === null) {
      const infos = poller.list().then(({ streams }) => streams);
      infos.catch(() => {
        if (this.infos === infos) {
          this.infos = null;
        }
      });
      this.infos = infos;
    }
    return this.infos;
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
    this.ask(stream);

    let done = false;
    return () => {
      if (done) {
        return;
      }
      done = true;
      const last = this.slots.remove(stream, subscriber);
      release();
      if (last) {
        setTimeout(() => this.dropUnwanted(stream), LINGER);
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

  /** Asks the gateway for `stream`, if it has not been, or for more of it than before. */
  private ask(stream: string): void {
    if (!this.connection.ready) {
      return;
    }
    const told = this.subscribed.get(stream);
    if (told === undefined) {
      this.sendSubscribe(stream);
    } else if (told !== null && !sameFilter(told, this.slots.request(stream).filter)) {
      // What was filtered out is needed now, from the start.
      this.slots.forgetHeld(stream);
      this.resubscribe(stream);
    }
  }

  private sendSubscribe(stream: string): void {
    const { view } = this.slots.slot(stream);
    const { since, delta, filter } = this.slots.request(stream);
    const message: SubscribeMessage = { type: 'subscribe', stream, id: `sub:${this.nextId++}:${stream}` };
    let { epoch } = this.status;
    if (view.kind === 'log' && view.seq !== null) {
      message.since = view.seq;
    } else if (since !== null) {
      message.since = seqOf(since);
      epoch = typeof since === 'object' && since.epoch ? since.epoch : null;
    }
    if (message.since !== undefined && epoch !== null) {
      message.epoch = /^\d+$/.test(epoch) ? BigInt(epoch) : epoch;
    }
    if (delta) {
      message.delta = true;
    }
    if (filter !== null) {
      message.filter = filter;
    }
    if (this.connection.send(message)) {
      this.subscribed.set(stream, filter);
    }
  }

  /** A repeated subscribe delivers nothing anew, so leave first. */
  private resubscribe(stream: string): void {
    this.connection.send({ type: 'unsubscribe', stream });
    this.sendSubscribe(stream);
  }

  private dropUnwanted(stream: string): void {
    if (this.slots.isWanted(stream)) {
      return;
    }
    this.slots.forget(stream);
    if (this.subscribed.delete(stream)) {
      this.connection.send({ type: 'unsubscribe', stream });
    }
    // What is held stays, for whoever comes back; but nobody vouches for it now.
    this.slots.get(stream)?.stale();
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
    this.forgetRequests();
    this.connection.close(reason);
    this.poller?.stop();
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
    this.poller?.stop();
    this.infos = null;
    this.statusStore.change({ state: 'connected', connected: true, retryAt: null, lostAt: null, error: null, reason: null, attempt: 0 });
    this.slots.wanted().forEach((stream) => this.sendSubscribe(stream));
  }

  private onLost(failure: Failure, blocked: number): void {
    this.forgetRequests();
    if (failure.final === true) {
      this.markStale();
      // Without a WebSocket there is still REST, for whoever asked for it.
      if (failure.reason === 'unsupported' && typeof this.settings.rest === 'string') {
        this.rest()?.start();
      }
      return;
    }
    if (blocked >= this.settings.restAfter && !this.pageLife.hidden) {
      this.rest()?.start();
    }
    if (this.status.state !== 'polling' && this.status.lostAt === null) {
      this.staleSoon();
    }
  }

  /** A browser does not tell why a WebSocket was refused; the same gateway's REST does. */
  private async diagnose(failure: Failure): Promise<void> {
    const poller = this.rest();
    if (failure.reason !== 'unreachable' || poller === null || poller.active) {
      return;
    }
    const attempt = this.connection.attemptNumber;
    try {
      await poller.list();
      this.connection.explain(attempt, { reason: 'blocked', text: 'the gateway answers, but lets no WebSocket through, or something between does not' });
    } catch (error) {
      if (error instanceof BlockcastError && (error.reason === 'unauthorized' || error.reason === 'forbidden')) {
        this.connection.explain(attempt, { reason: error.reason, text: error.message });
      }
    }
  }

  private forgetRequests(): void {
    this.subscribed.clear();
    this.resyncTimers.forEach((timer) => clearTimeout(timer));
    this.resyncTimers.clear();
  }

  private staleSoon(): void {
    clearTimeout(this.staleTimer);
    this.staleTimer = setTimeout(() => this.markStale(), this.settings.staleAfter);
  }

  private markStale(): void {
    this.slots.each((slot) => slot.stale());
  }

  // -------------------------------------------------------------- messages

  private receive(text: string): void {
    this.connection.heard();

    let message: unknown;
    try {
      message = parseExact(text);
    } catch {
      this.statusStore.change({ error: 'the gateway sent something that is not JSON', reason: 'protocol' });
      return;
    }
    if (!isObject(message) || typeof message.type !== 'string') {
      return;
    }

    switch (message.type) {
      case 'welcome':
        this.welcome(message as unknown as WelcomeMessage);
        return;
      case 'subscribed':
        this.acknowledged(String(message.stream));
        return;
      case 'unsubscribed':
        return;
      case 'pong':
        this.readClock(message.timestamp);
        return;
      case 'status':
        this.streamStatus(message as unknown as StatusMessage);
        return;
      case 'error':
        this.refused(message as unknown as ErrorMessage);
        return;
      default:
        this.data(message.type, message as unknown as DataMessage, false);
    }
  }

  private welcome(message: WelcomeMessage): void {
    this.readClock(message.timestamp);

    const late = this.connection.ready;
    const startedOver = this.readEpoch(message.epoch === undefined ? null : String(message.epoch), {
      streams: Array.isArray(message.available_streams) ? message.available_streams.map(String) : this.status.streams,
      incompatible: incompatibility(message.protocol),
    });
    if (late && startedOver) {
      // What was asked for meanwhile counted on the old state.
      [...this.subscribed.keys()].forEach((stream) => this.resubscribe(stream));
    }
    this.connection.becomeReady();
  }

  /** Another epoch than before means that the gateway lost its state. */
  private readEpoch(epoch: string | null, more: Partial<ConnectionStatus> = {}): boolean {
    const previous = this.status.epoch;
    this.statusStore.change({ ...more, epoch: epoch ?? previous });
    const startedOver = epoch !== null && previous !== null && epoch !== previous;
    if (startedOver) {
      this.startOver();
    }
    return startedOver;
  }

  private startOver(): void {
    this.slots.each((slot) => {
      slot.reset();
      return true;
    });
    for (const listener of [...this.epochListeners]) {
      listener();
    }
  }

  private acknowledged(stream: string): void {
    const slot = this.slots.get(stream);
    if (slot === undefined) {
      return;
    }
    clearTimeout(this.resyncTimers.get(stream));
    this.resyncTimers.delete(stream);
    if (slot.subscribed(this.now())) {
      this.slots.notify(stream);
    }
  }

  private streamStatus(message: StatusMessage): void {
    const slot = this.slots.get(message.stream);
    if (slot !== undefined && isStreamState(message.state) && slot.status(message, this.now())) {
      this.slots.notify(slot.name);
    }
  }

  private refused(message: ErrorMessage): void {
    const asked = typeof message.id === 'string' ? /^sub:\d+:(.*)$/s.exec(message.id)?.[1] : undefined;
    const stream = message.stream ?? asked;
    const slot = stream === undefined ? undefined : this.slots.get(stream);
    const text = errorText(message.message) ?? 'the gateway reported an error';
    if (slot === undefined) {
      this.statusStore.change({ error: text, reason: 'refused' });
    } else if (asked === undefined ? slot.failed(text) : slot.refused(text, String(message.code ?? 'refused'))) {
      this.slots.notify(slot.name);
    }
  }

  private data(stream: string, message: DataMessage, polled: boolean): void {
    const slot = this.slots.get(stream);
    if (slot === undefined) {
      return;
    }
    if (polled && startedOver(slot, message)) {
      this.startOver();
    }
    this.readClock(message.timestamp, false);
    const before = slot.view;
    const accepted = slot.accept(message, this.now(), Date.now(), polled);
    if (accepted === 'resync' && !polled) {
      this.resync(slot);
      return;
    }
    if (slot.view !== before) {
      this.slots.notify(stream);
    }
    if (slot.fresh !== null) {
      this.slots.deliver(stream, slot.fresh);
    }
  }

  /** A patch for data that is not held: the full value comes with a new subscription. */
  private resync(slot: StreamSlot): void {
    this.resubscribe(slot.name);
    clearTimeout(this.resyncTimers.get(slot.name));
    this.resyncTimers.set(
      slot.name,
      setTimeout(() => slot.giveUpResync(), RESYNC_WAIT),
    );
  }

  /** `exact`: the message was made now, and not some time ago. */
  private readClock(timestamp: unknown, exact = true): void {
    if (typeof timestamp !== 'number') {
      return;
    }
    const offset = timestamp - Date.now() / 1000;
    // Delays only ever make the gateway's clock look late, and a whole second hides a fraction: keep the greatest.
    // A clock that was set back meanwhile is believed at once.
    if (this.clockOffset === null || offset > this.clockOffset || (exact && this.clockOffset - offset > 5)) {
      this.clockOffset = offset;
    }
  }

  // -------------------------------------------------------------- REST

  private rest(): RestPoller | null {
    const { rest } = this.settings;
    if (rest === false || !/^wss?:/.test(this.url)) {
      return null;
    }
    this.poller ??= new RestPoller({
      urls: rest === undefined ? restUrls(this.url) : [resolveHttp(rest, this.url)],
      http: this.http,
      interval: () => this.settings.restInterval,
      backoff: () => this.connection.backoff,
      random: this.settings.random,
      wanted: () => this.slots.wanted().map((name) => ({ name, seq: this.slots.view(name).seq })),
      onEpoch: (epoch) => void this.readEpoch(epoch),
      onList: (list) => {
        this.connection.lastMessage = Date.now();
        this.infos = Promise.resolve(list);
        for (const info of list) {
          const slot = this.slots.get(info.name);
          if (slot?.status({ state: restState(info.state), age: info.age, error: info.error }, this.now())) {
            this.slots.notify(info.name);
          }
        }
        const names = list.map((info) => info.name);
        if (names.join('\n') !== this.status.streams?.join('\n')) {
          this.statusStore.change({ streams: names });
        }
      },
      onMessage: (name, message) => this.data(name, message, true),
      onRefused: (name, error, code) => {
        if (this.slots.get(name)?.refused(error, code)) {
          this.slots.notify(name);
        }
      },
      onUp: () => {
        clearTimeout(this.staleTimer);
        this.statusStore.change({ state: 'polling', connected: true, lostAt: null });
      },
      onDown: (error, reason) => this.onRestDown(error, reason),
    });
    return this.poller;
  }

  private onRestDown(error: string, reason: ErrorReason): void {
    if (this.status.state === 'polling') {
      this.staleSoon();
      this.statusStore.change({ state: 'reconnecting', connected: false, lostAt: Date.now(), error, reason });
    } else if (reason === 'unauthorized' || reason === 'forbidden') {
      this.statusStore.change({ error, reason });
    }
  }
}

function isStreamState(state: unknown): state is StreamState {
  return state === 'waiting' || state === 'live' || state === 'stale';
}

/** REST knows more states than a listener meets: a stream that nobody listens to is `idle`, and not live. */
function restState(state: string | null): StreamState {
  return isStreamState(state) ? state : 'stale';
}

/** By REST there may be no epoch: a seq that went back while the time went on tells that the gateway started over. */
function startedOver(slot: StreamSlot, message: DataMessage): boolean {
  const { seq, timestamp } = slot.view;
  return (
    seq !== null &&
    timestamp !== null &&
    typeof message.seq === 'number' &&
    typeof message.timestamp === 'number' &&
    message.seq < seq &&
    message.timestamp > timestamp
  );
}

/** Functions and classes are made anew by each caller, and cannot be compared; one beside none can. */
function equalOption(one: unknown, other: unknown): boolean {
  return one === other || (typeof one === 'function' && typeof other === 'function') || stringifyExact(one) === stringifyExact(other);
}

/** Reads one stream's newest message by REST, without a connection: for servers, scripts and `initialData`. */
export async function fetchStream<S extends StreamName>(
  url: string,
  stream: S,
  options: Pick<StreamClientOptions, 'token' | 'headers' | 'fetch' | 'rest'> & { signal?: FetchInit['signal'] } = {},
): Promise<StreamMessage<StreamData<S>>> {
  const { signal, ...rest } = options;
  const settings: Settings = { ...DEFAULTS, ...defined(rest) };
  const http = new Http(settings, new Credentials(settings));
  const websocket = websocketUrl(url);
  const prefix = /\/api\/?$/.test(url) ? url.replace(/\/$/, '') : typeof rest.rest === 'string' ? resolveHttp(rest.rest, websocket) : restUrls(websocket)[0];
  let message: unknown;
  try {
    message = await http.json(`${prefix}/streams/${encodeURIComponent(stream)}`, signal ? { signal } : {});
  } catch (error) {
    throw error instanceof BlockcastError ? error : new BlockcastError(messageOf(error), 'protocol');
  }
  if (!isObject(message) || message.data === undefined) {
    throw new BlockcastError(`${prefix} has no data of "${stream}"`, 'protocol');
  }
  const { seq, timestamp, data } = message;
  return {
    stream,
    kind: 'snapshot',
    data: data as StreamData<S>,
    seq: typeof seq === 'number' ? seq : null,
    timestamp: typeof timestamp === 'number' ? timestamp : null,
    gap: null,
    field: null,
  };
}
