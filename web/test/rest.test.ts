import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StreamClient } from '../src/client/StreamClient';
import { FakeSocket } from '../src/testing/FakeSocket';

/** A gateway whose WebSocket is blocked: `rows` is its list of streams, `messages` what each of them has. */
interface Gateway {
  epoch: string;
  rows: Record<string, unknown>[];
  messages: Record<string, unknown>;
  down: boolean;
  asked: string[];
}

let gateway: Gateway;
let client: StreamClient;
let leave: (() => void)[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  gateway = { epoch: '7', rows: [], messages: {}, down: false, asked: [] };
  leave = [];
  client = new StreamClient({
    url: 'ws://gateway/ws',
    random: () => 0.5,
    fetch: (async (input: RequestInfo | URL) => {
      const path = new URL(String(input)).pathname;
      gateway.asked.push(path);
      if (gateway.down) {
        throw new TypeError('Failed to fetch');
      }
      if (path === '/api/streams') {
        return new Response(JSON.stringify({ epoch: gateway.epoch, streams: gateway.rows }));
      }
      const message = gateway.messages[path.slice('/api/streams/'.length)];
      return message === undefined ? new Response('{}', { status: 503 }) : new Response(JSON.stringify(message));
    }) as typeof fetch,
  });
});

afterEach(() => {
  leave.forEach((one) => one());
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
});

/** Lets `ms` pass; the WebSocket fails whenever it is tried. */
async function pass(ms: number): Promise<void> {
  for (let elapsed = 0; elapsed < ms; elapsed += 250) {
    if (FakeSocket.last.readyState === 0) {
      FakeSocket.last.drop();
    }
    await vi.advanceTimersByTimeAsync(250);
  }
}

function publish(stream: string, kind: string, data: unknown, seq: number, state = 'live'): void {
  gateway.rows = gateway.rows.filter(({ name }) => name !== stream);
  gateway.rows.push({ name: stream, kind, interval: 2, seq, age: 0.5, state });
  gateway.messages[stream] = { type: stream, data, seq, timestamp: Date.now() / 1000 };
}

const receipts = (...ids: string[]): unknown => ({ receipts: ids.map((id) => ({ id })), count: ids.length });
const held = (): unknown[] => client.view('receipts').entries.map(({ value }) => value.id);

describe('without a WebSocket', () => {
  it('polls the same streams by REST, asks only for what changed, and goes back to the WebSocket when it gets through', async () => {
    // If this fails: behind a proxy that blocks WebSocket the page stays empty.
    publish('network_metrics', 'snapshot', { tps: 1 }, 1);
    publish('receipts', 'log', receipts('a', 'b'), 1);
    leave.push(client.subscribe('network_metrics', () => {}), client.subscribe('receipts', () => {}));
    await pass(6000);
    expect(client.status).toMatchObject({ state: 'polling', connected: true, lostAt: null });
    expect(client.view('network_metrics')).toMatchObject({ data: { tps: 1 }, state: 'live' });
    expect(held()).toEqual(['b', 'a']);

    gateway.asked.length = 0;
    publish('network_metrics', 'snapshot', { tps: 2 }, 2);
    await pass(3500);
    expect(client.view('network_metrics').data).toEqual({ tps: 2 });
    expect(gateway.asked.filter((path) => path === '/api/streams/receipts')).toHaveLength(0);

    // The entries come again with new ones behind them: each is listed once.
    publish('receipts', 'log', receipts('a', 'b', 'c'), 2);
    await pass(3500);
    expect(held()).toEqual(['c', 'b', 'a']);
    expect(client.view('receipts').gap).toBeNull();

    // None of them is known: something between is missing.
    publish('receipts', 'log', receipts('x', 'y'), 9);
    await pass(3500);
    expect(held()).toEqual(['y', 'x', 'c', 'b', 'a']);
    expect(client.view('receipts').gap).not.toBeNull();

    client.retry();
    await vi.advanceTimersByTimeAsync(30_000);
    if (FakeSocket.last.readyState !== 0) {
      await vi.advanceTimersByTimeAsync(1);
    }
    for (let tries = 0; tries < 100 && FakeSocket.last.readyState !== 0; tries += 1) {
      await vi.advanceTimersByTimeAsync(1000);
    }
    FakeSocket.last.greet({ epoch: '7' });
    expect(client.status.state).toBe('connected');
    expect(FakeSocket.last.subscriptions).toEqual(['network_metrics', 'receipts@9']);
    gateway.asked.length = 0;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(gateway.asked).toEqual([]);
  });

  it('tells what the gateway says of the node', async () => {
    // If this fails: a page without WebSocket calls data of a dead node live.
    publish('network_metrics', 'snapshot', { tps: 1 }, 1);
    leave.push(client.subscribe('network_metrics', () => {}));
    await pass(6000);
    gateway.rows = [{ name: 'network_metrics', kind: 'snapshot', interval: 2, seq: 1, age: 44, state: 'stale', error: 'refused' }];
    await pass(3500);
    expect(client.view('network_metrics')).toMatchObject({ state: 'stale', error: 'refused', data: { tps: 1 } });
    publish('network_metrics', 'snapshot', { tps: 1 }, 1);
    await pass(3500);
    expect(client.view('network_metrics')).toMatchObject({ state: 'live', error: null });
  });

  it('waits for the first snapshot, and names a stream that is not there', async () => {
    // If this fails: a gateway that just started looks broken.
    gateway.rows = [{ name: 'network_metrics', kind: 'snapshot', interval: 2, seq: null, age: null, state: 'waiting' }];
    leave.push(client.subscribe('network_metrics', () => {}), client.subscribe('absent', () => {}));
    await pass(6000);
    expect(client.status.state).toBe('polling');
    expect(client.view('network_metrics')).toMatchObject({ state: 'waiting', data: null });
    expect(client.view('absent').error).toContain('no stream "absent"');
  });

  it('is neither live nor connected when REST is gone too, and does not hammer', async () => {
    // If this fails: an outage is hidden, or a thousand pages keep a fallen gateway down.
    publish('network_metrics', 'snapshot', { tps: 1 }, 1);
    leave.push(client.subscribe('network_metrics', () => {}));
    await pass(6000);
    gateway.down = true;
    await pass(4000);
    expect(client.status).toMatchObject({ state: 'reconnecting', connected: false });
    await pass(6000);
    expect(client.view('network_metrics').state).toBe('stale');
    gateway.asked.length = 0;
    await pass(60_000);
    expect(gateway.asked.length).toBeLessThan(12);
    gateway.down = false;
    await pass(20_000);
    expect(client.status.connected).toBe(true);
    expect(client.view('network_metrics').state).toBe('live');
  });

  it('starts over when the seq went back', async () => {
    // If this fails: after a fresh start of the gateway such a page never shows new data.
    publish('receipts', 'log', receipts('a', 'b'), 50);
    leave.push(client.subscribe('receipts', () => {}));
    await pass(6000);
    publish('receipts', 'log', receipts('n'), 1);
    await pass(3500);
    expect(held()).toEqual(['n']);

    gateway.epoch = '8';
    publish('receipts', 'log', receipts('o', 'p'), 3);
    await pass(3500);
    expect(held()).toEqual(['p', 'o']);
  });
});
