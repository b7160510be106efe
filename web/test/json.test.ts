import { describe, expect, it } from 'vitest';
import { backoffCap, backoffDelay } from '../src/client/backoff';
import { canonical, parseExact } from '../src/client/json';
import { mergePatch } from '../src/client/mergePatch';
import { readStreams } from '../src/client/RestPoller';
import { logField } from '../src/client/StreamSlot';

describe('parseExact', () => {
  it('keeps every digit of an integer beyond 2^53', () => {
    // If this fails: a balance of 18446744073709551615 is shown as 18446744073709552000.
    expect(parseExact('18446744073709551615')).toBe(18446744073709551615n);
    expect(parseExact('{"a":[-9007199254740993,{"b":9007199254740992}]}')).toEqual({
      a: [-9007199254740993n, { b: 9007199254740992n }],
    });
    expect(parseExact('[9007199254740991,1700000000000000]')).toEqual([9007199254740991, 1700000000000000]);
  });

  it('leaves everything else as JSON.parse has it', () => {
    // If this fails: ids that are strings of digits, fractions or texts with numbers in them are damaged.
    const texts = [
      '{"id":"18446744073709551615","n":1}',
      '[1.12345678901234567890, 12345678901234567.5, 1.5e10, 123456789012345678e3, -0]',
      '{"18446744073709551615":1,"text":"say \\"18446744073709551615\\" \\\\"}',
      '{"a":"\\uE000i12","b":1234567890123456}',
    ];
    for (const text of texts) {
      expect(parseExact(text)).toEqual(JSON.parse(text));
    }
    expect(parseExact('["\uE000i12", "\uE000", 18446744073709551615]')).toEqual(['\uE000i12', '\uE000', 18446744073709551615n]);
    expect(parseExact('{"a":"18446744073709551614","b":18446744073709551614}')).toEqual({
      a: '18446744073709551614',
      b: 18446744073709551614n,
    });
  });

  it('refuses what is not JSON', () => {
    // If this fails: half a message is taken for a whole one.
    for (const text of ['', '{', '18446744073709551615x', '[18446744073709551615', '{"a":18446744073709551615,}']) {
      expect(() => parseExact(text)).toThrow(SyntaxError);
    }
  });

  it('compares values with such integers in them', () => {
    // If this fails: two receipts that differ in the last digit of the amount count as one.
    expect(canonical({ a: 18446744073709551615n })).not.toBe(canonical({ a: 18446744073709551614n }));
    expect(canonical({ a: 1n })).not.toBe(canonical({ a: '1' }));
  });
});

describe('mergePatch', () => {
  it('does what the examples of RFC 7396, appendix A, say', () => {
    // If this fails: deltas of the gateway are applied to something else than it meant.
    const cases: [unknown, unknown, unknown][] = [
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
      [{ a: 'b' }, { a: null }, {}],
      [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
      [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
      [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [['a', 'b'], ['c', 'd'], ['c', 'd']],
      [{ a: 'b' }, ['c'], ['c']],
      [{ a: 'foo' }, null, null],
      [{ a: 'foo' }, 'bar', 'bar'],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [[1, 2], { a: 'b', c: null }, { a: 'b' }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ];
    for (const [target, patch, result] of cases) {
      const before = canonical(target);
      expect(mergePatch(target, patch)).toEqual(result);
      expect(canonical(target)).toBe(before);
    }
  });

  it('takes a member called __proto__ for data', () => {
    // If this fails: a hostile node can change every object of the page.
    const patched = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}')) as Record<string, unknown>;
    expect(Object.hasOwn(patched, '__proto__')).toBe(true);
    expect(patched.polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('backoff', () => {
  it('never leaves its bounds, and uses all of them', () => {
    // If this fails: pages come back in step, or some never do.
    const options = { base: 1000, max: 30_000 };
    for (let attempt = 0; attempt < 2000; attempt += 1) {
      const cap = backoffCap(attempt, options);
      expect(cap).toBeLessThanOrEqual(30_000);
      expect(backoffDelay(attempt, options, () => 0)).toBe(0);
      expect(backoffDelay(attempt, options, () => 0.999999)).toBeLessThanOrEqual(cap);
    }
    const drawn = Array.from({ length: 2000 }, () => backoffDelay(3, options, Math.random));
    expect(Math.min(...drawn)).toBeLessThan(400);
    expect(Math.max(...drawn)).toBeGreaterThan(7600);
  });
});

describe('shapes', () => {
  it('tells a log message from a snapshot', () => {
    // If this fails: the peers are piled up as if they were receipts, or receipts replace each other.
    expect(logField({ receipts: [], count: 0 })).toBe('receipts');
    expect(logField({ peers: [], total: 0 })).toBeNull();
    expect(logField({ count: 3 })).toBeNull();
    expect(logField({ receipts: [], count: 0 }, 'snapshot')).toBeNull();
    expect(logField({ a: [], b: [], count: 0 })).toBeNull();
    expect(logField([1])).toBeNull();
  });

  it('reads the list of streams in any of its forms', () => {
    // If this fails: the page does not learn what the gateway offers.
    const row = { name: 'peers', kind: 'snapshot', interval: 10, seq: 4, age: 1.5, state: 'live' };
    const expected = [{ ...row, error: null, history: null }];
    expect(readStreams([row])).toEqual(expected);
    expect(readStreams({ streams: [row] })).toEqual(expected);
    expect(readStreams({ streams: { peers: { ...row, name: undefined, stream: 'peers' } } })).toEqual(expected);
    expect(readStreams([{ ...row, history: { ranges: ['1h'], series: ['total'] } }])[0]?.history).toEqual({ ranges: ['1h'], series: ['total'] });
    expect(readStreams(null)).toEqual([]);
    expect(readStreams({ streams: [{ kind: 'log' }, 7] })).toEqual([]);
  });
});
