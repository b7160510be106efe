import { backoffDelay, type BackoffOptions } from './backoff';
import { parseExact } from './json';
import { isObject } from './mergePatch';
import type { ConnectionStatus, StreamClientOptions, WebSocketLike } from './connection';
import type { ClientMessage, DataMessage, ErrorMessage, StatusMessage, StreamInfo, WelcomeMessage } from './messages';
import { fetchStreams, RestPoller } from './RestPoller';
import { errorText, StreamSlot, type StreamView } from './StreamSlot';
import { restUrl, websocketUrl } from './urls';
import { closeText, defined, incompatibility, isHidden, isStreamState, restState, startedOver } from './words';

export type { ConnectionState, ConnectionStatus, StreamClientOptions, WebSocketLike } from './connection';

type Listener = () => void;

const OPEN = 1;
/** A connection that held this long (ms) makes the next loss a first one again. */
const STABLE = 5_000;
/** A gateway that does not say welcome (ms): then subscribe without. */
const WELCOME_WAIT = 2_000;
/** A resync that is not answered in this time (ms) is given up. */
const RESYNC_WAIT = 10_000;
/** React's strict mode and moving panels leave and come back at once (ms). */
const LINGER = 200;

/**
 * One connection to a gateway for as many listeners as there are: remembers who wants which stream, brings the connection and
 * the subscriptions back after every loss, and keeps each stream's newest state. No React in here.
 */
export class StreamClient {
  readonly url: string;

  private readonly options: Required<Omit<StreamClientOptions, 'url' | 'rest' | 'webSocket'>> &
    Pick<StreamClientOptions, 'webSocket'>;
  private readonly backoff: BackoffOptions;
  private readonly rest: string | null;
  private readonly poller: RestPoller | null;

  private readonly slots = new Map<string, StreamSlot>();
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly statusListeners = new Set<Listener>();
  private readonly epochListeners = new Set<Listener>();
  private holders = 0;

  private current: ConnectionStatus = {
    state: 'idle',
    connected: false,
    attempt: 0,
    retryAt: null,
    lostAt: null,
    error: null,
    online: typeof navigator === 'undefined' || navigator.onLine !== false,
    streams: null,
    epoch: null,
    incompatible: null,
  };

  private socket: WebSocketLike | null = null;
  private ready = false;
  private opened = false;
  private readyAt = 0;
  private failures = 0;
  private blocked = 0;
  private subscribed = new Set<string>();
  private lastMessage = 0;
  private clockOffset: number | null = null;
  private nextId = 1;
  private infos: Promise<StreamInfo[]> | null = null;

  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private connectTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private staleTimer: ReturnType<typeof setTimeout> | undefined;
  private hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  private lingerTimer: ReturnType<typeof setTimeout> | undefined;
  private awaitingPong = false;
  private readonly resyncTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private detach: (() => void) | null = null;

  constructor(options: StreamClientOptions = {}) {
    this.url = websocketUrl(options.url);
    this.options = {
      reconnect: true,
      reconnectInterval: 1_000,
      maxReconnectInterval: 30_000,
      delta: true,
      maxEntries: 10_000,
      keepEntries: Infinity,
      pingAfter: 15_000,
      pongTimeout: 5_000,
      connectTimeout: 10_000,
      staleAfter: 5_000,
      hiddenTimeout: 300_000,
      restAfter: 2,
      fetch: (input, init) => fetch(input, init),
      random: Math.random,
      ...defined(options),
    };
    this.backoff = {
      base: this.options.reconnectInterval,
      max: Math.max(this.options.maxReconnectInterval, this.options.reconnectInterval),
    };
    this.rest =
      options.rest === false
        ? null
        : options.rest !== undefined
          ? new URL(options.rest, this.url.replace(/^ws/, 'http')).href.replace(/\/$/, '')
          : restUrl(this.url);
    this.poller = this.rest === null ? null : this.makePoller(this.rest);
  }

  // -------------------------------------------------------------- for those who listen

  /** The connection as it is now. Same object until something changes. */
  get status(): ConnectionStatus {
    return this.current;
  }

  /** A stream as it is now. Same object until something changes. */
  view<D = unknown>(stream: string): StreamView<D> {
    return this.slot(stream).view as StreamView<D>;
  }

  /** Local clock of the last message of any kind (ms), 0 before the first. */
  get lastMessageAt(): number {
    return this.lastMessage;
  }

  /** The gateway's clock, Unix seconds: the local one, corrected by what its messages said. */
  now(): number {
    return Date.now() / 1000 + (this.clockOffset ?? 0);
  }

  /** Wants `stream` until the returned function is called. `listener` runs after each change of its view. */
  subscribe(stream: string, listener: Listener): () => void {
    const set = this.listeners.get(stream) ?? new Set<Listener>();
    this.listeners.set(stream, set);
    // Two hooks may bring the same function: each of them counts.
    const own: Listener = () => listener();
    set.add(own);
    this.slot(stream);

    const release = this.hold();
    if (this.ready && !this.subscribed.has(stream)) {
      this.sendSubscribe(stream);
    }

    let done = false;
    return () => {
      if (done) {
        return;
      }
      done = true;
      set.delete(own);
      release();
      if (set.size === 0) {
        setTimeout(() => this.dropUnwanted(stream), LINGER);
      }
    };
  }

  /** Runs `listener` after each change of `status`. Wants no connection by itself. */
  onStatus(listener: Listener): () => void {
    const own: Listener = () => listener();
    this.statusListeners.add(own);
    return () => this.statusListeners.delete(own);
  }

  /** Runs `listener` when the gateway started over and everything held was dropped. */
  onEpoch(listener: Listener): () => void {
    const own: Listener = () => listener();
    this.epochListeners.add(own);
    return () => this.epochListeners.delete(own);
  }

  /** Wants a connection, whatever it brings, until the returned function is called. */
  hold(): () => void {
    this.holders += 1;
    clearTimeout(this.lingerTimer);
    if (this.current.state === 'idle') {
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
    if (this.socket === null || this.socket.readyState !== OPEN) {
      return false;
    }
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Tries again now instead of at `retryAt`. */
  retry(): void {
    if (this.socket === null && this.holders > 0) {
      this.failures = Math.min(this.failures, 3);
      this.open();
    }
  }

  /** What `/api/streams` says; asked once per connection. Rejects when there is no REST. */
  describe(): Promise<StreamInfo[]> {
    if (this.rest === null) {
      return Promise.reject(new Error('no REST address'));
    }
    if (this.infos === null) {
      const infos = fetchStreams(this.rest, this.options.fetch).then(({ streams }) => streams);
      infos.catch(() => {
        if (this.infos === infos) {
          this.infos = null;
        }
      });
      this.infos = infos;
    }
    return this.infos;
  }

  // -------------------------------------------------------------- life of the connection

  private begin(): void {
    this.detach = this.watchPage();
    this.change({ online: typeof navigator === 'undefined' || navigator.onLine !== false });
    this.open();
  }

  /** Nobody is left: let go of everything but the memory. */
  private end(): void {
    this.detach?.();
    this.detach = null;
    this.drop(1000, 'no listener left');
    this.poller?.stop();
    clearTimeout(this.retryTimer);
    clearTimeout(this.staleTimer);
    clearTimeout(this.hiddenTimer);
    this.failures = 0;
    this.blocked = 0;
    this.markStale();
    this.change({ state: 'idle', connected: false, attempt: 0, retryAt: null, lostAt: null, error: null });
  }

  private open(): void {
    clearTimeout(this.retryTimer);
    this.drop(1000, 'reconnecting');

    const Socket = this.options.webSocket ?? (globalThis.WebSocket as unknown as new (url: string) => WebSocketLike);
    this.change({
      state: this.poller?.active && this.current.state === 'polling'
        ? 'polling'
        : this.current.lostAt === null && this.current.attempt === 0 ? 'connecting' : 'reconnecting',
      retryAt: null,
    });

    let socket: WebSocketLike;
    try {
      socket = new Socket(this.url);
    } catch (error) {
      this.lost(error instanceof Error ? error.message : String(error), 0);
      return;
    }

    this.socket = socket;
    this.opened = false;
    this.connectTimer = setTimeout(() => {
      this.lost(`no answer within ${Math.round(this.options.connectTimeout / 1000)} s`, 0);
    }, this.options.connectTimeout);

    socket.onopen = () => {
      if (this.socket !== socket) {
        return;
      }
      this.opened = true;
      this.lastMessage = Date.now();
      clearTimeout(this.connectTimer);
      this.connectTimer = setTimeout(() => this.becomeReady(), WELCOME_WAIT);
      this.watchSilence();
    };
    socket.onmessage = (event: MessageEvent) => {
      if (this.socket === socket && typeof event.data === 'string') {
        this.receive(event.data);
      }
    };
    socket.onclose = (event: CloseEvent) => {
      if (this.socket === socket) {
        this.lost(closeText(event, this.opened), event.code);
      }
    };
    socket.onerror = () => {
      // "close" follows and says more.
    };
  }

  /** The gateway said who it is, or will not: ask for everything that is wanted. */
  private becomeReady(): void {
    if (this.ready || this.socket === null) {
      return;
    }
    clearTimeout(this.connectTimer);
    clearTimeout(this.staleTimer);
    this.poller?.stop();
    this.ready = true;
    this.readyAt = Date.now();
    this.blocked = 0;
    this.infos = null;
    this.change({ state: 'connected', connected: true, retryAt: null, lostAt: null, error: null, attempt: 0 });
    for (const [stream, set] of this.listeners) {
      if (set.size > 0) {
        this.sendSubscribe(stream);
      }
    }
  }

  /** The connection is gone, or never came. */
  private lost(reason: string, code: number): void {
    const held = this.ready;
    const now = Date.now();
    if (held && now - this.readyAt >= STABLE) {
      this.failures = 0;
    }
    if (!held) {
      this.blocked += 1;
    }
    this.drop(1000, 'lost');

    if (!this.options.reconnect) {
      this.markStale();
      this.change({ state: 'disconnected', connected: false, retryAt: null, lostAt: now, error: reason });
      return;
    }

    // Policy, or "try again later": not at once.
    const least = code === 1008 ? 4 : code === 1013 ? 2 : 0;
    this.failures = Math.max(this.failures, least);

    if (this.poller !== null && this.blocked >= this.options.restAfter && !isHidden()) {
      this.poller.start();
    }

    const wait = backoffDelay(this.failures, this.backoff, this.options.random);
    this.failures += 1;
    this.retryTimer = setTimeout(() => this.open(), wait);

    const polling = this.current.state === 'polling';
    if (!polling && this.current.lostAt === null) {
      clearTimeout(this.staleTimer);
      this.staleTimer = setTimeout(() => this.markStale(), this.options.staleAfter);
    }
    this.change({
      state: polling ? 'polling' : 'reconnecting',
      connected: polling,
      attempt: this.failures,
      retryAt: now + wait,
      lostAt: polling ? null : (this.current.lostAt ?? now),
      error: reason,
    });
  }

  /** Lets the socket go without waiting for its goodbye, which a dead one never says. */
  private drop(code: number, reason: string): void {
    clearTimeout(this.connectTimer);
    clearTimeout(this.silenceTimer);
    for (const timer of this.resyncTimers.values()) {
      clearTimeout(timer);
    }
    this.resyncTimers.clear();
    this.awaitingPong = false;
    this.ready = false;
    this.subscribed.clear();

    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      try {
        socket.close(code, reason);
      } catch {
        // It was not open.
      }
    }
  }

  private markStale(): void {
    for (const slot of this.slots.values()) {
      if (slot.stale()) {
        this.notify(slot.name);
      }
    }
  }

  // -------------------------------------------------------------- messages

  private receive(text: string): void {
    this.lastMessage = Date.now();
    this.awaitingPong = false;

    let message: unknown;
    try {
      message = parseExact(text);
    } catch {
      this.change({ error: 'the gateway sent something that is not JSON' });
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

    const epoch = message.epoch === undefined ? null : String(message.epoch);
    const previous = this.current.epoch;
    const startedOver = epoch !== null && previous !== null && epoch !== previous;

    this.change({
      streams: Array.isArray(message.available_streams) ? message.available_streams.map(String) : this.current.streams,
      epoch: epoch ?? previous,
      incompatible: incompatibility(message.protocol),
    });

    if (startedOver) {
      this.startOver();
    }
    if (this.ready && startedOver) {
      // Welcome came after all, and what was asked for meanwhile counted on the old state.
      for (const stream of [...this.subscribed]) {
        this.send({ type: 'unsubscribe', stream });
        this.sendSubscribe(stream);
      }
    }
    this.becomeReady();
  }

  private startOver(): void {
    for (const slot of this.slots.values()) {
      slot.reset();
      this.notify(slot.name);
    }
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
      this.notify(stream);
    }
  }

  private streamStatus(message: StatusMessage): void {
    const slot = this.slots.get(message.stream);
    if (slot !== undefined && isStreamState(message.state) && slot.status(message, this.now())) {
      this.notify(slot.name);
    }
  }

  private refused(message: ErrorMessage): void {
    const stream = message.stream ?? (typeof message.id === 'string' ? /^sub:\d+:(.*)$/s.exec(message.id)?.[1] : undefined);
    const slot = stream === undefined ? undefined : this.slots.get(stream);
    const text = errorText(message.message) ?? 'the gateway reported an error';
    if (slot === undefined) {
      this.change({ error: text });
    } else if (slot.refused(text)) {
      this.notify(slot.name);
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
    } else if (slot.view !== before) {
      this.notify(stream);
    }
  }

  /** A patch for data that is not held. A repeated subscribe delivers nothing anew, so leave first; then the full value comes. */
  private resync(slot: StreamSlot): void {
    this.send({ type: 'unsubscribe', stream: slot.name });
    this.sendSubscribe(slot.name);
    clearTimeout(this.resyncTimers.get(slot.name));
    this.resyncTimers.set(
      slot.name,
      setTimeout(() => slot.giveUpResync(), RESYNC_WAIT),
    );
  }

  private sendSubscribe(stream: string): void {
    const { view } = this.slot(stream);
    const message: ClientMessage = { type: 'subscribe', stream, id: `sub:${this.nextId++}:${stream}` };
    if (view.kind === 'log' && view.seq !== null) {
      message.since = view.seq;
    }
    if (this.options.delta) {
      message.delta = true;
    }
    if (this.send(message)) {
      this.subscribed.add(stream);
    }
  }

  private dropUnwanted(stream: string): void {
    if ((this.listeners.get(stream)?.size ?? 0) > 0) {
      return;
    }
    this.listeners.delete(stream);
    if (this.subscribed.delete(stream)) {
      this.send({ type: 'unsubscribe', stream });
    }
    // What is held stays, for whoever comes back; but nobody vouches for it now.
    if (this.slots.get(stream)?.stale()) {
      this.notify(stream);
    }
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

  // -------------------------------------------------------------- silence, tab, network

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    const { pingAfter, pongTimeout } = this.options;
    const quiet = Date.now() - this.lastMessage;

    if (this.awaitingPong) {
      this.lost(`no sign of life for ${Math.round(quiet / 1000)} s`, 0);
    } else if (quiet >= pingAfter) {
      this.ping(pongTimeout);
    } else {
      this.silenceTimer = setTimeout(() => this.watchSilence(), pingAfter - quiet);
    }
  }

  /** Asks whether the other side is there; no message at all within `deadline` means no. */
  private ping(deadline: number): void {
    clearTimeout(this.silenceTimer);
    this.awaitingPong = true;
    this.send({ type: 'ping' });
    this.silenceTimer = setTimeout(() => this.watchSilence(), deadline);
  }

  private watchPage(): () => void {
    if (typeof window === 'undefined') {
      return () => {};
    }

    const visibility = (): void => {
      clearTimeout(this.hiddenTimer);
      if (isHidden()) {
        if (this.options.hiddenTimeout > 0) {
          this.hiddenTimer = setTimeout(() => this.pause(), this.options.hiddenTimeout);
        }
        return;
      }
      this.wake();
    };
    const online = (): void => {
      this.change({ online: true });
      this.wake();
    };
    const offline = (): void => {
      // A gateway on this very machine may still be there: ask it.
      this.change({ online: false });
      if (this.ready && !this.awaitingPong) {
        this.ping(this.options.pongTimeout);
      }
    };

    document.addEventListener('visibilitychange', visibility);
    window.addEventListener('online', online);
    window.addEventListener('offline', offline);
    return () => {
      document.removeEventListener('visibilitychange', visibility);
      window.removeEventListener('online', online);
      window.removeEventListener('offline', offline);
    };
  }

  /** Someone looks again, or the network is back. */
  private wake(): void {
    if (this.current.state === 'paused' || (this.socket === null && this.options.reconnect && this.holders > 0)) {
      this.failures = 0;
      this.open();
    } else if (this.ready && !this.awaitingPong && Date.now() - this.lastMessage > 3_000) {
      this.ping(this.options.pongTimeout);
    }
  }

  /** Nobody has looked for long: spare the gateway and the node. */
  private pause(): void {
    clearTimeout(this.retryTimer);
    clearTimeout(this.staleTimer);
    this.drop(1000, 'hidden');
    this.poller?.stop();
    this.markStale();
    this.change({ state: 'paused', connected: false, retryAt: null, lostAt: Date.now(), error: null, attempt: 0 });
  }

  // -------------------------------------------------------------- REST

  private makePoller(url: string): RestPoller {
    return new RestPoller({
      url,
      interval: 3_000,
      backoff: this.backoff,
      random: this.options.random,
      fetch: this.options.fetch,
      wanted: () => {
        const wanted: { name: string; seq: number | null }[] = [];
        for (const [name, set] of this.listeners) {
          if (set.size > 0) {
            wanted.push({ name, seq: this.slot(name).view.seq });
          }
        }
        return wanted;
      },
      onEpoch: (epoch) => {
        const previous = this.current.epoch;
        this.change({ epoch: epoch ?? previous });
        if (epoch !== null && previous !== null && epoch !== previous) {
          this.startOver();
        }
      },
      onList: (list) => {
        this.lastMessage = Date.now();
        this.infos = Promise.resolve(list);
        for (const info of list) {
          const slot = this.slots.get(info.name);
          if (slot?.status({ state: restState(info.state), age: info.age, error: info.error }, this.now())) {
            this.notify(info.name);
          }
        }
        const names = list.map((info) => info.name);
        if (names.join('\n') !== this.current.streams?.join('\n')) {
          this.change({ streams: names });
        }
      },
      onMessage: (name, message) => this.data(name, message, true),
      onRefused: (name, error) => {
        if (this.slots.get(name)?.refused(error)) {
          this.notify(name);
        }
      },
      onUp: () => {
        clearTimeout(this.staleTimer);
        this.change({ state: 'polling', connected: true, lostAt: null });
      },
      onDown: (error) => {
        if (this.current.state === 'polling') {
          clearTimeout(this.staleTimer);
          this.staleTimer = setTimeout(() => this.markStale(), this.options.staleAfter);
          this.change({ state: 'reconnecting', connected: false, lostAt: Date.now(), error });
        }
      },
    });
  }

  // -------------------------------------------------------------- bookkeeping

  private slot(stream: string): StreamSlot {
    let slot = this.slots.get(stream);
    if (slot === undefined) {
      slot = new StreamSlot(stream, this.options.maxEntries, this.options.keepEntries);
      this.slots.set(stream, slot);
    }
    return slot;
  }

  private notify(stream: string): void {
    for (const listener of [...(this.listeners.get(stream) ?? [])]) {
      listener();
    }
  }

  private change(change: Partial<ConnectionStatus>): void {
    const keys = Object.keys(change) as (keyof ConnectionStatus)[];
    if (keys.every((key) => Object.is(change[key], this.current[key]))) {
      return;
    }
    this.current = { ...this.current, ...change };
    for (const listener of [...this.statusListeners]) {
      listener();
    }
  }
}
