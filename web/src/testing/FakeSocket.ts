import { forgetSharedClients, type SocketHandler, type WebSocketLike } from '../client';

/** A WebSocket whose other end is the test: pass it as the option `webSocket`, or put it in the platform's place with `install`. */
export class FakeSocket implements WebSocketLike {
  static readonly all: FakeSocket[] = [];

  static get last(): FakeSocket {
    const socket = FakeSocket.all[FakeSocket.all.length - 1];
    if (socket === undefined) {
      throw new Error('no socket was made');
    }
    return socket;
  }

  /** Takes the place of the platform's WebSocket, with no shared client from before. Returns what puts all back. */
  static install(): () => void {
    const before = globalThis.WebSocket;
    globalThis.WebSocket = FakeSocket as unknown as typeof WebSocket;
    FakeSocket.all.length = 0;
    forgetSharedClients();
    return () => {
      globalThis.WebSocket = before;
      FakeSocket.all.length = 0;
      forgetSharedClients();
    };
  }

  readonly url: string;
  /** The subprotocols that were offered: the token is among them. */
  readonly protocols: readonly string[];
  /** What was given in the third place: headers, outside of browsers. */
  readonly options: unknown;
  readyState = 0;
  onopen: SocketHandler = null;
  onmessage: SocketHandler = null;
  onclose: SocketHandler = null;
  onerror: SocketHandler = null;

  /** What the client sent, parsed. */
  readonly sent: Record<string, unknown>[] = [];
  closedByClient = false;

  constructor(url: string, protocols?: string | readonly string[] | { protocols?: readonly string[] }, options?: unknown) {
    this.url = url;
    const offered = typeof protocols === 'object' && 'protocols' in protocols ? protocols.protocols : protocols;
    this.protocols = offered === undefined ? [] : typeof offered === 'string' ? [offered] : (offered as readonly string[]);
    this.options = options ?? (Array.isArray(protocols) || typeof protocols === 'string' ? undefined : protocols);
    FakeSocket.all.push(this);
  }

  send(data: string): void {
    if (this.readyState !== 1) {
      throw new Error('not open');
    }
    this.sent.push(JSON.parse(data) as Record<string, unknown>);
  }

  close(): void {
    this.closedByClient = true;
    this.readyState = 3;
  }

  // ---- the other end

  open(): this {
    this.readyState = 1;
    this.onopen?.({ type: 'open' });
    return this;
  }

  /** Opens and says welcome. */
  greet(more: Record<string, unknown> = {}): this {
    this.open();
    return this.say({
      type: 'welcome',
      message: 'test',
      timestamp: Date.now() / 1000,
      available_streams: ['network_metrics', 'markets_health', 'receipts', 'peers', 'operations'],
      epoch: 'e1',
      ...more,
    });
  }

  say(message: Record<string, unknown> | string): this {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.onmessage?.({ type: 'message', data });
    return this;
  }

  /** Acknowledges every subscribe that has not been acknowledged yet. */
  acknowledge(): this {
    for (const message of this.sent) {
      if (message.type === 'subscribe' && !this.acknowledged.has(message)) {
        this.acknowledged.add(message);
        this.say({ type: 'subscribed', stream: message.stream, timestamp: Date.now() / 1000, id: message.id });
      }
    }
    return this;
  }

  data(stream: string, data: unknown, seq: number, more: Record<string, unknown> = {}): this {
    return this.say({ type: stream, data, timestamp: Date.now() / 1000, seq, ...more });
  }

  /** Tells how the node is, as the gateway does. */
  status(stream: string, state: 'waiting' | 'live' | 'stale', more: Record<string, unknown> = {}): this {
    return this.say({ type: 'status', stream, state, timestamp: Date.now() / 1000, ...more });
  }

  /** The connection ends. `hint` is what a platform that is no browser says of a refused handshake. */
  drop(code = 1006, reason = '', hint?: string): void {
    this.readyState = 3;
    this.onerror?.({ type: 'error', message: hint });
    this.onclose?.({ type: 'close', code, reason, wasClean: code !== 1006 });
  }

  /** The subscribes that were sent, as `stream` or `stream@since`. */
  get subscriptions(): string[] {
    return this.sent
      .filter((message) => message.type === 'subscribe')
      .map((message) => (message.since === undefined ? String(message.stream) : `${String(message.stream)}@${String(message.since)}`));
  }

  private readonly acknowledged = new Set<object>();
}
