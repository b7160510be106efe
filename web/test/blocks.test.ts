import { describe, expect, it } from 'vitest';
import type { Event } from '../src/app/events';
import type { LogEntry } from '../src/client';
import { annotate, expect as expectNext, fromHeight, fromLog, histogram, levels, isBehind, lagAfter } from '../src/panels/blocks';

const CONFIG = { panel: 'blocks', stream: 'blocks', used: { field: 'gas_used', of: 'gas_limit' }, count: { field: 'tx_count' }, colour: { field: 'base_fee' } } as const;

/** Entries as the client has them: the newest first. */
const log = (...values: Record<string, unknown>[]): LogEntry[] => values.map((value, index) => ({ key: 1000 - index, value, seq: 1, receivedAt: 0, gap: null }));
const block = (number: number, more: object = {}): Record<string, unknown> => ({ number, hash: `0x${number}`, timestamp: 1000 + number * 12, gas_used: 15, gas_limit: 30, tx_count: 7, base_fee: number, ...more });

describe('the ribbon of blocks', () => {
  it('has the newest first, how full they are, and the time between', () => {
    // If this fails: blocks stand in the wrong order, or all look alike.
    const blocks = annotate(fromLog(log(block(3), block(2), block(1)), CONFIG), []);
    expect(blocks.map(({ number, used, count, after }) => [number, used, count, after])).toEqual([
      [3, 0.5, 7, 12],
      [2, 0.5, 7, 12],
      [1, 0.5, 7, null],
    ]);
  });

  it('leaves out blocks that were replaced, and says how many', () => {
    // If this fails: after a reorganisation two blocks of one number stand side by side, and nobody is told.
    const blocks = fromLog(log(block(4), block(3, { hash: '0x3b' }), block(2, { hash: '0x2b' }), block(3), block(2), block(1)), CONFIG);
    expect(blocks.map(({ number, key, replaced }) => [number, key, replaced])).toEqual([
      [4, '0x4', 0],
      [3, '0x3b', 0],
      [2, '0x2b', 2],
      [1, '0x1', 0],
    ]);
  });

  it('puts blocks of one second one after the other', () => {
    // If this fails: a chain of two blocks a second has half of them at once, and the rest after a second.
    const blocks = annotate(fromLog(log(...[5, 4, 3, 2, 1].map((number) => block(number, { timestamp: 1000 + Math.floor(number / 2) }))), CONFIG), []);
    expect(blocks.map(({ number, time, after }) => [number, time, after])).toEqual([
      [5, 1002.5, 0.5],
      [4, 1002, 0.5],
      [3, 1001.5, 0.5],
      [2, 1001, 1],
      [1, 1000, null],
    ]);
  });

  it('is as full as the number says that a block holds', () => {
    expect(fromLog(log(block(1, { gas_used: 15 })), { ...CONFIG, used: { field: 'gas_used', of: 60 } })[0]?.used).toBe(0.25);
  });

  it('says where some are missing, and counts no time across the hole', () => {
    const blocks = annotate(fromLog(log(block(9), block(8), block(4), block(3)), CONFIG), []);
    expect(blocks.map(({ missing, after }) => [missing, after])).toEqual([
      [0, 12],
      [3, null],
      [0, 12],
      [0, null],
    ]);
  });

  it('marks a block that took long, and what happened before it', () => {
    // If this fails: a stall of five minutes is a line like any other.
    const late = annotate(fromLog(log(block(9, { timestamp: 1300 }), ...[8, 7, 6, 5].map((number) => block(number))), CONFIG), [
      { kind: 'node', time: 1200, end: 1250, open: false, stream: null, text: 'The node did not answer' },
      { kind: 'note', time: 1201, end: null, open: false, stream: null, text: 'of no matter here' },
    ] satisfies Event[]);
    expect(late.map((one) => one.late)).toEqual([true, false, false, false, false]);
    expect(late[0]?.events.map(({ text }) => text)).toEqual(['The node did not answer']);
  });

  it('is made of the height alone, and of what a log says of each block', () => {
    // If this fails: The Block, which publishes no blocks, has no ribbon.
    const series = { times: [100, 102, 104, 106], values: new Map([['block_height', [10, 11, 11, 13] as (number | null)[]]]) };
    const config = { panel: 'blocks', stream: 'network_metrics', number: 'block_height', entries: { stream: 'receipts', number: 'block_height', group: 'market' } } as const;
    const blocks = annotate(
      fromHeight(
        series,
        config,
        log({ block_height: 13, market: 'ads' }, { block_height: 13, market: 'compute' }, { block_height: 13, market: 'compute' }, { block_height: 11, market: 'energy' }),
      ),
      [],
    );
    expect(blocks.map(({ number, time, count, used }) => [number, time, count, used])).toEqual([
      [13, 106, 3, 1],
      [12, 104, 0, 0],
      [11, 102, 1, 1 / 3],
    ]);
    expect(blocks[0]?.groups).toEqual([
      { name: 'compute', count: 2 },
      { name: 'ads', count: 1 },
    ]);
    // A chain that became shorter has no blocks above its height.
    const shorter = fromHeight({ times: [1, 2, 3], values: new Map([['block_height', [10, 12, 11]]]) }, config, []);
    expect(shorter.map(({ number }) => number)).toEqual([11]);
    expect(fromHeight({ times: [], values: new Map() }, config, [])).toEqual([]);
  });

  it('stands whatever the entries are', () => {
    // If this fails: one odd block blanks the panel.
    expect(fromLog(log({}, { number: null }, { number: 'x' }, { number: 5 }, { number: '6', timestamp: null }), CONFIG).map(({ number }) => number)).toEqual([5]);
    expect(fromLog(log(block(2, { gas_limit: 0 }), block(1, { gas_used: null })), CONFIG).map(({ used }) => used)).toEqual([null, null]);
  });
});

describe('what to expect of the next block', () => {
  it('is what the last ones took', () => {
    const blocks = annotate(fromLog(log(...Array.from({ length: 30 }, (_, index) => block(100 - index))), CONFIG), []);
    expect(expectNext(blocks)).toMatchObject({ mean: 12, median: 12, slow: 12 });
    expect(expectNext(blocks.slice(0, 2))).toBeNull();
    expect(expectNext([], 600)).toMatchObject({ mean: 600 });
  });

  it('is a histogram that counts each block once, the slow ones at its end', () => {
    // If this fails: one block of ten minutes presses all others into one bar.
    const bins = histogram([...Array.from({ length: 97 }, (_, index) => 1 + (index % 3)), 600, 700, 800]);
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(100);
    expect(bins.at(-1)?.to).toBeLessThan(10);
    expect(bins.at(-1)?.count).toBeGreaterThanOrEqual(3);
    expect(histogram([])).toEqual([]);
    expect(histogram([0, 0, 0]).reduce((sum, { count }) => sum + count, 0)).toBe(3);
  });

  it('colours by where a value is among those shown', () => {
    const level = levels([10, 20, 30, 40, 60]);
    expect([10, 20, 35, 60, null].map(level)).toEqual([0, 1, 2, 4, null]);
    expect(levels([5, 5, 5])(5)).toBe(2);
  });
});

describe('blocks that are old when they come', () => {
  // If these fail: a page that fetches the last half hour shows it as if it were now, or calls a chain late that has caught up.
  it('are told from those of now, on fast chains and slow ones', () => {
    expect(isBehind(null, 0.4)).toBe(false);
    expect(isBehind(13, 0.4)).toBe(false);
    expect(isBehind(1800, 0.4)).toBe(true);
    expect(isBehind(1800, 600)).toBe(false);
    expect(isBehind(7200, 600)).toBe(true);
  });

  it('are forgotten when the page has caught up', () => {
    let lag: number | null = null;
    for (const age of [1800, 1780, 1760]) {
      lag = lagAfter(lag, age);
    }
    expect(lag).toBeGreaterThan(1700);
    expect(lagAfter(lag, 13)).toBe(13);
    expect(lagAfter(13, 17)).toBe(14);
  });
});
