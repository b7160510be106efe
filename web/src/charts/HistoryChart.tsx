import { memo, useEffect, useMemo, useRef, useState, type PointerEvent, type ReactNode } from 'react';
import { bytes, clock, clockShort, figure } from '../app/format';
import type { Series } from '../app/history';
import type { Metric } from '../panels/HistoryPanel';
import { firstAfter, path } from '../ui/Sparkline';
import { makeAxis, timeTicks } from './axis';

interface HistoryChartProps {
  series: Series;
  metric: Metric;
  seconds: number;
}

/** More points than this are no more to see. */
const MOST = 360;

type Row = { time: number } & Record<string, number | null>;

const TOP = 10;
const RIGHT = 14;
const BOTTOM = 26;

export default memo(HistoryChart);

/**
 * One figure over time, with axes, and with what it was where the pointer is. A few paths and texts, drawn here: a chart library takes ten times as long for each
 * new point, and a dashboard gets one all the time.
 */
function HistoryChart({ series, metric, seconds }: HistoryChartProps): ReactNode {
  const [ref, width, height] = useSize();
  const [pointed, setPointed] = useState<number | null>(null);
  const end = series.times.at(-1) ?? 0;
  const { lines } = metric;
  const rows = useMemo(() => thin(series, lines.map(({ name }) => name), end - seconds), [series, lines, end, seconds]);
  const start = Math.max(end - seconds, Math.min(rows[0]?.time ?? end, end - 60));
  const format = (value: number): string => (metric.bytes === true ? bytes(value).join(' ') : figure(value));

  const [low, high, whole] = extent(rows, lines.map(({ name }) => name));
  const axis = makeAxis(low, high, {
    whole,
    ...(metric.top === undefined ? {} : { top: metric.top }),
    ...(metric.bytes === true ? { bytes: (value: number) => bytes(value).join(' ') } : {}),
  });
  const left = 16 + 7 * Math.max(...axis.names.map(({ length }) => length), 3);
  const [right, bottom] = [width - RIGHT, height - BOTTOM];
  const x = (time: number): number => left + ((time - start) / (end - start || 1)) * (right - left);
  const y = (value: number): number => bottom - ((value - axis.bottom) / (axis.top - axis.bottom)) * (bottom - TOP);

  const point = (event: PointerEvent<SVGSVGElement>): void => {
    // The drawing is as many units wide as it has pixels.
    const at = start + ((event.nativeEvent.offsetX - left) / (right - left)) * (end - start);
    const next = rows.findIndex(({ time }) => time >= at);
    const near = next === -1 ? rows.length - 1 : next;
    const before = rows[near - 1];
    setPointed((before !== undefined && at - before.time < (rows[near] as Row).time - at ? before : rows[near])?.time ?? null);
  };
  const shown = pointed === null ? undefined : rows.find(({ time }) => time === pointed && time >= start);

  return (
    <div className="chart-inner">
      <div className="chart-area" role="img" aria-label={describe(rows, metric, format, seconds)} ref={ref}>
        {width > 0 && (
          <svg width={width} height={height} aria-hidden="true" focusable="false" onPointerMove={point} onPointerDown={point} onPointerLeave={() => setPointed(null)}>
            {axis.ticks.map((value, index) => (
              <g key={value}>
                <path className="chart-grid" d={`M${left} ${Math.round(y(value)) + 0.5}H${right}`} />
                <text className="chart-name" x={left - 8} y={y(value) + 4} textAnchor="end">
                  {axis.names[index]}
                </text>
              </g>
            ))}
            {timeTicks(start, end, (right - left) / 90).map((time) => (
              <g key={time}>
                <path className="chart-tick" d={`M${Math.round(x(time)) + 0.5} ${bottom}v4`} />
                <text className="chart-name" x={Math.min(Math.max(x(time), left), right - 16)} y={bottom + 19} textAnchor="middle">
                  {end - start < 240 ? clock(time) : clockShort(time)}
                </text>
              </g>
            ))}
            {lines.map(({ name }, index) => {
              const { line, area } = trace(rows, name, start, x, y, bottom);
              return (
                <g key={name} data-series={index}>
                  {index === 0 && <path className="chart-fill" d={area} />}
                  <path className="chart-line" d={line} />
                </g>
              );
            })}
            {shown !== undefined && (
              <>
                <path className="chart-cursor" d={`M${x(shown.time).toFixed(1)} ${TOP}V${bottom}`} />
                {lines.map(({ name }, index) => {
                  const value = shown[name];
                  return typeof value === 'number' ? <circle key={name} className="chart-dot" data-series={index} cx={x(shown.time)} cy={y(value)} r="3.5" /> : null;
                })}
              </>
            )}
          </svg>
        )}
        {shown !== undefined && (
          <div className="chart-tip" style={x(shown.time) < width / 2 ? { left: x(shown.time) + 12 } : { right: width - x(shown.time) + 12 }}>
            <p>{clock(shown.time)}</p>
            {lines.map(({ name, label }, index) => (
              <p key={name}>
                <span className="legend" data-series={index}>
                  {label}
                </span>{' '}
                <b>
                  {typeof shown[name] === 'number' ? format(shown[name]) : 'not reported'}
                  {typeof shown[name] !== 'number' || metric.unit === '' ? '' : metric.bytes === true ? metric.unit : ` ${metric.unit}`}
                </b>
              </p>
            ))}
          </div>
        )}
      </div>
      {lines.length > 1 && (
        <p className="chart-legend">
          {lines.map(({ name, label }, index) => (
            <span key={name} className="legend" data-series={index}>
              {label}
            </span>
          ))}
        </p>
      )}
    </div>
  );
}

/** The size of an element in px, without having the browser lay out for it. */
function useSize(): [React.RefObject<HTMLDivElement | null>, number, number] {
  const ref = useRef<HTMLDivElement>(null);
  const [[width, height], setSize] = useState([0, 0]);
  useEffect(() => {
    const element = ref.current;
    if (element === null || typeof ResizeObserver === 'undefined') {
      setSize([700, 280]);
      return;
    }
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) {
        setSize([Math.round(entry.contentRect.width), Math.round(entry.contentRect.height)]);
      }
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width as number, height as number];
}

/** The line of one value, and the area below it. It breaks where a value is missing, and starts at the left edge of the chart. */
export function trace(
  rows: readonly Row[],
  name: string,
  start: number,
  x: (time: number) => number,
  y: (value: number) => number,
  bottom: number,
): { line: string; area: string } {
  let line = '';
  let area = '';
  let run: [string, string][] = [];
  const close = (): void => {
    if (run.length > 0) {
      const points = path(run);
      line += run.length === 1 ? `M${points}h.01` : `M${points}`;
      area += `M${run[0]?.[0]} ${bottom}L${points}L${run.at(-1)?.[0]} ${bottom}Z`;
      run = [];
    }
  };
  rows.forEach((row, index) => {
    const value = row[name];
    const next = rows[index + 1];
    if (typeof value !== 'number') {
      close();
    } else if (row.time >= start) {
      run.push([x(row.time).toFixed(1), y(value).toFixed(1)]);
    } else if (next !== undefined && next.time > start && typeof next[name] === 'number') {
      // The last one before the edge: only what is right of the edge is drawn.
      const share = (start - row.time) / (next.time - row.time);
      run.push([x(start).toFixed(1), y(value + (next[name] - value) * share).toFixed(1)]);
    }
  });
  close();
  return { line, area };
}

/** The points after `start`; when there are too many, the mean of each few. A hole stays a hole. */
export function thin({ times, values }: Series, names: readonly string[], start: number): Row[] {
  const from = Math.max(0, firstAfter(times, start) - 1);
  const columns = names.map((name) => values.get(name));
  const size = Math.max(1, Math.ceil((times.length - from) / MOST));
  const rows: Row[] = [];

  // Groups begin at round indexes, so that a new point does not move all of them.
  for (let index = from - (from % size); index < times.length; index += size) {
    const last = Math.min(index + size, times.length);
    const row: Row = { time: times[last - 1] as number };
    names.forEach((name, line) => {
      let sum = 0;
      let count = 0;
      let hole = columns[line] === undefined;
      for (let point = Math.max(index, 0); point < last && !hole; point += 1) {
        const value = columns[line]?.[point];
        if (typeof value === 'number') {
          sum += value;
          count += 1;
        } else {
          hole = true;
        }
      }
      row[name] = hole || count === 0 ? null : sum / count;
    });
    rows.push(row);
  }
  return rows;
}

/** The lowest and the highest value, and whether all are whole numbers. */
function extent(rows: readonly Row[], names: readonly string[]): [number, number, boolean] {
  let low = Infinity;
  let high = -Infinity;
  let whole = true;
  for (const row of rows) {
    for (const name of names) {
      const value = row[name];
      if (typeof value === 'number') {
        low = Math.min(low, value);
        high = Math.max(high, value);
        whole &&= Number.isInteger(value);
      }
    }
  }
  return low > high ? [0, 0, true] : [low, high, whole];
}

function describe(rows: readonly Row[], { label, lines, unit }: Metric, format: (value: number) => string, seconds: number): string {
  const parts = lines.map(({ name, label: line }) => {
    const numbers = rows.map((row) => row[name]).filter((value): value is number => typeof value === 'number');
    if (numbers.length === 0) {
      return `${line}: not reported`;
    }
    const [low, high, last] = [Math.min(...numbers), Math.max(...numbers), numbers.at(-1) as number];
    return `${line}: between ${format(low)} and ${format(high)}, now ${format(last)} ${unit}`;
  });
  return `${label}, last ${Math.round(seconds / 60)} minutes. ${parts.join('. ')}`;
}
