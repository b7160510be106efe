// If these fail: figures are rounded or grouped otherwise than people write them.
import { describe, expect, test } from 'vitest';
import { clock, clockShort, compact, exact, figure, fixed, fullTime, upTo } from '../src/app/format';

const VALUES = [0, 1, 9, 10, 99, 100, 999, 1000, 1001, 12_345, 999_999, 1_000_000, 2 ** 53, 1e20, 1e21, 1.5e22, 0.5, 1.5, 2.5, 0.05, 0.125, 0.375, 999.5, 999.95, 999.949, 1234.5678, 1e-7];
const NUMBERS = [...VALUES, ...VALUES.slice(1).map((value) => -value), ...Array.from({ length: 400 }, (_, index) => Math.sin(index) * 10 ** (index % 8))];

describe('numbers', () => {
  test('have the digits and groups that Intl gives them', () => {
    for (const digits of [0, 1, 2, 3] as const) {
      const intl = new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
      expect(NUMBERS.map((value) => fixed(value, digits))).toEqual(NUMBERS.map((value) => intl.format(value)));
    }
    for (const digits of [0, 2, 4]) {
      const intl = new Intl.NumberFormat('en', { maximumFractionDigits: digits });
      expect(NUMBERS.map((value) => upTo(value, digits))).toEqual(NUMBERS.map((value) => intl.format(value)));
    }
    const whole = NUMBERS.filter((value) => Number.isInteger(value) && value !== 0);
    expect(whole.map(exact)).toEqual(whole.map((value) => value.toLocaleString('en')));
    expect(exact(18_446_744_073_709_551_615n)).toBe('18,446,744,073,709,551,615');
    expect(exact(-1000n)).toBe('-1,000');
    expect(exact(-999)).toBe('-999');
    expect(exact(7.123e-7)).toBe('0.0000007123');
    expect(exact(2.3157894736842106)).toBe('2.315789473684');
    expect(exact(1e21)).toBe('1,000,000,000,000,000,000,000');
    expect(figure(4250)).toBe('4,250');
  });

  test('are short beside a sparkline', () => {
    const intl = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
    const three = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 3 });
    expect([1234, 12_500, 19_999_600, 1e6].map((value) => compact(value, 3))).toEqual([1234, 12_500, 19_999_600, 1e6].map((value) => three.format(value)));
    const usual = [0, 7, 640, 640.25, 999.94, 999.96, 1000, 1049, 12_345, 999_940, 999_960, 1e6, 2.5e9, 1.25e12, 9.9e14, -12_345];
    expect(usual.map((value) => compact(value))).toEqual(usual.map((value) => intl.format(value)));
  });
});

test('times are those of a clock on the wall', () => {
  const at = new Date(2026, 8, 3, 4, 5, 6).getTime() / 1000;
  expect(clock(at)).toBe('04:05:06');
  expect(clock(at * 1000)).toBe('04:05:06');
  expect(clockShort(at)).toBe('04:05');
  expect(fullTime(at)).toBe('3 Sept 2026, 04:05:06');
});
