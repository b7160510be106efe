import { compact, upTo } from '../app/format';

/** The scale at the left of a chart. */
export interface Axis {
  readonly bottom: number;
  readonly top: number;
  /** Where a line of the grid is, from `bottom` to `top`. */
  readonly ticks: readonly number[];
  /** The names of `ticks`. */
  readonly names: readonly string[];
}

export interface AxisOptions {
  /** It starts at zero and ends here, whatever the values. */
  top?: number;
  /** Steps are round in KiB, MiB and so on, and not in thousands. */
  bytes?: (value: number) => string;
  /** There is nothing between two whole numbers. */
  whole?: boolean;
}

/** About so many steps. */
const STEPS = 4;

/** Round numbers around `low` and `high`, and their names, each of which tells its number apart from its neighbours. */
export function makeAxis(low: number, high: number, { top, bytes, whole = false }: AxisOptions = {}): Axis {
  // Where zero is not far it is shown: the filled area below the line is then as high as the value.
  let [from, to] = top === undefined ? [low > 0 && low < high / 2 ? 0 : low, high] : [0, top];
  if (to - from < Math.abs(to) * 1e-9 || to === from) {
    // A steady value is a line in the middle.
    const room = Math.max(Math.abs(to) * 0.05, whole ? 1 : 1e-3);
    [from, to] = [low >= 0 ? Math.max(0, from - room) : from - room, to + room];
  }
  const unit = bytes === undefined ? 1 : 1024 ** Math.floor(Math.log(Math.max(Math.abs(from), Math.abs(to), 1)) / Math.log(1024));
  let step = roundStep((to - from) / STEPS / unit) * unit;
  if (whole) {
    step = Math.max(1, Math.round(step));
  }
  const first = Math.floor(from / step + 1e-9);
  const last = Math.ceil(to / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
  const name = bytes ?? namer(step, Math.max(Math.abs(from), Math.abs(to)));
  return { bottom: ticks[0] as number, top: ticks.at(-1) as number, ticks, names: ticks.map(name) };
}

/** The next of 1, 2, 2.5 and 5 times a power of ten. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const share = least / power;
  return (share <= 1.0001 ? 1 : share <= 2.0001 ? 2 : share <= 2.5001 ? 2.5 : share <= 5.0001 ? 5 : 10) * power;
}

function namer(step: number, most: number): (value: number) => string {
  if (most >= 10_000 && step >= most / 1000) {
    return (value) => compact(value, 3);
  }
  // As many decimals as the step has.
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const half = Math.abs((step * 10 ** decimals) % 1) > 1e-6 ? 1 : 0;
  return (value) => upTo(value, Math.min(decimals + half, 12));
}

/** Round times between `start` and `end`, seldom enough for `room` of them. */
export function timeTicks(start: number, end: number, room: number): number[] {
  const span = end - start;
  const step = [15, 30, 60, 120, 300, 600, 900].find((candidate) => span / candidate <= Math.max(1, room)) ?? 1800;
  const list: number[] = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    list.push(time);
  }
  return list;
}
