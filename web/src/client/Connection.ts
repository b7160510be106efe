import { addressProblem } from './urls';
import { backoffDelay, type BackoffOptions } from './backoff';
import { fitsSubprotocol, type Credentials } from './Credentials';
import { closeFailure, messageOf, type Failure } from './failures';
import { stringifyExact } from './json';
import type { Settings, WebSocketConstructor, WebSocketLike } from './options';
import type { StatusStore } from './status';

const OPEN = 1;
/** A connection that held this long (ms) makes the next loss a first one again. */
const STABLE = 5_000;
/** A gateway that does not say welcome (ms): then subscribe without. */
const WELCOME_WAIT = 2_000;
/** Of a silence this long (ms) one is reminded when somebody looks again. */
const DOUBTFUL = 3_000;

export interface ConnectionHandlers {
  /** The gateway is there: ask for what is wanted. */
  onReady(): void;
  onMessage(text: string): void;
  /** Lost, or never there: `blocked` attempts in a row did not get through. Runs before `status` tells. */
  onLost(failure: Failure, blocked: number): void;
  /** Runs after `status` told. */
  onTold(failure: Failure): void;
}

/** One WebSocket after another: opens it, notices when it is dead, and knows when to try again. */
export class Connection {
  /** Local clock of the last sign of life (ms), 0 before the first. */
  lastMessage = 0;
  /** The gateway said who it is, or will not: messages can be sent. */
  ready = false;

  private readonly url: string;
  private readonly settings: Settings;
  private readonly status: StatusStore;
  private readonly credentials: Credentials;
  private readonly handlers: ConnectionHandlers;

  private socket: WebSocketLike | null = null;
  /** Counts attempts, so that what belongs to an earlier one is known. */
  private attempt = 0;
  private opening = false;
  private readyAt = 0;
  private failures = 0;
  private blocked = 0;
  private awaitingPong = false;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private connectTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, settings: Settings, status: StatusStore, credentials: Credentials, handlers: ConnectionHandlers) {
    this.url = url;
    this.settings = settings;
    this.status = status;
    this.credentials = credentials;
    this.handlers = handlers;
  }

  get backoff(): BackoffOptions {
    const { reconnectInterval, maxReconnectInterval } = this.settings;
    return { base: reconnectInterval, max: Math.max(maxReconnectInterval, reconnectInterval) };
  }

  /** No attempt is under way, and none has succeeded. */
  get closed(): boolean {
    return this.socket === null && !this.opening;
  }

  open(): void {
    clearTimeout(this.retryTimer);
    this.drop('reconnecting');

    const { current } = this.status;
    const first = current.lostAt === null && current.attempt === 0;
    this.status.change({ state: current.state === 'polling' ? 'polling' : first ? 'connecting' : 'reconnecting', retryAt: null });

    const Socket = this.settings.webSocket ?? (globalThis.WebSocket as unknown as WebSocketConstructor | undefined);
    const problem = addressProblem(this.url);
    if (Socket === undefined || problem !== null) {
      this.lost(
        problem !== null
          ? { reason: 'address', text: problem, final: true }
          : {
              reason: 'unsupported',
              text: 'this platform has no WebSocket (Node.js before 22 has none): pass one as the option webSocket, for example that of the package "ws"',
              final: true,
            },
      );
      return;
    }

    this.opening = true;
    const seconds = Math.round(this.settings.connectTimeout / 1000);
    this.connectTimer = setTimeout(
      () => this.lost({ reason: 'timeout', text: `no ${this.socket === null ? 'token' : 'answer'} within ${seconds} s` }),
      this.settings.connectTimeout,
    );

    const attempt = this.attempt;
    const failed = (error: unknown): void => {
      if (this.attempt === attempt) {
        this.lost({ reason: 'unauthorized', text: `no token: ${messageOf(error)}` });
      }
    };
    try {
      const token = this.credentials.fresh();
      if (token === null || typeof token === 'string') {
        this.connect(Socket, token);
      } else {
        token.then((value) => {
          if (this.attempt === attempt) {
            this.connect(Socket, value);
          }
        }, failed);
      }
    } catch (error) {
      failed(error);
    }
  }

  /** Lets the socket go without waiting for its goodbye, which a dead one never says. */
  drop(reason: string): void {
    clearTimeout(this.connectTimer);
    clearTimeout(this.silenceTimer);
    this.attempt += 1;
    this.opening = false;
    this.awaitingPong = false;
    this.ready = false;

    const { socket } = this;
    this.socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      try {
        socket.close(1000, reason);
      } catch {
        // It was not open.
      }
    }
  }

  /** Ends it until the next `open`, and plans no attempt. */
  close(reason: string): void {
    this.drop(reason);
    clearTimeout(this.retryTimer);
  }

  /** The next loss is a first one. */
  forgive(): void {
    this.failures = 0;
    this.blocked = 0;
  }

  /** An attempt of somebody who does not want to wait. */
  retry(): void {
    if (this.closed) {
      this.failures = Math.min(this.failures, 3);
      this.open();
    }
  }

  /** What REST said of the last failure: a page cannot see why its WebSocket was refused. */
  explain(attempt: number, failure: Failure): void {
    if (this.attempt === attempt && !this.ready) {
      this.status.change({ error: failure.text, reason: failure.reason });
    }
  }

  /** Identifies the attempt that `explain` is about. */
  get attemptNumber(): number {
    return this.attempt;
  }

  send(message: object): boolean {
    if (this.socket === null || this.socket.readyState !== OPEN) {
      return false;
    }
    this.socket.send(stringifyExact(message));
    return true;
  }

  /** Any message is an answer, whatever it was asked. */
  heard(): void {
    this.lastMessage = Date.now();
    this.awaitingPong = false;
  }

  /** The gateway said who it is, or will not. */
  becomeReady(): void {
    if (this.ready || this.socket === null) {
      return;
    }
    clearTimeout(this.connectTimer);
    this.opening = false;
    this.ready = true;
    this.readyAt = Date.now();
    this.blocked = 0;
    this.handlers.onReady();
  }

  /** Somebody looks again, or the network is back: do not wait. */
  wake(): void {
    if (this.closed) {
      this.failures = 0;
      this.open();
    } else if (this.ready && Date.now() - this.lastMessage > DOUBTFUL) {
      this.check();
    }
  }

  /** Asks whether the other side is still there. */
  check(): void {
    if (this.ready && !this.awaitingPong) {
      this.ping();
    }
  }

  private connect(Socket: WebSocketConstructor, token: string | null): void {
    let headers = this.settings.headers;
    let protocols: string[] | undefined;
    const platform = socketPlatform(Socket);

    if (token !== null && fitsSubprotocol(token)) {
      protocols = ['blockcast.v1.json', `bearer.${token}`];
    } else if (token !== null) {
      if (platform === 'browser') {
        this.lost({
          reason: 'unauthorized',
          text: 'the token has a character that a browser cannot send in a WebSocket handshake: letters, digits and !#$%&\'*+-.^_`|~ can be',
          final: true,
        });
        return;
      }
      headers = { ...headers, Authorization: `Bearer ${token}` };
    }

    let socket: WebSocketLike;
    try {
      const Make = Socket as new (url: string, ...more: unknown[]) => WebSocketLike;
      if (headers === undefined || platform === 'browser') {
        socket = protocols === undefined ? new Make(this.url) : new Make(this.url, protocols);
      } else {
        socket = platform === 'node' ? new Make(this.url, { protocols: protocols ?? [], headers }) : new Make(this.url, protocols, { headers });
      }
    } catch (error) {
      this.lost({ reason: 'address', text: messageOf(error) });
      return;
    }

    let opened = false;
    let hint = '';
    this.socket = socket;

    socket.onopen = () => {
      if (this.socket === socket) {
        opened = true;
        this.lastMessage = Date.now();
        clearTimeout(this.connectTimer);
        this.connectTimer = setTimeout(() => this.becomeReady(), WELCOME_WAIT);
        this.watchSilence();
      }
    };
    socket.onmessage = (event: { data?: unknown }) => {
      if (this.socket === socket && typeof event.data === 'string') {
        this.handlers.onMessage(event.data);
      }
    };
    socket.onclose = (event: { code?: number; reason?: string }) => {
      if (this.socket === socket) {
        this.lost(closeFailure(event, opened, hint));
      }
    };
    socket.onerror = (event?: { message?: unknown }) => {
      // "close" follows; outside of browsers only this says why.
      hint = typeof event?.message === 'string' ? event.message : hint;
    };
  }

  private lost(failure: Failure): void {
    const { settings, status } = this;
    const held = this.ready;
    const now = Date.now();
    if (held && now - this.readyAt >= STABLE) {
      this.failures = 0;
    }
    if (!held) {
      this.blocked += 1;
    }
    this.drop('lost');
    const told = { error: failure.text, reason: failure.reason };

    if (failure.reason === 'unauthorized') {
      this.credentials.expire();
    }

    if (!settings.reconnect || failure.final === true) {
      this.handlers.onLost({ ...failure, final: true }, this.blocked);
      const polling = status.current.state === 'polling';
      status.change({ state: polling ? 'polling' : 'disconnected', connected: polling, retryAt: null, lostAt: polling ? null : now, ...told });
      this.handlers.onTold(failure);
      return;
    }

    // Policy, or "try again later": not at once.
    const least = failure.code === 1008 ? 4 : failure.code === 1013 ? 2 : 0;
    this.failures = Math.max(this.failures, least);

    this.handlers.onLost(failure, this.blocked);

    const wait = backoffDelay(this.failures, this.backoff, settings.random);
    this.failures += 1;
    this.retryTimer = setTimeout(() => this.open(), wait);

    const polling = status.current.state === 'polling';
    status.change({
      state: polling ? 'polling' : 'reconnecting',
      connected: polling,
      attempt: this.failures,
      retryAt: now + wait,
      lostAt: polling ? null : (status.current.lostAt ?? now),
      ...told,
    });
    this.handlers.onTold(failure);
  }

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    const { pingAfter } = this.settings;
    const quiet = Date.now() - this.lastMessage;

    if (this.awaitingPong) {
      this.lost({ reason: 'silent', text: `no sign of life for ${Math.round(quiet / 1000)} s` });
    } else if (quiet >= pingAfter) {
      this.ping();
    } else {
      this.silenceTimer = setTimeout(() => this.watchSilence(), pingAfter - quiet);
    }
  }

  /** Asks whether the other side is there; no message at all within `pongTimeout` means no. */
  private ping(): void {
    clearTimeout(this.silenceTimer);
    this.awaitingPong = true;
    this.send({ type: 'ping' });
    this.silenceTimer = setTimeout(() => this.watchSilence(), this.settings.pongTimeout);
  }
}

/**
 * How this WebSocket takes headers: `browser` not at all, `node` (its own, of undici) in an object instead of the protocols, and
 * `other` (React Native, the package `ws`) as a third argument.
 */
export function socketPlatform(Socket: WebSocketConstructor): 'browser' | 'node' | 'other' {
  if ((Socket as unknown) !== globalThis.WebSocket || (typeof navigator !== 'undefined' && navigator.product === 'ReactNative')) {
    return 'other';
  }
  const { process } = globalThis as { process?: { versions?: { node?: string } } };
  return process?.versions?.node !== undefined && typeof document === 'undefined' ? 'node' : 'browser';
}
