import { memo, type ReactNode } from 'react';
import { compact } from '../app/format';
import type { Series } from '../app/history';
import './Sparkline.css';

interface SparklineProps {
  series: Series;
  /** One line, or two on the same scale. */
  names: readonly string[];
  /** Seconds that the width stands for. */
  window?: number;
  /** What a screen reader says instead. */
  label: string;
  /** In px; the style sheet may stretch it. */
  height?: number;
  /** The scale is no wider than the values: for what only ever grows by a little. */
  tight?: boolean;
}

const WIDTH = 200;

/**
 * The recent course of a figure, without axes. Points that are missing leave a hole in the line. Drawn here and not by the chart
 * library, so that the first paint does not wait for it.
 */
export const Sparkline = memo(function Sparkline({ series, names, window = 300, label, height = 40, tight = false }: SparklineProps): ReactNode {
  const drawn = draw(series, names, window, height, tight);
  if (drawn === null) {
    return <div className="sparkline sparkline-empty" style={{ minHeight: height }} role="img" aria-label={`${label}: no course yet`} />;
  }
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${WIDTH} ${height}`}
      preserveAspectRatio="none"
      style={{ minHeight: height }}
      role="img"
      aria-label={`${label}: between ${drawn.low} and ${drawn.high}`}
    >
      {drawn.lines.map(({ area, line }, index) => (
        <g key={index} className={`spark-${index}`}>
          {index === 0 && <path className="spark-area" d={area} />}
          <path className="spark-line" d={line} vectorEffect="non-scaling-stroke" />
        </g>
      ))}
    </svg>
  );
});

interface Drawn {
  lines: { line: string; area: string }[];
  low: string;
  high: string;
}

function draw({ times, values }: Series, names: readonly string[], window: number, height: number, tight: boolean): Drawn | null {
  const end = times.at(-1);
  if (end === undefined) {
    return null;
  }
  const start = end - window;
  let from = firstAfter(times, start);
  from = Math.max(0, from - 1);

  let low = Infinity;
  let high = -Infinity;
  let count = 0;
  for (const name of names) {
    const column = values.get(name);
    for (let index = from; column !== undefined && index < times.length; index += 1) {
      const value = column[index];
      if (typeof value === 'number') {
        low = Math.min(low, value);
        high = Math.max(high, value);
        count += 1;
      }
    }
  }
  if (count < 2) {
    return null;
  }

  // A line that hardly moves must not look like a storm: the scale spans at least a fiftieth of the value.
  const middle = (low + high) / 2;
  const span = Math.max(high - low, tight ? 1 : Math.abs(middle) / 50, 1e-9);
  const bottom = middle - span / 2;
  const pad = 3;
  // A young history has the width to itself.
  const left = Math.max(start, times[from] as number);
  const width = Math.max(end - left, 1);

  const x = (time: number): number => Math.max(0, ((time - left) / width) * WIDTH);
  const y = (value: number): number => height - pad - ((value - bottom) / span) * (height - 2 * pad);

  const lines = names.map((name) => {
    const column = values.get(name) ?? [];
    let line = '';
    let area = '';
    let run: [string, string][] = [];
    const close = (last: number): void => {
      if (run.length > 0) {
        const [first] = run[0] as [string, string];
        const points = path(run);
        line += run.length === 1 ? `M${points}h.01` : `M${points}`;
        area += `M${first} ${height}L${points}L${x(last).toFixed(1)} ${height}Z`;
        run = [];
      }
    };
    let last = left;
    for (let index = from; index < times.length; index += 1) {
      const value = column[index];
      const time = times[index] as number;
      if (typeof value === 'number') {
        run.push([x(time).toFixed(1), y(value).toFixed(1)]);
        last = time;
      } else {
        close(last);
      }
    }
    close(last);
    return { line, area };
  });

  return { lines, low: compact(low), high: compact(high) };
}

/**
 * Points as a path has them, without those in the middle of a level stretch: the course of a steady value then stays the same text, and nothing is drawn anew for it.
 */
export function path(points: readonly (readonly [string, string])[]): string {
  let text = '';
  points.forEach(([x, y], index) => {
    if (index === 0 || index === points.length - 1 || y !== points[index - 1]?.[1] || y !== points[index + 1]?.[1]) {
      text += `${index === 0 ? '' : 'L'}${x} ${y}`;
    }
  });
  return text;
}

/** Index of the first time that is not before `start`. */
export function firstAfter(times: readonly number[], start: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < start) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
