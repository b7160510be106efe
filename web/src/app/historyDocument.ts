import { isObject } from '../client';

/** A gateway's history as the page draws it: holes are where nothing was known, not where nothing was asked. */
export interface Course {
  readonly times: number[];
  readonly mean: Map<string, (number | null)[]>;
  readonly low: Map<string, (number | null)[]>;
  readonly high: Map<string, (number | null)[]>;
  readonly step: number;
  /** Unix seconds from which on the gateway could have kept something, and until when. */
  readonly from: number;
  readonly to: number;
}

/** Bins on each side that say how often a value came just there. */
const AROUND = 3;

/**
 * Reads what `/api/streams/NAME/history` has. While nobody listens a stream is asked more seldom than a bin is long: bins without a value
 * between two that have one, as far apart as those around them, are no hole, and are left out.
 */
export function readHistory(document: unknown): Course | null {
  if (!isObject(document) || !isObject(document.series)) {
    return null;
  }
  const [step, from] = [Number(document.step), Number(document.from)];
  if (!(step > 0) || !Number.isFinite(from)) {
    return null;
  }
  const series = new Map<string, Record<'min' | 'mean' | 'max', (number | null)[]>>();
  let length = 0;
  for (const [name, entry] of Object.entries(document.series)) {
    if (isObject(entry) && Array.isArray(entry.mean)) {
      const mean = numbers(entry.mean);
      series.set(name, { mean, min: Array.isArray(entry.min) ? numbers(entry.min) : mean, max: Array.isArray(entry.max) ? numbers(entry.max) : mean });
      length = Math.max(length, mean.length);
    }
  }

  const known: number[] = [];
  for (let index = 0; index < length; index += 1) {
    if ([...series.values()].some(({ mean }) => typeof mean[index] === 'number')) {
      known.push(index);
    }
  }
  const holes = new Set(holesOf(known));

  const course: Course = { times: [], mean: new Map(), low: new Map(), high: new Map(), step, from, to: from + length * step };
  for (const name of series.keys()) {
    course.mean.set(name, []);
    course.low.set(name, []);
    course.high.set(name, []);
  }
  const push = (time: number, index: number | null): void => {
    course.times.push(time);
    for (const [name, { mean, min, max }] of series) {
      course.mean.get(name)?.push(index === null ? null : (mean[index] ?? null));
      course.low.get(name)?.push(index === null ? null : (min[index] ?? null));
      course.high.get(name)?.push(index === null ? null : (max[index] ?? null));
    }
  };
  for (const index of known) {
    push(from + (index + 0.5) * step, index);
    if (holes.has(index)) {
      push(from + (index + 1.5) * step, null);
    }
  }
  return course;
}

/** Which of `known` (indexes, growing) have a hole behind them. */
export function holesOf(known: readonly number[]): number[] {
  const distance = known.slice(1).map((index, place) => index - (known[place] as number));
  return known.slice(0, -1).filter((_index, place) => {
    const usual = Math.max(median(distance.slice(Math.max(0, place - AROUND), place)), median(distance.slice(place + 1, place + 1 + AROUND)), 1);
    return (distance[place] as number) > Math.max(2.5 * usual, 3);
  });
}

function median(list: readonly number[]): number {
  return list.length === 0 ? 0 : ([...list].sort((a, b) => a - b)[list.length >> 1] as number);
}

function numbers(list: readonly unknown[]): (number | null)[] {
  return list.map((value) => (typeof value === 'number' ? value : typeof value === 'bigint' ? Number(value) : null));
}
