import type { LogEntry, StreamView } from '../client';
import type { Event } from '../app/events';
import type { Series } from '../app/history';
import { keyOf } from '../app/items';
import { seconds } from '../board/compute';
import type { BlocksConfig } from '../board/types';
import { at, numeric } from '../board/values';

/** A block as the ribbon draws it. */
export interface Block {
  readonly key: string;
  readonly number: number;
  /** Unix seconds, null when nobody says. */
  readonly time: number | null;
  /** Seconds since the block before it. */
  readonly after: number | null;
  /** How full it is, from 0 to 1. */
  readonly used: number | null;
  readonly usedValue: unknown;
  readonly count: number | null;
  readonly colour: number | null;
  /** What is in it, by group. */
  readonly groups: readonly { name: string; count: number }[];
  /** Numbers that are missing between it and the block before it. */
  readonly missing: number;
  /** It took the place of others. */
  readonly replaced: number;
  /** It was much later than usual. */
  readonly late: boolean;
  readonly events: readonly Event[];
  readonly value: Record<string, unknown> | null;
}

export const SHOWN = 48;
/** Blocks that the times between blocks are counted of. */
const COUNTED = 240;

/** The newest blocks of a log, newest first: those of the chain as it is now, the ones that were replaced left out. */
export function fromLog(entries: readonly LogEntry[], config: BlocksConfig, most = COUNTED): Block[] {
  const name = config.number ?? 'number';
  const blocks: Block[] = [];
  let replaced = 0;
  for (const entry of entries) {
    const number = numeric(at(entry.value, name));
    if (number === null) {
      continue;
    }
    const last = blocks.at(-1);
    if (last !== undefined && Number(number) >= last.number) {
      replaced += 1;
      continue;
    }
    if (last !== undefined) {
      blocks[blocks.length - 1] = { ...last, missing: Math.max(0, last.number - Number(number) - 1), replaced };
      replaced = 0;
    }
    if (blocks.length >= most) {
      break;
    }
    const usedField = config.used;
    const used = usedField === undefined ? null : numeric(at(entry.value, usedField.field));
    const of = usedField?.of === undefined ? null : typeof usedField.of === 'number' ? usedField.of : numeric(at(entry.value, usedField.of));
    const colour = config.colour === undefined ? null : numeric(at(entry.value, config.colour.field));
    const count = config.count === undefined ? null : numeric(at(entry.value, config.count.field));
    blocks.push({
      key: keyOf(entry.value, config.hash) ?? String(number),
      number: Number(number),
      time: seconds(at(entry.value, config.time ?? 'timestamp')),
      after: null,
      used: used === null ? null : of !== null && Number(of) > 0 ? Number(used) / Number(of) : usedField?.of === undefined ? Number(used) : null,
      usedValue: usedField === undefined ? null : at(entry.value, usedField.field),
      count: count === null ? null : Number(count),
      colour: colour === null ? null : Number(colour),
      groups: [],
      missing: 0,
      replaced: 0,
      late: false,
      events: [],
      value: entry.value,
    });
  }
  if (config.used !== undefined && config.used.of === undefined) {
    // No limit is known: as full as the fullest of them.
    const fullest = Math.max(...blocks.map(({ used }) => used ?? 0), 1e-9);
    return blocks.map((block) => ({ ...block, used: block.used === null ? null : block.used / fullest }));
  }
  return blocks;
}

/** The newest blocks of a chain of which only the height is told: when it grew, and what the entries of a log say of each. */
export function fromHeight(series: Series, config: BlocksConfig, entries: readonly LogEntry[], most = COUNTED): Block[] {
  const column = series.values.get(config.number ?? 'height') ?? [];
  const times = new Map<number, number>();
  let [before, beforeTime]: [number | null, number] = [null, 0];
  column.forEach((value, index) => {
    if (typeof value !== 'number') {
      return;
    }
    const [height, time] = [Math.floor(value), series.times[index] as number];
    if (before !== null && height > before && height - before < 1000) {
      for (let number = before + 1; number <= height; number += 1) {
        times.set(number, beforeTime + ((number - before) / (height - before)) * (time - beforeTime));
      }
    } else if (before !== null && height < before) {
      for (let number = height + 1; number <= before; number += 1) {
        times.delete(number);
      }
    }
    // A height that stands still stands in several points: the next block is counted from when it was first seen.
    if (height !== before) {
      beforeTime = time;
    }
    before = height;
  });
  if (before === null) {
    return [];
  }

  const inside = new Map<number, Map<string, number>>();
  const { entries: from } = config;
  if (from !== undefined) {
    for (const { value } of entries) {
      const number = numeric(at(value, from.number));
      if (number !== null) {
        const groups = inside.get(Number(number)) ?? new Map<string, number>();
        const name = from.group === undefined ? '' : String(at(value, from.group) ?? '');
        groups.set(name, (groups.get(name) ?? 0) + 1);
        inside.set(Number(number), groups);
      }
    }
  }
  const newest: number = before;
  const oldest = Math.max(0, newest - most + 1);
  const sum = (groups: Map<string, number> | undefined): number => [...(groups?.values() ?? [])].reduce((total, count) => total + count, 0);
  const fullest = Math.max(...[...inside.values()].map(sum), 1);
  // Of blocks before the oldest entry that is kept nobody knows what was in them.
  const known = Math.min(...inside.keys());
  const blocks: Block[] = [];
  for (let number = newest; number >= oldest && (times.has(number) || inside.has(number) || number === newest); number -= 1) {
    const groups = inside.get(number);
    const count = number >= known ? sum(groups) : null;
    blocks.push({
      key: String(number),
      number,
      time: times.get(number) ?? null,
      after: null,
      used: from === undefined || count === null ? null : count / fullest,
      usedValue: null,
      count: from === undefined ? null : count,
      colour: null,
      groups: [...(groups ?? [])].map(([name, amount]) => ({ name, count: amount })).sort((a, b) => b.count - a.count),
      missing: 0,
      replaced: 0,
      late: false,
      events: [],
      value: null,
    });
  }
  return blocks;
}

/** The times between blocks, and what happened between them, put into the blocks. */
export function annotate(told: readonly Block[], events: readonly Event[]): Block[] {
  const blocks = spread(told);
  const between = blocks.map((block, index) => {
    const older = blocks[index + 1];
    return block.time === null || older?.time === null || older === undefined || block.missing > 0 ? null : Math.max(0, block.time - older.time);
  });
  const usual = median(between.filter((value): value is number => value !== null));
  return blocks.map((block, index) => {
    const after = between[index] ?? null;
    const older = blocks[index + 1]?.time ?? null;
    return {
      ...block,
      after,
      late: after !== null && usual !== null && after > Math.max(4 * usual, usual + 3),
      events:
        block.time === null || older === null
          ? []
          : events.filter(({ time, kind }) => (kind === 'restart' || kind === 'node' || kind === 'lost') && time > older && time <= (block.time as number)),
    };
  });
}

/** Blocks of one second, on a chain that tells whole seconds only: they are so far apart as if each took the same part of it. */
function spread(blocks: readonly Block[]): readonly Block[] {
  if (!blocks.some(({ time }, index) => time !== null && Number.isInteger(time) && blocks[index + 1]?.time === time)) {
    return blocks;
  }
  const many = new Map<number, number>();
  for (const { time } of blocks) {
    if (time !== null) {
      many.set(time, (many.get(time) ?? 0) + 1);
    }
  }
  const left = new Map(many);
  return blocks.map((block) => {
    if (block.time === null) {
      return block;
    }
    const [all, nth] = [many.get(block.time) as number, left.get(block.time) as number];
    left.set(block.time, nth - 1);
    return all === 1 ? block : { ...block, time: block.time + (nth - 1) / all };
  });
}

export interface Expectation {
  /** Seconds between two blocks, in the mean and in the middle. */
  readonly mean: number;
  readonly median: number;
  readonly slow: number;
  readonly intervals: readonly number[];
}

/** Seconds that a block may have been old when it came, however fast the chain is. */
const LATE = 120;

/**
 * Whether a block was old when it came: the gateway fetches what came while nobody listened, or the stream is of blocks that are final
 * long after they are made. They are not what happens now, and must not look so.
 */
export function isBehind(age: number | null, mean: number): boolean {
  return age !== null && age > Math.max(LATE, 10 * mean);
}

/**
 * How old blocks are when they come (seconds), after one that was `age` old. Smooth; but who has caught up is not taken for late for
 * another twenty blocks.
 */
export function lagAfter(lag: number | null, age: number): number {
  return lag === null || age < lag / 2 ? age : (3 * lag + age) / 4;
}

/** What the last blocks let one expect of the next. */
export function expect(blocks: readonly Block[], fixed?: number): Expectation | null {
  const intervals = blocks.map(({ after }) => after).filter((value): value is number => value !== null);
  if (intervals.length < 3) {
    return fixed === undefined ? null : { mean: fixed, median: fixed, slow: fixed * 3, intervals };
  }
  const sorted = [...intervals].sort((a, b) => a - b);
  return {
    mean: fixed ?? intervals.reduce((sum, value) => sum + value, 0) / intervals.length,
    median: median(sorted) as number,
    slow: sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] as number,
    intervals,
  };
}

export interface Bin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** How often which time passed between two blocks. The last bin has all that took longer. */
export function histogram(intervals: readonly number[], bins = 24): Bin[] {
  if (intervals.length === 0) {
    return [];
  }
  const sorted = [...intervals].sort((a, b) => a - b);
  const high = Math.max(sorted[Math.floor((sorted.length - 1) * 0.95)] as number, 1e-3);
  const step = nice((high * 1.15) / bins);
  const count = Math.min(bins, Math.max(6, Math.ceil((high * 1.15) / step)));
  const list = Array.from({ length: count }, (_, index) => ({ from: index * step, to: (index + 1) * step, count: 0 }));
  for (const value of intervals) {
    (list[Math.min(count - 1, Math.floor(value / step + 1e-9))] as { count: number }).count += 1;
  }
  return list;
}

function nice(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const share = value / power;
  return (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10) * power;
}

function median(list: readonly number[]): number | null {
  if (list.length === 0) {
    return null;
  }
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

/** In which fifth of the shown blocks a value is; the middle one for all when they are alike. */
export function levels(values: readonly (number | null)[]): (value: number | null) => number | null {
  const sorted = values.filter((value): value is number => value !== null).sort((a, b) => a - b);
  const [low, high] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
  return (value) => {
    if (value === null || sorted.length === 0) {
      return null;
    }
    if (high - low <= Math.abs(high) * 0.002) {
      return 2;
    }
    return Math.min(4, Math.floor(((value - low) / (high - low)) * 5));
  };
}

export function kindOf(view: StreamView): 'log' | 'snapshot' {
  return view.kind === 'log' || view.entries.length > 0 ? 'log' : 'snapshot';
}
