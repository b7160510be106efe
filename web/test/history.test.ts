import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { History } from '../src/app/history';
import { StreamClient } from '../src/client/StreamClient';
import { readHistory } from '../src/app/historyDocument';
import { thin } from '../src/charts/course';
import { FakeSocket } from '../src/testing/FakeSocket';

let client: StreamClient;
let now = 1_700_000_000;

beforeEach(() => {
  vi.useFakeTimers({ now: now * 1000 });
  client = new StreamClient({ url: 'ws://gateway/ws', rest: false, random: () => 0 });
});

afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
});

function start(): History {
  const history = new History(client);
  history.subscribe('network_metrics', () => {});
  FakeSocket.last.greet().acknowledge();
  return history;
}

let seq = 0;
function point(tps: number | null, step = 2): void {
  now = Date.now() / 1000 + step;
  vi.setSystemTime(now * 1000);
  seq += 1;
  FakeSocket.last.data('network_metrics', { tps, block_height: seq }, seq);
}

const column = (history: History, name = 'tps'): (number | null)[] => [...(history.read('network_metrics').values.get(name) ?? [])];

describe('History', () => {
  it('remembers each number, and a value that was not reported as a hole', () => {
    // If this fails: the lines beside the figures are missing, or drop to zero where the node said nothing.
    const history = start();
    [400, 410, null, 420].forEach((tps) => point(tps));
    expect(column(history)).toEqual([400, 410, null, 420]);
    expect(column(history, 'block_height')).toHaveLength(4);
  });

  it('draws no line across the time in which the node or the connection was away', () => {
    // If this fails: an outage of ten minutes looks like ten minutes of steady operation.
    const history = start();
    [400, 410].forEach((tps) => point(tps));
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 5, error: 'down' });
    point(500, 600);
    expect(column(history)).toEqual([400, 410, null, 500]);

    FakeSocket.last.drop();
    vi.advanceTimersByTime(1);
    FakeSocket.last.greet().acknowledge();
    point(510, 60);
    expect(column(history)).toEqual([400, 410, null, 500, null, 510]);
  });

  it('keeps the line whole over a reload of the gateway', () => {
    // If this fails: each deploy of the gateway leaves holes in everybody's charts.
    const history = start();
    [400, 410].forEach((tps) => point(tps));
    FakeSocket.last.drop(1012);
    vi.advanceTimersByTime(1);
    FakeSocket.last.greet().acknowledge();
    point(420, 2);
    expect(column(history)).toEqual([400, 410, 420]);
  });

  it('holds a value that did not change, instead of drawing a slope to the next one', () => {
    // If this fails: a quiet minute followed by a jump looks like a steady climb.
    const history = start();
    [400, 400, 401].forEach((tps) => point(tps));
    point(900, 60);
    expect(column(history)).toEqual([400, 400, 401, 401, 900]);
    const { times } = history.read('network_metrics');
    expect((times.at(-1) ?? 0) - (times.at(-2) ?? 0)).toBeCloseTo(2, 3);
  });

  it('survives a reload of the page, with a gap for the time between', () => {
    // If this fails: F5 empties every chart, or joins two visits with a line.
    const history = start();
    [400, 410].forEach((tps) => point(tps));
    history.save();

    client = new StreamClient({ url: 'ws://gateway/ws', rest: false });
    const again = new History(client);
    expect(column(again)).toEqual([400, 410]);
    again.subscribe('network_metrics', () => {});
    FakeSocket.last.greet().acknowledge();
    point(700, 120);
    expect(column(again)).toEqual([400, 410, null, 700]);
  });

  it('forgets the history of a gateway that lost its state, and of another gateway', () => {
    // If this fails: figures of two networks are drawn as one line.
    const history = start();
    point(400);
    history.save();
    FakeSocket.last.drop();
    vi.advanceTimersByTime(1);
    FakeSocket.last.greet({ epoch: 'another' });
    expect(column(history)).toEqual([]);

    client = new StreamClient({ url: 'ws://elsewhere/ws', rest: false });
    expect(column(new History(client))).toEqual([]);
  });

  it('ignores what something else has left in the storage', () => {
    // If this fails: one damaged entry keeps the page from starting.
    for (const junk of ['', 'x', '7', '{"url":"ws://gateway/ws","streams":{"a":{"times":[1],"columns":{"b":[1,2]}}}}', '{"url":"ws://gateway/ws","streams":[]}']) {
      sessionStorage.setItem('blockcast.history', junk);
      expect(() => new History(client)).not.toThrow();
    }
  });

  it('stays bounded', () => {
    // If this fails: a wall screen runs out of memory after some days.
    const history = start();
    for (let index = 0; index < 4000; index += 1) {
      point(index);
    }
    expect(column(history).length).toBeLessThanOrEqual(1900);
    expect(column(history).at(-1)).toBe(3999);
    expect(history.read('network_metrics').times).toHaveLength(column(history).length);
  });
});

describe('thin', () => {
  it('keeps holes and bounds the number of points', () => {
    // If this fails: the chart of an hour is slow, or hides an outage.
    const times = Array.from({ length: 1800 }, (_, index) => index * 2);
    const values = new Map([['tps', times.map((_, index) => (index > 800 && index < 900 ? null : index))]]);
    const drawn = thin({ times, values }, ['tps'], 0);
    expect(drawn.times.length).toBeLessThanOrEqual(481);
    expect(drawn.times.length).toBeGreaterThan(300);
    expect(drawn.lines[0]).toHaveLength(drawn.times.length);
    expect(drawn.lines[0]?.some((value) => value === null)).toBe(true);
    expect(drawn.times.at(-1)).toBe(3598);
    expect(thin({ times, values }, ['tps'], 3590).times).toHaveLength(6);
    expect(thin({ times, values }, ['unknown'], 3590).lines[0]?.every((value) => value === null)).toBe(true);
  });
});

describe('the history of the gateway', () => {
  const document = (mean: (number | null)[], from = 1_700_000_000, step = 5): unknown => ({ stream: 'network_metrics', now: from + mean.length * step, step, from, series: { tps: { min: mean, mean, max: mean } } });

  it('is there with the first paint, before what comes', async () => {
    // If this fails: the first visitor of the day sees one dot at the right of an empty chart.
    vi.setSystemTime((now = 1_700_001_000) * 1000);
    client.history = () => Promise.resolve(document([1, 2, 3], now - 15) as never);
    const history = start();
    await vi.advanceTimersByTimeAsync(1);
    FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 28, error: null });
    point(4, 20);
    expect(column(history)).toEqual([1, 2, 3, 4]);
    expect(history.read('network_metrics').times.slice(0, 3)).toEqual([1_700_000_987.5, 1_700_000_992.5, 1_700_000_997.5]);
  });

  it('finds the gateway’s names for members of members', async () => {
    // If this fails: the markets' lines start empty, though the gateway has their course.
    vi.setSystemTime((now = 1_700_003_000) * 1000);
    const kept = document([1, 2, 3], now - 15) as { series: Record<string, unknown> };
    kept.series = { compute_active_jobs: kept.series.tps };
    client.history = () => Promise.resolve(kept as never);
    const history = start();
    await vi.advanceTimersByTimeAsync(1);
    vi.setSystemTime((now += 2) * 1000);
    FakeSocket.last.data('network_metrics', { markets: { compute: { active_jobs: 4 } } }, (seq += 1));
    expect(column(history, 'markets.compute.active_jobs')).toEqual([1, 2, 3, 4]);
    expect([...history.read('network_metrics').values.keys()]).toEqual(['markets.compute.active_jobs']);
    history.merge('network_metrics', readHistory({ ...kept, from: now - 5 }) as never);
    expect(column(history, 'markets.compute.active_jobs')).toEqual([1, 2, 3]);
  });

  it('fills what this page missed, and leaves what the gateway did not keep', async () => {
    // If this fails: after a laptop's lid was closed for ten minutes the chart has a hole that the gateway could fill.
    vi.setSystemTime((now = 1_700_002_000) * 1000);
    let kept: (number | null)[] | null = null;
    client.history = () => Promise.resolve(kept === null ? null : (document(kept, 1_700_002_000) as never));
    const history = start();
    await vi.advanceTimersByTimeAsync(1);
    point(10, 5);
    history.clear();
    point(11, 5);
    kept = Array.from({ length: 24 }, (_, index) => index);
    const course = readHistory(document(kept, 1_700_002_000));
    history.merge('network_metrics', course as NonNullable<typeof course>);
    expect(column(history)).toEqual(kept);
    // What the gateway keeps no course of is what the page saw.
    expect(column(history, 'block_height').filter((value) => value !== null).length).toBeGreaterThan(0);
  });

  it('has holes where nothing was known, and none where nobody asked often', () => {
    // If this fails: an outage is drawn over, or an hour without listeners is a row of dots.
    const seldom = readHistory(document([1, null, null, null, 2, null, null, null, 3, null, null, null, 4, 5, 6, 7]));
    expect(seldom?.mean.get('tps')).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const outage = readHistory(document([1, 2, 3, 4, 5, null, null, null, null, null, null, 6, 7, 8, 9]));
    expect(outage?.mean.get('tps')).toEqual([1, 2, 3, 4, 5, null, 6, 7, 8, 9]);
    expect(readHistory(document([null, null]))?.times).toEqual([]);
    for (const junk of [null, 7, {}, { series: {} }, { series: { a: 1 }, step: 0, from: 1 }, { series: { a: { mean: 'x' } }, step: 5, from: 1 }]) {
      expect(readHistory(junk)?.times ?? []).toEqual([]);
    }
  });

  it('is not asked for where the gateway keeps none', async () => {
    // If this fails: each visit fills the console and the log with 404s.
    const asked: string[] = [];
    const rows = [{ name: 'a', kind: 'snapshot', history: { ranges: ['1h'], series: ['x'] } }, { name: 'b', kind: 'snapshot', history: null }, { name: 'c', kind: 'snapshot' }];
    const rest = new StreamClient({
      url: 'ws://gateway/ws',
      fetch: ((url: string) => {
        asked.push(url);
        const body = url.endsWith('/streams') ? { epoch: 1, streams: rows } : document([1]);
        return Promise.resolve({ ok: true, status: 200, text: () => Promise.resolve(JSON.stringify(body)), headers: { get: () => null } });
      }) as never,
    });
    expect(await rest.history('b')).toBeNull();
    expect(await rest.history('c')).toBeNull();
    expect(await rest.history('a', '24h')).toBeNull();
    expect((await rest.history('a'))?.step).toBe(5);
    expect(asked).toEqual(['http://gateway/api/streams', 'http://gateway/api/streams/a/history?range=1h']);
  });
});
