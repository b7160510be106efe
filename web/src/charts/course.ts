import type { Series } from '../app/history';
import { firstAfter } from '../ui/Sparkline';

/** More points than this are no more to see. */
export const MOST = 480;

/** What a chart draws: times and, for each line, its values, and where there are some its lowest and highest. */
export interface Drawn {
  readonly times: number[];
  readonly lines: (number | null)[][];
  readonly low: (number | null)[][] | null;
  readonly high: (number | null)[][] | null;
}

/** Lowest and highest beside the means of a series: what a long course hides. */
export interface Bands {
  readonly low: ReadonlyMap<string, readonly (number | null)[]>;
  readonly high: ReadonlyMap<string, readonly (number | null)[]>;
}

/**
 * The points after `start`; when there are too many, the mean of each few. A hole stays a hole. The point before `start` is replaced by
 * what the line is at `start`: it begins at the left edge of the chart.
 */
export function thin({ times, values }: Series, names: readonly string[], start: number, bands: Bands | null = null, most = MOST): Drawn {
  const from = Math.max(0, firstAfter(times, start) - 1);
  const size = Math.max(1, Math.ceil((times.length - from) / most));
  const drawn: Drawn = {
    times: [],
    lines: names.map(() => []),
    low: bands === null ? null : names.map(() => []),
    high: bands === null ? null : names.map(() => []),
  };

  // Groups begin at round indexes, so that a new point does not move all of them.
  for (let index = from - (from % size); index < times.length; index += size) {
    const last = Math.min(index + size, times.length);
    drawn.times.push(times[last - 1] as number);
    names.forEach((name, line) => {
      const group = values.get(name)?.slice(index, last);
      const hole = group === undefined || group.length < last - index || group.some((value) => typeof value !== 'number');
      drawn.lines[line]?.push(hole ? null : mean(group as number[]));
      drawn.low?.[line]?.push(hole ? null : Math.min(...numbers(bands?.low.get(name)?.slice(index, last), group as number[])));
      drawn.high?.[line]?.push(hole ? null : Math.max(...numbers(bands?.high.get(name)?.slice(index, last), group as number[])));
    });
  }
  return cut(drawn, start);
}

function mean(list: readonly number[]): number {
  return list.length === 1 ? (list[0] as number) : list.reduce((sum, value) => sum + value, 0) / list.length;
}

function numbers(list: readonly (number | null)[] | undefined, or: readonly number[]): readonly number[] {
  const found = (list ?? []).filter((value): value is number => typeof value === 'number');
  return found.length > 0 ? found : or;
}

/** The first point moved to `start`, when it is before that. */
export function cut(drawn: Drawn, start: number): Drawn {
  const [first, next] = drawn.times;
  if (first === undefined || next === undefined || first >= start || next <= start) {
    return drawn;
  }
  const share = (start - first) / (next - first);
  const moved = (lines: (number | null)[][]): (number | null)[][] =>
    lines.map((line) => {
      const [from, to] = line;
      return [typeof from === 'number' && typeof to === 'number' ? from + (to - from) * share : null, ...line.slice(1)];
    });
  return {
    times: [start, ...drawn.times.slice(1)],
    lines: moved(drawn.lines),
    low: drawn.low === null ? null : moved(drawn.low),
    high: drawn.high === null ? null : moved(drawn.high),
  };
}

export interface Extent {
  readonly low: number;
  readonly high: number;
  /** All are whole numbers. */
  readonly whole: boolean;
  readonly count: number;
}

export function extent({ lines, low, high }: Drawn): Extent {
  let [least, most, whole, count] = [Infinity, -Infinity, true, 0];
  for (const line of [...lines, ...(low ?? []), ...(high ?? [])]) {
    for (const value of line) {
      if (typeof value === 'number') {
        least = Math.min(least, value);
        most = Math.max(most, value);
        whole &&= Number.isInteger(value);
        count += 1;
      }
    }
  }
  return count === 0 ? { low: 0, high: 0, whole: true, count } : { low: least, high: most, whole, count };
}

/** The first and the last time that have a value: what the chart truly shows. */
export function trueRange({ times, lines }: Drawn): [number, number] | null {
  const has = (index: number): boolean => lines.some((line) => typeof line[index] === 'number');
  let [from, to] = [0, times.length - 1];
  while (from < times.length && !has(from)) {
    from += 1;
  }
  while (to > from && !has(to)) {
    to -= 1;
  }
  return from >= times.length ? null : [times[from] as number, times[to] as number];
}
