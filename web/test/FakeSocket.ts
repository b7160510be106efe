import type { WebSocketLike } from '../src/client/StreamClient';

/** A WebSocket whose other end is the test. */
export class FakeSocket implements WebSocketLike {
  static readonly all: FakeSocket[] = [];

  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (socket === undefined) {
      throw new Error('no socket was made');
    }
    return socket;
  }

  readonly url: string;
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;

  /** What the client sent, parsed. */
  readonly sent: Record<string, unknown>[] = [];
  closedByClient = false;

  constructor(url: string) {
    this.url = url;
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
    this.onopen?.(new Event('open'));
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
    this.onmessage?.(new MessageEvent('message', { data }));
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

  drop(code = 1006, reason = ''): void {
    this.readyState = 3;
    this.onerror?.(new Event('error'));
    this.onclose?.(new CloseEvent('close', { code, reason, wasClean: code !== 1006 }));
  }

  /** The subscribes that were sent, as `stream` or `stream@since`. */
  get subscriptions(): string[] {
    return this.sent
      .filter((message) => message.type === 'subscribe')
      .map((message) => (message.since === undefined ? String(message.stream) : `${String(message.stream)}@${String(message.since)}`));
  }

  private readonly acknowledged = new Set<object>();
}
