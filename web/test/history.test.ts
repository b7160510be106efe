import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { History } from '../src/app/history';
import { StreamClient } from '../src/client/StreamClient';
import { thin } from '../src/charts/HistoryChart';
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
    const rows = thin({ times, values }, ['tps'], 0);
    expect(rows.length).toBeLessThanOrEqual(361);
    expect(rows.some(({ tps }) => tps === null)).toBe(true);
    expect(rows.at(-1)?.time).toBe(3598);
    expect(thin({ times, values }, ['tps'], 3590)).toHaveLength(6);
    expect(thin({ times, values }, ['unknown'], 3590).every((row) => row.unknown === null)).toBe(true);
  });
});
