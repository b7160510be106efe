import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StreamClient, type StreamClientOptions } from '../src/client/StreamClient';
import { sharedClient } from '../src/client/shared';
import { restUrl, websocketUrl } from '../src/client/urls';
import { FakeSocket } from '../src/testing/FakeSocket';

const clients: (() => void)[] = [];

function make(options: StreamClientOptions = {}): StreamClient {
  return new StreamClient({ url: 'ws://gateway/ws', rest: false, random: () => 0.5, ...options });
}

/** Subscribes and counts how often the listener ran. */
function listen(client: StreamClient, stream: string): { calls: number; leave: () => void } {
  const seen = { calls: 0, leave: () => {} };
  seen.leave = client.subscribe(stream, () => {
    seen.calls += 1;
  });
  clients.push(seen.leave);
  return seen;
}

const ids = (client: StreamClient): unknown[] => client.view('receipts').entries.map(({ value }) => value.id);
const receipts = (...list: (string | number)[]): unknown => ({ receipts: list.map((id) => ({ id })), count: list.length });

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  clients.splice(0).forEach((leave) => leave());
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
  setHidden(false);
});

function setHidden(hidden: boolean): void {
  Object.defineProperty(document, 'visibilityState', { configurable: true, value: hidden ? 'hidden' : 'visible' });
  document.dispatchEvent(new Event('visibilitychange'));
}

describe('connecting', () => {
  it('connects only while someone listens, and asks for each stream once', () => {
    // If this fails: a page opens connections that nobody needs, or gets every message twice.
    const client = make();
    expect(FakeSocket.all).toHaveLength(0);

    const one = listen(client, 'network_metrics');
    const two = listen(client, 'network_metrics');
    expect(client.status.state).toBe('connecting');
    expect(FakeSocket.all).toHaveLength(1);

    FakeSocket.last.greet();
    expect(client.status).toMatchObject({ state: 'connected', connected: true, epoch: 'e1' });
    expect(FakeSocket.last.subscriptions).toEqual(['network_metrics']);

    FakeSocket.last.acknowledge().data('network_metrics', { tps: 5 }, 1);
    expect(client.view('network_metrics')).toMatchObject({ data: { tps: 5 }, state: 'live', seq: 1, kind: 'snapshot' });
    expect([one.calls, two.calls]).toEqual([1, 1]);

    one.leave();
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.sent.some(({ type }) => type === 'unsubscribe')).toBe(false);
    two.leave();
    vi.advanceTimersByTime(1000);
    expect(client.status.state).toBe('idle');
    expect(FakeSocket.last.closedByClient).toBe(true);
  });

  it('unsubscribes when the last listener of one stream leaves and others stay', () => {
    // If this fails: streams that nobody looks at any more go on costing bandwidth and polls of the node.
    const client = make();
    listen(client, 'network_metrics');
    const peers = listen(client, 'peers');
    FakeSocket.last.greet().acknowledge();
    peers.leave();
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.sent.at(-1)).toEqual({ type: 'unsubscribe', stream: 'peers' });

    listen(client, 'peers');
    expect(FakeSocket.last.sent.at(-1)).toMatchObject({ type: 'subscribe', stream: 'peers' });
  });

  it('keeps a subscription that is left and taken up again at once', () => {
    // If this fails: React's strict mode and every moved panel cost an unsubscribe and a subscribe.
    const client = make();
    listen(client, 'network_metrics');
    const peers = listen(client, 'peers');
    FakeSocket.last.greet();
    peers.leave();
    listen(client, 'peers');
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.sent.map(({ type }) => type)).toEqual(['subscribe', 'subscribe']);
  });

  it('subscribes without a welcome when none comes', () => {
    // If this fails: the page shows nothing behind a gateway of the design document's first version.
    const client = make();
    listen(client, 'peers');
    FakeSocket.last.open();
    expect(FakeSocket.last.sent).toHaveLength(0);
    vi.advanceTimersByTime(2100);
    expect(FakeSocket.last.subscriptions).toEqual(['peers']);
    FakeSocket.last.say({ type: 'peers', data: { peers: [], total: 0 }, timestamp: 1_700_000_000 });
    expect(client.view('peers')).toMatchObject({ state: 'live', seq: null });
  });

  it('shares one client per address', () => {
    // If this fails: each component opens a connection of its own.
    expect(sharedClient('ws://localhost:8080')).toBe(sharedClient('ws://localhost:8080/'));
    expect(sharedClient('ws://localhost:8080')).not.toBe(sharedClient('ws://localhost:8081'));
    expect(sharedClient()).toBe(sharedClient('/ws'));
  });

  it('finds the gateway from the address of the page', () => {
    // If this fails: a page served over TLS cannot connect, or connects to another host than its own.
    expect(websocketUrl()).toBe(`ws://${location.host}/ws`);
    expect(websocketUrl('https://example.org/ws')).toBe('wss://example.org/ws');
    expect(websocketUrl('ws://localhost:8080')).toBe('ws://localhost:8080/');
    expect(restUrl('wss://example.org/ws')).toBe('https://example.org/api');
    expect(restUrl('ws://localhost:8080/')).toBe('http://localhost:8080/api');
    expect(restUrl('ws://example.org/deep/ws?token=1')).toBe('http://example.org/deep/api');
  });

  it('says so when the gateway speaks another version of the protocol', () => {
    // If this fails: after an upgrade of the gateway an old tab shows wrong data instead of asking for a reload.
    const client = make();
    listen(client, 'peers');
    FakeSocket.last.greet({ protocol: 2 });
    expect(client.status.incompatible).toContain('version 2');
    for (const protocol of [1, '1.4', 'blockcast.v1', undefined]) {
      FakeSocket.last.say({ type: 'welcome', protocol });
      expect(client.status.incompatible).toBeNull();
    }
    FakeSocket.last.say({ type: 'welcome', protocol: 'blockcast.v3' });
    expect(client.status.incompatible).toContain('version 3');
  });

  it('reports a refused stream at that stream alone, and keeps the connection', () => {
    // If this fails: one forbidden stream blanks the page, or is missing without a reason given.
    const client = make();
    listen(client, 'secret');
    listen(client, 'peers');
    FakeSocket.last.greet();
    const asked = FakeSocket.last.sent.find(({ stream }) => stream === 'secret');
    FakeSocket.last.say({ type: 'error', message: 'this endpoint does not offer the stream', code: 'forbidden_stream', id: asked?.id });
    expect(client.view('secret').error).toContain('does not offer');
    expect(client.view('peers').error).toBeNull();
    expect(client.status).toMatchObject({ connected: true, error: null });
  });

  it('survives messages that make no sense', () => {
    // If this fails: one odd message takes the whole page down.
    const client = make();
    listen(client, 'peers');
    FakeSocket.last.greet();
    for (const message of ['', '{', '[]', '7', 'null', '{"type":7}', '{"type":"later","x":1}', '{"type":"peers"}', '{"type":"status"}']) {
      expect(() => FakeSocket.last.say(message)).not.toThrow();
    }
    FakeSocket.last.data('peers', { peers: [], total: 0 }, 1);
    expect(client.view('peers').state).toBe('live');
  });
});

describe('reconnecting', () => {
  it('comes back and restores every subscription, the logs from where they were', () => {
    // If this fails: after a reload of nginx the page stays dead, or receipts are missing or shown twice.
    const client = make();
    listen(client, 'network_metrics');
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge();
    FakeSocket.last.data('network_metrics', { tps: 1 }, 7).data('receipts', receipts('a', 'b'), 3);

    FakeSocket.last.drop(1012, 'reloading');
    expect(client.status).toMatchObject({ state: 'reconnecting', connected: false, error: 'reloading' });
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.greet();
    expect(FakeSocket.last.subscriptions).toEqual(['network_metrics', 'receipts@3']);

    FakeSocket.last.acknowledge().data('receipts', receipts('c', 'd'), 5);
    expect(ids(client)).toEqual(['d', 'c', 'b', 'a']);
    expect(client.view('receipts')).toMatchObject({ state: 'live', seq: 5, gap: null, received: 4 });
  });

  it('waits anywhere between nothing and the cap, which doubles from 1 s to 30 s', () => {
    // If this fails: after an outage all pages come back in the same instant and bring the gateway down again.
    for (const random of [0, 0.25, 0.999]) {
      FakeSocket.all.length = 0;
      const client = make({ random: () => random });
      const { leave } = listen(client, 'peers');
      const waits: number[] = [];
      for (let attempt = 0; attempt < 8; attempt += 1) {
        FakeSocket.last.drop();
        const wait = (client.status.retryAt ?? 0) - Date.now();
        waits.push(wait);
        vi.advanceTimersByTime(wait + 1);
      }
      const caps = [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
      expect(waits).toEqual(caps.map((cap) => Math.round(cap * random)));
      leave();
    }
  });

  it('counts a loss as a first one again once a connection has held', () => {
    // If this fails: a page that was connected all day waits half a minute after a reload that took a second.
    const client = make({ random: () => 1 });
    listen(client, 'peers');
    for (let attempt = 0; attempt < 6; attempt += 1) {
      FakeSocket.last.drop();
      vi.advanceTimersByTime(30_000);
    }
    FakeSocket.last.greet();
    vi.advanceTimersByTime(6000);
    FakeSocket.last.drop();
    expect((client.status.retryAt ?? 0) - Date.now()).toBe(1000);

    // One that broke at once does not count: it would be hammered.
    vi.advanceTimersByTime(1000);
    FakeSocket.last.greet();
    FakeSocket.last.drop();
    expect((client.status.retryAt ?? 0) - Date.now()).toBe(2000);
  });

  it('is slower where the gateway asked for it', () => {
    // If this fails: refused pages keep knocking every second.
    const client = make({ random: () => 1 });
    listen(client, 'peers');
    FakeSocket.last.greet().drop(1008, 'policy');
    expect((client.status.retryAt ?? 0) - Date.now()).toBe(16_000);
  });

  it('stays away when told not to come back', () => {
    // If this fails: `reconnect: false` of the design document's hook does nothing.
    const client = make({ reconnect: false });
    listen(client, 'peers');
    FakeSocket.last.greet().drop();
    expect(client.status.state).toBe('disconnected');
    vi.advanceTimersByTime(120_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('calls nothing live for longer than a moment without a connection, and live again after it', () => {
    // If this fails: the page shows minutes-old figures as if they were current.
    const client = make({ random: () => 1 });
    const seen = listen(client, 'network_metrics');
    FakeSocket.last.greet().acknowledge().data('network_metrics', { tps: 1 }, 7);
    FakeSocket.last.drop();
    vi.advanceTimersByTime(900);
    expect(client.view('network_metrics').state).toBe('live');
    for (let attempt = 0; attempt < 4; attempt += 1) {
      vi.advanceTimersByTime(2000);
      if (FakeSocket.last.readyState === 0) {
        FakeSocket.last.drop();
      }
    }
    expect(client.view('network_metrics')).toMatchObject({ state: 'stale', data: { tps: 1 } });

    client.retry();
    FakeSocket.last.greet().acknowledge();
    const calls = seen.calls;
    FakeSocket.last.data('network_metrics', { tps: 1 }, 7);
    expect(client.view('network_metrics')).toMatchObject({ state: 'live', data: { tps: 1 } });
    expect(seen.calls).toBe(calls + 1);
  });

  it('drops what it remembers when the gateway lost its state', () => {
    // If this fails: after a fresh start of the gateway the page ignores its messages, because their seq is smaller.
    const client = make();
    let epochs = 0;
    client.onEpoch(() => {
      epochs += 1;
    });
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge().data('receipts', receipts('a'), 90);
    FakeSocket.last.drop();
    vi.advanceTimersByTime(1000);
    FakeSocket.last.greet({ epoch: 'e2' });
    expect(epochs).toBe(1);
    expect(client.view('receipts')).toMatchObject({ data: null, seq: null, entries: [], state: 'waiting' });
    expect(FakeSocket.last.subscriptions).toEqual(['receipts']);
    FakeSocket.last.acknowledge().data('receipts', receipts('z'), 1);
    expect(ids(client)).toEqual(['z']);
  });

  it('takes the epoch for the same when it is a number beyond 2^53', () => {
    // If this fails: two epochs that differ in the last digits look the same, or equal ones look different.
    const client = make();
    listen(client, 'receipts');
    const welcome = (epoch: string): string => `{"type":"welcome","epoch":${epoch},"available_streams":["receipts"]}`;
    FakeSocket.last.open().say(welcome('18446744073709551615'));
    expect(client.status.epoch).toBe('18446744073709551615');
    FakeSocket.last.data('receipts', receipts('a'), 4);
    FakeSocket.last.drop();
    vi.advanceTimersByTime(1000);
    FakeSocket.last.open().say(welcome('18446744073709551614'));
    expect(client.view('receipts').seq).toBeNull();
  });

  it('gives up on a handshake that nobody answers', () => {
    // If this fails: a black hole in the network leaves the page "connecting" for minutes.
    const client = make();
    listen(client, 'peers');
    vi.advanceTimersByTime(10_100);
    expect(client.status).toMatchObject({ state: 'reconnecting', error: 'no answer within 10 s' });
  });

  it('ignores a socket that it has already let go', () => {
    // If this fails: a late message of the old connection overwrites newer data.
    const client = make();
    listen(client, 'network_metrics');
    const old = FakeSocket.last.greet().acknowledge();
    const onmessage = old.onmessage;
    old.drop();
    vi.advanceTimersByTime(1000);
    FakeSocket.last.greet().acknowledge().data('network_metrics', { tps: 2 }, 9);
    onmessage?.(new MessageEvent('message', { data: '{"type":"network_metrics","data":{"tps":99},"seq":50}' }));
    expect(client.view('network_metrics').data).toEqual({ tps: 2 });
  });
});

describe('messages', () => {
  it('ignores a seq that it has or that is older', () => {
    // If this fails: figures jump back, or a receipt is listed twice.
    const client = make();
    const metrics = listen(client, 'network_metrics');
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge();
    FakeSocket.last.data('network_metrics', { tps: 2 }, 2).data('network_metrics', { tps: 1 }, 1);
    FakeSocket.last.data('network_metrics', { tps: 3 }, 2);
    expect(client.view('network_metrics').data).toEqual({ tps: 2 });
    expect(metrics.calls).toBe(1);

    FakeSocket.last.data('receipts', receipts('a'), 1).data('receipts', receipts('a'), 1).data('receipts', receipts('b'), 2);
    FakeSocket.last.data('receipts', receipts('a'), 1);
    expect(ids(client)).toEqual(['b', 'a']);
  });

  it('runs only the listeners of the stream that changed', () => {
    // If this fails: each message renders the whole page.
    const client = make();
    const metrics = listen(client, 'network_metrics');
    const peers = listen(client, 'peers');
    FakeSocket.last.greet().acknowledge();
    for (let seq = 1; seq <= 5; seq += 1) {
      FakeSocket.last.data('network_metrics', { tps: seq }, seq);
    }
    expect([metrics.calls, peers.calls]).toEqual([5, 0]);
  });

  it('applies merge patches, and asks for the full value when it lacks what they build on', () => {
    // If this fails: with deltas on, the page shows a mixture of old and new figures.
    const client = make();
    listen(client, 'network_metrics');
    FakeSocket.last.greet().acknowledge();
    expect(FakeSocket.last.sent[0]).toMatchObject({ delta: true });
    FakeSocket.last.data('network_metrics', { tps: 1, peers: { a: 1, b: 2 }, gone: 1 }, 1);
    const untouched = (client.view('network_metrics').data as { peers: unknown }).peers;
    FakeSocket.last.say({ type: 'network_metrics', delta: { tps: 2, gone: null }, base: 1, seq: 2, timestamp: 5 });
    expect(client.view('network_metrics')).toMatchObject({ data: { tps: 2, peers: { a: 1, b: 2 } }, seq: 2 });
    expect(client.view('network_metrics').data).not.toHaveProperty('gone');
    expect((client.view('network_metrics').data as { peers: unknown }).peers).toBe(untouched);

    FakeSocket.last.sent.length = 0;
    FakeSocket.last.say({ type: 'network_metrics', delta: { tps: 4 }, base: 3, seq: 4, timestamp: 6 });
    expect(client.view('network_metrics').data).toMatchObject({ tps: 2 });
    expect(FakeSocket.last.sent.map(({ type }) => type)).toEqual(['unsubscribe', 'subscribe']);

    // What comes before the answer is of no use; the full value after it is.
    FakeSocket.last.say({ type: 'network_metrics', delta: { tps: 5 }, base: 4, seq: 5, timestamp: 7 });
    FakeSocket.last.acknowledge().data('network_metrics', { tps: 5 }, 5);
    expect(client.view('network_metrics')).toMatchObject({ data: { tps: 5 }, seq: 5, state: 'live' });
    FakeSocket.last.say({ type: 'network_metrics', delta: { tps: 6 }, base: 5, seq: 6, timestamp: 8 });
    expect(client.view('network_metrics').data).toEqual({ tps: 6 });
  });

  it('takes several batches in one message, and marks a gap where entries are no longer kept', () => {
    // If this fails: a hole in the list of receipts is shown as if nothing were missing.
    const client = make();
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge().data('receipts', receipts('a'), 1).data('receipts', receipts('b', 'c', 'd'), 4);
    expect(client.view('receipts').gap).toBeNull();
    FakeSocket.last.data('receipts', receipts('x', 'y'), 50, { gap: { since: 4, oldest: 49 } });
    expect(ids(client)).toEqual(['y', 'x', 'd', 'c', 'b', 'a']);
    expect(client.view('receipts').gap).toEqual({ since: 4, oldest: 49 });
    expect(client.view('receipts').entries.map(({ gap }) => gap !== null)).toEqual([false, true, false, false, false, false]);
  });

  it('keeps a bounded number of entries', () => {
    // If this fails: a tab that is open for days eats the memory of the machine.
    const client = make({ maxEntries: 100 });
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge();
    for (let seq = 1; seq <= 50; seq += 1) {
      FakeSocket.last.data('receipts', receipts(...Array.from({ length: 10 }, (_, index) => seq * 10 + index)), seq);
    }
    expect(client.view('receipts').entries).toHaveLength(100);
    expect(client.view('receipts').received).toBe(500);
    expect(ids(client)[0]).toBe(509);
    expect(new Set(client.view('receipts').entries.map(({ key }) => key)).size).toBe(100);
  });

  it('keeps fewer entries of those that come by and by than of those that the gateway has', () => {
    // If this fails: a tab grows for hours, or shows less of the log than the gateway keeps.
    const client = make({ maxEntries: 100, keepEntries: 20 });
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge();
    const batch = (from: number, count: number): unknown => receipts(...Array.from({ length: count }, (_, index) => from + index));
    const kept = (): number => client.view('receipts').entries.length;
    for (let seq = 1; seq <= 30; seq += 1) {
      FakeSocket.last.data('receipts', batch(seq * 10, 10), seq);
    }
    expect(kept()).toBe(20);
    FakeSocket.last.data('receipts', batch(1000, 50), 31);
    expect(kept()).toBe(50);
    FakeSocket.last.data('receipts', batch(2000, 10), 32);
    expect(kept()).toBe(50);
    expect(ids(client)[0]).toBe(2009);
    FakeSocket.last.data('receipts', batch(3000, 500), 33);
    expect(kept()).toBe(100);
  });

  it('shows what the gateway says of the node, and keeps the last good data', () => {
    // If this fails: a dead node looks alive, or its figures turn into zeros.
    const client = make();
    listen(client, 'network_metrics');
    FakeSocket.last.greet().acknowledge();
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'waiting', age: null });
    expect(client.view('network_metrics')).toMatchObject({ state: 'waiting', data: null });
    FakeSocket.last.data('network_metrics', { tps: 1 }, 1);
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 12.5, error: 'connection refused' });
    expect(client.view('network_metrics')).toMatchObject({ state: 'stale', data: { tps: 1 }, error: 'connection refused' });
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'live', age: 0.1, error: null });
    expect(client.view('network_metrics')).toMatchObject({ state: 'live', error: null });
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'stale', error: { code: -32002, message: 'banned' } });
    expect(client.view('network_metrics').error).toBe('banned (-32002)');
  });

  it('believes a stale status right after a subscribe more than the snapshot before it', () => {
    // If this fails: a page opened while the node is down shows old data as live.
    const client = make();
    listen(client, 'network_metrics');
    FakeSocket.last.greet().acknowledge();
    FakeSocket.last.data('network_metrics', { tps: 1 }, 1, { timestamp: 1_699_990_000 });
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 10_000, error: 'down' });
    expect(client.view('network_metrics')).toMatchObject({ state: 'stale', error: 'down', timestamp: 1_699_990_000 });
  });

  it('tells the age by the clock of the gateway', () => {
    // If this fails: a visitor whose clock is wrong sees fresh data as hours old, or old data as fresh.
    const client = make();
    listen(client, 'network_metrics');
    const gateway = Date.now() / 1000 - 3600;
    FakeSocket.last.greet({ timestamp: gateway }).acknowledge();
    FakeSocket.last.data('network_metrics', { tps: 1 }, 1, { timestamp: gateway - 4 });
    vi.advanceTimersByTime(1000);
    expect(client.now() - (client.view('network_metrics').timestamp ?? 0)).toBeCloseTo(5, 1);
  });
});

describe('signs of life', () => {
  it('pings after silence and leaves a connection that does not answer', () => {
    // If this fails: a connection that died without a word leaves the page frozen for ever.
    const client = make();
    listen(client, 'peers');
    const socket = FakeSocket.last.greet().acknowledge();
    vi.advanceTimersByTime(15_100);
    expect(socket.sent.at(-1)).toEqual({ type: 'ping' });
    socket.say({ type: 'pong', timestamp: Date.now() / 1000 });
    vi.advanceTimersByTime(15_100);
    expect(client.status.connected).toBe(true);
    expect(socket.sent.filter(({ type }) => type === 'ping')).toHaveLength(2);
    vi.advanceTimersByTime(5100);
    expect(client.status).toMatchObject({ connected: false });
    expect(client.status.error).toContain('no sign of life');
  });

  it('does not ping while data comes', () => {
    // If this fails: every page asks for answers that nobody needs.
    const client = make();
    listen(client, 'network_metrics');
    const socket = FakeSocket.last.greet().acknowledge();
    for (let seq = 1; seq <= 60; seq += 1) {
      vi.advanceTimersByTime(2000);
      socket.data('network_metrics', { tps: seq }, seq);
    }
    expect(socket.sent.filter(({ type }) => type === 'ping')).toHaveLength(0);
    expect(client.status.connected).toBe(true);
  });

  it('lets go when the tab is hidden for long, and is back at once when it is shown', () => {
    // If this fails: forgotten tabs keep the node polled for ever, or a shown one stays empty.
    const client = make();
    listen(client, 'receipts');
    FakeSocket.last.greet().acknowledge().data('receipts', receipts('a'), 2);
    setHidden(true);
    for (let second = 0; second < 310; second += 10) {
      expect(client.status.connected).toBe(second < 300);
      vi.advanceTimersByTime(10_000);
      FakeSocket.last.say({ type: 'pong' });
    }
    expect(client.status.state).toBe('paused');
    expect(client.view('receipts').state).toBe('stale');

    const before = FakeSocket.all.length;
    setHidden(false);
    expect(FakeSocket.all).toHaveLength(before + 1);
    FakeSocket.last.greet();
    expect(FakeSocket.last.subscriptions).toEqual(['receipts@2']);
  });

  it('does not wait when the network is back, or the tab is shown', () => {
    // If this fails: after the train left the tunnel the page waits another half minute.
    const client = make({ random: () => 1 });
    listen(client, 'peers');
    for (let attempt = 0; attempt < 6; attempt += 1) {
      FakeSocket.last.drop();
      vi.advanceTimersByTime(30_000);
    }
    FakeSocket.last.drop();
    const before = FakeSocket.all.length;
    window.dispatchEvent(new Event('offline'));
    expect(client.status.online).toBe(false);
    window.dispatchEvent(new Event('online'));
    expect(client.status.online).toBe(true);
    expect(FakeSocket.all).toHaveLength(before + 1);
  });

  it('asks whether the connection still lives when the browser says it is offline', () => {
    // If this fails: a page of a gateway on the same machine goes dark with the Wi-Fi, or a dead one stays green.
    const client = make();
    listen(client, 'peers');
    const socket = FakeSocket.last.greet();
    window.dispatchEvent(new Event('offline'));
    expect(socket.sent.at(-1)).toEqual({ type: 'ping' });
    socket.say({ type: 'pong' });
    vi.advanceTimersByTime(6000);
    expect(client.status.connected).toBe(true);
  });
});
