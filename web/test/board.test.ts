import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { autoBoard } from '../src/board/auto';
import { checkBoard, panelId } from '../src/board/check.js';
import { behind, compute, nextBaseFee, seconds, until } from '../src/board/compute';
import { forgetBoard, loadBoard, parseBoard } from '../src/board/load';
import type { Board, NumberConfig } from '../src/board/types';
import { coin, guess, resolve, say, write } from '../src/board/values';
import type { LogEntry } from '../src/client';

const PRESETS = join(process.cwd(), '../conf/presets');
const entries = (...values: Record<string, unknown>[]): LogEntry[] => values.map((value, index) => ({ key: values.length - index, value, seq: 1, receivedAt: 0, gap: null }));

afterEach(() => {
  vi.useRealTimers();
});

describe('what a dashboard.json may say', () => {
  it('is said by each one that comes with a preset, and each preset has one', () => {
    // If this fails: an operator of one chain gets the bare page, with a list of mistakes that are not theirs.
    const files = readdirSync(PRESETS);
    const presets = files.filter((name) => name.endsWith('.conf')).map((name) => name.replace('.conf', ''));
    expect(presets.length).toBeGreaterThan(5);
    for (const preset of presets) {
      const board = JSON.parse(readFileSync(join(PRESETS, `${preset}.dashboard.json`), 'utf8')) as Board;
      expect(checkBoard(board), preset).toEqual([]);
      // A stream that the preset does not have would be an empty panel for ever.
      const conf = [`${preset}.conf`, `${preset}-keys.inc`]
        .filter((name) => files.includes(name))
        .map((name) => readFileSync(join(PRESETS, name), 'utf8'))
        .join('\n');
      const streams = [...conf.matchAll(/^blockcast_stream +(\S+)/gm)].map(([, name]) => name);
      for (const [, stream] of JSON.stringify(board).matchAll(/"(?:stream|of)":"([a-z_]+)"/g)) {
        expect(stream === 'gas_limit' || streams.includes(stream), `${preset} has ${stream}`).toBe(true);
      }
    }
  });

  it('is named when it is wrong, with the place and what would be right', () => {
    // If this fails: an operator looks for a typing mistake in two hundred lines.
    const panel = (more: object): unknown => ({ panels: [{ panel: 'numbers', stream: 'a', ...more }] });
    expect(checkBoard(7)).toEqual(['the file must hold a JSON object with "panels"']);
    expect(checkBoard({ panels: [] })).toEqual(['"panels" must be a list with at least one panel']);
    expect(checkBoard({ panels: [{ panel: 'graph' }] })).toEqual([expect.stringMatching(/^panels\[0\]\.panel is "graph", and must be one of blocks, numbers, /)]);
    expect(checkBoard(panel({ numbres: [] }))).toEqual(['panels[0].numbres is not known; did you mean "numbers"?']);
    expect(checkBoard(panel({ numbers: [{ field: 'x', as: 'wei' }] }))).toEqual([expect.stringMatching(/^panels\[0\]\.numbers\[0\]\.as is "wei", and must be one of number, /)]);
    expect(checkBoard(panel({ numbers: [{ title: 'X' }] }))).toEqual(['panels[0].numbers[0] has neither "field" nor "compute"']);
    expect(checkBoard(panel({ numbers: {} }))).toEqual(['panels[0].numbers is {}, and must be a list']);
    expect(checkBoard(panel({ columns: 13 }))).toEqual(['panels[0].columns is 13, and the page has 12 columns']);
    expect(checkBoard(panel({ columns: '4' }))).toEqual(['panels[0].columns is "4", and must be a whole number from 1']);
    expect(checkBoard({ panels: [{ panel: 'chart' }] })).toEqual(['panels[0] (chart) names no "stream"']);
    expect(checkBoard({ panels: [{ panel: 'gateway' }, { panel: 'gateway' }] })).toEqual(['panels[1] and panels[0] are both called "gateway": give one of them another "id"']);
    expect(checkBoard({ panels: [{ panel: 'table', stream: 'a', fields: [{ field: 'x', as: 'name', names: { 1: 2 } }] }] })).toEqual([
      'panels[0].fields[0].names is {"1":2}, and must be an object of texts',
    ]);
    for (const junk of [null, [], 'x', { panels: 3 }, { panels: [null] }, { panels: [{}] }, { panels: [{ panel: '__proto__' }] }, { panels: [{ panel: 'numbers', stream: 'a', numbers: [null] }] }]) {
      expect(checkBoard(junk).length).toBeGreaterThan(0);
    }
  });

  it('is loaded, and its mistakes are kept for the page to show', () => {
    expect(parseBoard('{"panels":').problems[0]).toMatch(/^it is no JSON: /);
    expect(parseBoard('{"panels":[{"panel":"gateway"}]}')).toMatchObject({ state: 'ready', problems: [] });
    expect(parseBoard('{}')).toMatchObject({ state: 'none', problems: [] });
    expect(parseBoard('{"panels":[{"panel":"gate"}]}')).toMatchObject({ state: 'wrong', board: null });
  });

  it('is not waited for when it does not come', async () => {
    // If this fails: behind another nginx.conf, or with a gateway that hangs, the page stays white.
    vi.useFakeTimers();
    forgetBoard();
    const fetcher = vi.fn(() => new Promise<Response>(() => {}));
    loadBoard(fetcher as never);
    loadBoard(fetcher as never);
    expect(fetcher).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(2600);
    forgetBoard();
    loadBoard((() => Promise.resolve({ ok: true, headers: { get: () => 'text/html' }, text: () => Promise.resolve('<html>') })) as never);
    await vi.advanceTimersByTimeAsync(1);
  });

  it('is made of the streams where there is none', () => {
    // If this fails: an older installation, or an own nginx.conf, has an empty page.
    const board = autoBoard(['network_metrics', 'markets_health', 'receipts', 'operations', 'peers', 'blocks']);
    expect(checkBoard(board)).toEqual([]);
    expect(board.panels.map(panelId)).toEqual(['strength', 'metrics', 'markets', 'history', 'receipts', 'peers', 'blocks', 'block-list', 'gateway', 'events']);
    expect(autoBoard([]).panels).toEqual([]);
  });
});

describe('values', () => {
  it('are in the unit that people count in, with every digit at hand', () => {
    // If this fails: an amount is off by a power of ten, or rounded where someone copies it.
    const ether = { as: 'coin', decimals: 18, unit: 'ETH' } as const;
    expect(write('1500000000000000000', ether)).toEqual({ text: '1.5', unit: 'ETH', whole: null });
    expect(write('123456789012345678901234567', ether)).toEqual({ text: '123,456,789.01', unit: 'ETH', whole: '123,456,789.012345678901234567 ETH' });
    expect(write(21_000_000_000_000, ether)?.text).toBe('0.000021');
    expect(write(1, ether)).toEqual({ text: '1', unit: 'wei', whole: '0.000000000000000001 ETH' });
    expect(write(250_000_000, ether)).toEqual({ text: '0.25', unit: 'gwei', whole: '0.00000000025 ETH' });
    expect(write(7, { as: 'coin', decimals: 9, unit: 'gwei' })).toEqual({ text: '7', unit: 'wei', whole: '0.000000007 gwei' });
    expect(say(1_000_000, { as: 'coin', decimals: 9, unit: 'gwei' })).toBe('0.001 gwei');
    expect(write(1, { as: 'coin', decimals: 18, unit: 'XYZ' })).toMatchObject({ text: '1.0·10⁻¹⁸', whole: '0.000000000000000001 XYZ' });
    expect(write(0, ether)?.text).toBe('0');
    expect(coin(-1_500_000_000, 9).text).toBe('−1.5');
    expect(coin(18_446_744_073_709_551_615n, 0)).toEqual({ text: '18,446,744,073,709,551,615', whole: '18,446,744,073,709,551,615' });
    expect(say(14_200_000_000, { as: 'coin', decimals: 9, unit: 'gwei' })).toBe('14.2 gwei');
    expect(say(0.5, { as: 'percent' })).toBe('50.0%');
    expect(say(null)).toBe('not reported');
    expect(say(1, { as: 'status', names: { 1: 'Success' } })).toBe('Success');
    expect(say(0, { as: 'status' })).toBe('Failed');
    expect(say('0xa9059cbb', { as: 'name', names: { '0xa9059cbb': 'transfer' } })).toBe('transfer');
    expect(say(2048, { as: 'rate' })).toBe('2.00 KiB/s');
  });

  it('are as large as people count them, in the coin that the node names', () => {
    // If this fails: a price by 1,000 bytes passes for one by byte, or DOT for its smallest part.
    expect(say(0.00012345, { times: 100_000, unit: 'sat/vB', digits: 1 })).toBe('12.3 sat/vB');
    expect(say(null, { times: 100_000, unit: 'sat/vB' })).toBe('not reported');
    const issuance = { as: 'coin', decimals: 'decimals', unit: '.token', digits: 0 } as const;
    expect(say('15432109876543210987', resolve(issuance, { decimals: 10, token: 'DOT' }))).toBe('1,543,210,987 DOT');
    expect(say('15432', resolve(issuance, { decimals: null, token: null }))).toBe('15,432');
    expect(say(90, { as: 'seconds' })).toBe('90 s');
    expect(say(600, { as: 'seconds' })).toBe('10.0 min');
  });

  it('are written by their name and kind where nobody said how', () => {
    // If this fails: a stream of one's own shows raw wei, a date as a number, or a hash that fills the row.
    expect(say(15_700_000_000, {}, 'gas_price')).toBe('15.7 gwei');
    expect(['timestamp', 'size', 'latency_ms', 'height', 'chain_id', 'tps'].map((name) => guess(name, 1_700_000_000))).toEqual(['time', 'bytes', 'ms', 'exact', 'exact', 'number']);
    expect(guess('hash', '0xabc')).toBe('hash');
    expect(guess('amount', '18446744073709551615')).toBe('exact');
    expect(guess('syncing', false)).toBe('yesno');
  });
});

describe('figures made of several blocks', () => {
  const blocks = entries(
    { timestamp: 1030, tx_count: 30, base_fee: 200, gas_used: 10, gas_limit: 40 },
    { timestamp: 1020, tx_count: 20, base_fee: 100, gas_used: 30, gas_limit: 40 },
    { timestamp: 1000, tx_count: 99, base_fee: 100, gas_used: 20, gas_limit: 40 },
  );
  const value = (config: NumberConfig, list = blocks): number | bigint | null => compute(config, list).value;

  it('are what one would make of them by hand', () => {
    // If this fails: transactions per second are doubled, or the burn is another.
    expect(value({ compute: 'rate', field: 'tx_count' })).toBeCloseTo(50 / 30);
    expect(value({ compute: 'interval' })).toBe(15);
    expect(value({ compute: 'share', fields: ['gas_used', 'gas_limit'] })).toBe(0.25);
    expect(value({ compute: 'burned', fields: ['base_fee', 'gas_used'] })).toBe(2000n + 3000n + 2000n);
    expect(value({ compute: 'mean', field: 'base_fee' })).toBeCloseTo(400 / 3);
    expect(value({ compute: 'sum', field: 'tx_count', over: 2 })).toBe(50);
    expect(value({ compute: 'last', field: 'tx_count' })).toBe(30);
    expect(compute({ compute: 'interval' }, blocks).course).toEqual([{ time: 1000, value: null }, { time: 1020, value: 20 }, { time: 1030, value: 10 }]);
    expect(behind({ height: 120, finalized: 56 }, ['height', 'finalized'])).toBe(64);
    expect(behind({ height: 120, finalized: null }, ['height', 'finalized'])).toBeNull();
    expect([until(2015, 2016), until(2016, 2016), until(null, 2016)]).toEqual([1, 2016, null]);
    expect([seconds('2026-11-29T05:00:00.123456789Z'), seconds('2026-13-29T05:00:00Z'), seconds('soon')]).toEqual([1795928400.123, null, null]);
  });

  it('burn what no double holds', () => {
    const [one] = entries({ timestamp: 1, base_fee: '18446744073709551615', gas_used: 30_000_000 });
    expect(value({ compute: 'burned' }, [one as LogEntry])).toBe(18_446_744_073_709_551_615n * 30_000_000n);
  });

  it('are none where there is nothing to make them of', () => {
    // If this fails: a chain without blocks has 0 transactions per second, or NaN.
    for (const kind of ['rate', 'share', 'burned', 'mean', 'sum', 'last', 'next_base_fee'] as const) {
      expect(value({ compute: kind, field: 'x', fields: ['x', 'y'] }, []), kind).toBeNull();
      expect(value({ compute: kind, field: 'x', fields: ['x', 'y'] }, entries({ timestamp: 5, x: null }, { timestamp: 5, x: 'junk' })), kind).toBeNull();
    }
  });

  it('tell no time between blocks of which there are not two', () => {
    expect(value({ compute: 'interval' }, [])).toBeNull();
    expect(value({ compute: 'interval' }, entries({ timestamp: 5 }))).toBeNull();
  });

  it('tell the next base fee as EIP-1559 has it', () => {
    // If this fails: whoever sends by this figure overpays, or waits.
    const block = (base_fee: number, gas_used: number): Record<string, unknown> => ({ base_fee, gas_used, gas_limit: 30_000_000 });
    expect(nextBaseFee(block(1_000_000_000, 15_000_000))).toBe(1_000_000_000);
    expect(nextBaseFee(block(1_000_000_000, 30_000_000))).toBe(1_125_000_000);
    expect(nextBaseFee(block(1_000_000_000, 0))).toBe(875_000_000);
    expect(nextBaseFee(block(1_000_000_000, 16_000_000))).toBe(1_008_333_333);
    expect(nextBaseFee(block(7, 15_000_001))).toBe(8);
    expect(nextBaseFee({ base_fee: null, gas_used: 1, gas_limit: 2 })).toBeNull();
  });
});
