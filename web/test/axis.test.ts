import { describe, expect, it } from 'vitest';
import { bytes } from '../src/app/format';
import { makeAxis, timeTicks } from '../src/charts/axis';

describe('makeAxis', () => {
  it('has a few round numbers around the values', () => {
    // If this fails: the line leaves the chart, or its scale is in numbers that nobody can read.
    expect(makeAxis(412, 688)).toMatchObject({ bottom: 400, top: 700, names: ['400', '500', '600', '700'] });
    expect(makeAxis(0.17, 0.31).names).toEqual(['0.15', '0.2', '0.25', '0.3', '0.35']);
    expect(makeAxis(212, 688).names).toEqual(['0', '200', '400', '600', '800']);
    expect(makeAxis(-3, 4).ticks).toEqual([-4, -2, 0, 2, 4]);
    for (const [low, high] of [[1, 1.0001], [184_320, 184_396], [-1, 1e9], [3, 2 ** 64]] as const) {
      const { bottom, top, ticks } = makeAxis(low, high);
      expect(bottom).toBeLessThanOrEqual(low);
      expect(top).toBeGreaterThanOrEqual(high);
      expect(ticks.length).toBeGreaterThan(2);
      expect(ticks.length).toBeLessThan(8);
    }
  });

  it('names no two lines of the grid alike', () => {
    // If this fails: values that hardly differ stand on a scale that says 1.3M five times.
    for (const [low, high] of [[184_320, 184_396], [1_250_000, 1_262_000], [99.95, 100.02], [12_500, 15_000], [0.001, 0.0012]] as const) {
      const { names } = makeAxis(low, high);
      expect(new Set(names).size, names.join(' ')).toBe(names.length);
    }
  });

  it('counts bytes in KiB and MiB, whole things in whole numbers, and a score to its end', () => {
    // If this fails: the scale says 1.91 MiB, half a peer, or a strength of 120.
    const size = (value: number): string => bytes(value).join(' ');
    expect(makeAxis(1.6 * 1024 ** 2, 3.1 * 1024 ** 2, { bytes: size }).names).toEqual(['1.50 MiB', '2.00 MiB', '2.50 MiB', '3.00 MiB', '3.50 MiB']);
    expect(makeAxis(41, 43, { whole: true }).ticks).toEqual([41, 42, 43]);
    expect(makeAxis(62, 71, { top: 100 }).ticks).toEqual([0, 25, 50, 75, 100]);
  });

  it('draws a steady value in the middle, and none below zero that never was there', () => {
    // If this fails: a figure that does not change has no line, or an empty one a scale of negative numbers.
    expect(makeAxis(42, 42, { whole: true })).toMatchObject({ bottom: 38, top: 46 });
    expect(makeAxis(0, 0, { whole: true })).toMatchObject({ bottom: 0, top: 1 });
    expect(makeAxis(0, 0).bottom).toBe(0);
  });
});

describe('timeTicks', () => {
  it('gives round times, no more than there is room for', () => {
    // If this fails: the names of the times lie upon each other on a phone.
    expect(timeTicks(1000, 1900, 7)).toEqual([1200, 1500, 1800]);
    expect(timeTicks(0, 3600, 4)).toEqual([0, 900, 1800, 2700, 3600]);
    expect(timeTicks(0, 900, 2).length).toBeLessThanOrEqual(3);
  });
});
