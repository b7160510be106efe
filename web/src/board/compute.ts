import type { LogEntry } from '../client';
import { at, numeric } from './values';
import type { Computed, NumberConfig } from './types';

/** Entries that a figure is made of when the board does not say how many. */
const OVER = 50;

export interface Point {
  readonly time: number;
  readonly value: number | null;
}

/**
 * A figure that is made of several entries of a log (newest first), with its course. `burned` is exact, in a bigint; the rest are
 * numbers. Null where there is nothing to make it of.
 */
export function compute(config: NumberConfig, entries: readonly LogEntry[]): { value: number | bigint | null; course: Point[] } {
  const kind = config.compute as Computed;
  const list = entries.slice(0, config.over ?? OVER).map(({ value }) => value);
  const time = (entry: Record<string, unknown>): number | null => seconds(entry.timestamp ?? entry.time);
  const fields = config.fields ?? (config.field === undefined ? [] : [config.field]);
  const of = (entry: Record<string, unknown>, index = 0): number | null => {
    const value = numeric(at(entry, fields[index] ?? ''));
    return value === null ? null : Number(value);
  };
  const values = list.map((entry) => of(entry)).filter((value): value is number => value !== null);
  const course = (value: (entry: Record<string, unknown>, index: number) => number | null): Point[] =>
    list.flatMap((entry, index) => {
      const when = time(entry);
      return when === null ? [] : [{ time: when, value: value(entry, index) }];
    }).reverse();
  // Of entries of one moment, such as the transactions of a block, their mean.
  const merged = (points: Point[]): Point[] => {
    const out: { time: number; sum: number; count: number }[] = [];
    for (const { time: when, value } of points) {
      const last = out.at(-1);
      if (last !== undefined && last.time === when) {
        last.sum += value ?? 0;
        last.count += value === null ? 0 : 1;
      } else {
        out.push({ time: when, sum: value ?? 0, count: value === null ? 0 : 1 });
      }
    }
    return out.map(({ time: when, sum, count }) => ({ time: when, value: count === 0 ? null : sum / count }));
  };

  switch (kind) {
    case 'last':
      return { value: list[0] === undefined ? null : of(list[0]), course: course((entry) => of(entry)) };
    case 'mean':
      return { value: values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length, course: merged(course((entry) => of(entry))) };
    case 'sum':
      return { value: values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0), course: course((entry) => of(entry)) };
    case 'share': {
      const share = (entry: Record<string, unknown>): number | null => {
        const [used, limit] = [of(entry, 0), of(entry, 1)];
        return used === null || limit === null || limit === 0 ? null : used / limit;
      };
      return { value: list[0] === undefined ? null : share(list[0]), course: course(share) };
    }
    case 'interval': {
      const times = list.map(time).filter((value): value is number => value !== null);
      const [newest, oldest] = [times[0], times.at(-1)];
      const value = newest === undefined || oldest === undefined || times.length < 2 ? null : (newest - oldest) / (times.length - 1);
      return {
        value,
        course: course((entry, index) => {
          const before = list[index + 1] === undefined ? null : time(list[index + 1] as Record<string, unknown>);
          const own = time(entry);
          return before === null || own === null ? null : own - before;
        }),
      };
    }
    case 'rate': {
      // What is in all but the oldest of them, by the time from that one to the newest.
      const times = list.map(time);
      const oldest = times.filter((value) => value !== null).at(-1) ?? null;
      const newest = times[0] ?? null;
      if (oldest === null || newest === null || list.length < 2) {
        return { value: null, course: [] };
      }
      const span = Math.max(newest - oldest, 1e-3);
      const sum = list.slice(0, -1).reduce((total, entry) => total + (of(entry) ?? 0), 0);
      return {
        value: newest - oldest <= 0 ? null : sum / span,
        course: course((entry, index) => {
          const before = list[index + 1] === undefined ? null : time(list[index + 1] as Record<string, unknown>);
          const own = time(entry);
          return before === null || own === null || own <= before ? null : (of(entry) ?? 0) / (own - before);
        }),
      };
    }
    case 'burned': {
      const burned = (entry: Record<string, unknown>): bigint | null => {
        const [fee, used] = [numeric(at(entry, fields[0] ?? 'base_fee')), numeric(at(entry, fields[1] ?? 'gas_used'))];
        return fee === null || used === null || !whole(fee) || !whole(used) ? null : BigInt(fee) * BigInt(used);
      };
      const all = list.map(burned).filter((value): value is bigint => value !== null);
      return {
        value: all.length === 0 ? null : all.reduce((sum, value) => sum + value, 0n),
        course: course((entry) => {
          const value = burned(entry);
          return value === null ? null : Number(value);
        }),
      };
    }
    case 'next_base_fee': {
      const newest = list[0];
      return { value: newest === undefined ? null : nextBaseFee(newest), course: course((entry) => nextBaseFee(entry)) };
    }
    case 'behind':
    case 'until':
      return { value: null, course: [] };
  }
}

/** `behind`: by how much one member of a snapshot is behind another, such as the finalized block behind the newest. */
export function behind(data: unknown, fields: readonly string[]): number | null {
  const [front, back] = fields.map((field) => numeric(at(data, field)));
  return front === null || front === undefined || back === null || back === undefined ? null : Number(front) - Number(back);
}

/** `until`: how far it is to the next multiple of `every`, such as to Bitcoin's next difficulty. */
export function until(value: unknown, every = 1): number | null {
  const number = numeric(value);
  return number === null ? null : every - (Number(number) % every);
}

/** The base fee of the block after this one (EIP-1559): up or down by an eighth at most, as the gas used is above or below half of the limit. */
export function nextBaseFee(block: Record<string, unknown>): number | null {
  const [fee, used, limit] = ['base_fee', 'gas_used', 'gas_limit'].map((name) => numeric(block[name]));
  if (fee === null || fee === undefined || used === null || used === undefined || limit === null || limit === undefined || !whole(fee) || !whole(used) || !whole(limit)) {
    return null;
  }
  const target = BigInt(limit) / 2n;
  if (target === 0n) {
    return null;
  }
  const [now, gas] = [BigInt(fee), BigInt(used)];
  if (gas === target) {
    return Number(now);
  }
  if (gas > target) {
    const more = (now * (gas - target)) / target / 8n;
    return Number(now + (more > 0n ? more : 1n));
  }
  return Number(now - (now * (target - gas)) / target / 8n);
}

function whole(value: number | bigint): boolean {
  return typeof value === 'bigint' || Number.isSafeInteger(value);
}

/** Unix seconds of what may also be milliseconds or a date of ISO 8601, or nothing. */
export function seconds(value: unknown): number | null {
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) {
    const time = Date.parse(value.replace(/(\.\d{3})\d+/, '$1'));
    return Number.isNaN(time) ? null : time / 1000;
  }
  const number = numeric(value);
  if (number === null || Number(number) <= 0) {
    return null;
  }
  const plain = Number(number);
  return plain > 1e14 ? plain / 1e6 : plain > 1e11 ? plain / 1e3 : plain;
}
