import { memo, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { Area, AreaChart, CartesianGrid, Tooltip, XAxis, YAxis, type TooltipContentProps } from 'recharts';
import { bytes, clock, clockShort, figure } from '../app/format';
import type { Series } from '../app/history';
import type { Metric } from '../panels/HistoryPanel';
import { firstAfter } from '../ui/Sparkline';
import { makeAxis, timeTicks, type Axis } from './axis';

interface HistoryChartProps {
  series: Series;
  metric: Metric;
  seconds: number;
}

/** More points than this are no more to see. */
const MOST = 360;

type Row = { time: number } & Record<string, number | null>;

const MARGIN = { top: 10, right: 14, bottom: 0, left: 0 };
const BOTTOM = 26;

// What the library is given stays the same object as long as it says the same: a new one is a new axis, or a new tooltip, with all that is computed for it.
const CURSOR = { stroke: 'var(--line-strong)' };
const TICK_LINE = { stroke: 'var(--line-strong)' };
const DOT = { r: 3.5, strokeWidth: 0 };
const TIP_AT = { y: 12 };

export default memo(HistoryChart);

/** One figure over time, with axes, and with what it was where the pointer is. */
function HistoryChart({ series, metric, seconds }: HistoryChartProps): ReactNode {
  const [ref, width, height] = useSize();
  const end = series.times.at(-1) ?? 0;
  const { lines } = metric;
  const [newest, start] = useMemo(() => {
    const names = lines.map(({ name }) => name);
    const thinned = thin(series, names, end - seconds);
    const edge = Math.max(end - seconds, Math.min(thinned[0]?.time ?? end, end - 60));
    return [cut(thinned, names, edge).map((row): Row => ({ ...row, time: row.time - end })), edge];
  }, [series, lines, end, seconds]);
  const rows = useMoved(newest, lines.map(({ name }) => name));
  const format = (value: number): string => (metric.bytes === true ? bytes(value).join(' ') : figure(value));

  const [low, high, whole] = extent(rows, lines.map(({ name }) => name));
  const scale = useSame(
    makeAxis(low, high, {
      whole,
      ...(metric.top === undefined ? {} : { top: metric.top }),
      ...(metric.bytes === true ? { bytes: (value: number) => bytes(value).join(' ') } : {}),
    }),
  );
  const left = 16 + 7 * Math.max(...scale.names.map(({ length }) => length), 3);
  const right = width - MARGIN.right;
  // The library has the times as seconds before the newest, and the names of times on an axis of their own, so that for a course that stands still only they move.
  const times = timeTicks(start, end, (right - left) / 90).map((time) => time - end);
  const timeText = end - start < 240 ? clock : clockShort;

  // No name is measured: each tick is shown (interval 0), and drawn as the text it is.
  const valueName = useMemo(() => valueNamer(scale), [scale]);
  const timeName = useMemo(() => timeNamer(left, right - 16), [left, right]);
  const tip = useMemo(() => tipOf(metric, end), [metric, end]);

  return (
    <div className="chart-inner">
      <div className="chart-area" role="img" aria-label={describe(rows, metric, format, seconds)} ref={ref}>
        {width > 0 && (
          <AreaChart width={width} height={height} data={rows} margin={MARGIN} baseValue="dataMin" accessibilityLayer={false}>
            <CartesianGrid xAxisId="names" vertical={false} stroke="var(--line)" />
            <XAxis xAxisId="course" hide height={0} dataKey="time" type="number" domain={[start - end, 0]} allowDataOverflow />
            <XAxis
              xAxisId="names"
              dataKey="time"
              type="number"
              domain={[start - end, 0]}
              allowDataOverflow
              height={BOTTOM}
              ticks={times}
              interval={0}
              niceTicks="none"
              axisLine={false}
              tickLine={TICK_LINE}
              tickSize={4}
              tickFormatter={(time: number) => timeText(end + time)}
              tick={timeName}
            />
            <YAxis
              type="number"
              domain={[scale.bottom, scale.top]}
              allowDataOverflow
              width={left}
              ticks={scale.ticks}
              interval={0}
              niceTicks="none"
              axisLine={false}
              tickLine={false}
              tick={valueName}
            />
            <Tooltip axisId="course" isAnimationActive={false} filterNull={false} position={TIP_AT} offset={12} cursor={CURSOR} content={tip} />
            {lines.map(({ name, label }, index) => (
              <Area
                key={name}
                xAxisId="course"
                dataKey={name}
                name={label}
                type="linear"
                stroke={`var(--series-${index})`}
                strokeWidth={2}
                strokeLinejoin="round"
                strokeLinecap="round"
                strokeDasharray={index === 0 ? undefined : '3 5'}
                fill={index === 0 ? 'var(--series-0)' : 'none'}
                fillOpacity={0.12}
                connectNulls={false}
                isAnimationActive={false}
                dot={false}
                activeDot={DOT}
              />
            ))}
          </AreaChart>
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

/** The rows of before, when each value in both is the same one: the library then draws nothing but the names of the times. */
function useMoved(rows: readonly Row[], names: readonly string[]): readonly Row[] {
  const held = useRef(rows);
  const [first] = held.current;
  const stands = (row: Row): boolean => names.every((name) => row[name] === first?.[name]);
  if (rows[0]?.time !== first?.time || !held.current.every(stands) || !rows.every(stands)) {
    held.current = rows;
  }
  return held.current;
}

/** The scale of before, when it says the same. */
function useSame(scale: Axis): Axis {
  const held = useRef(scale);
  if (held.current.ticks.join() !== scale.ticks.join() || held.current.names.join() !== scale.names.join()) {
    held.current = scale;
  }
  return held.current;
}

interface TickProps {
  x: number | string;
  y: number | string;
  index: number;
  payload: { value: number };
  tickFormatter?: (value: number, index: number) => string;
}

function valueNamer({ names }: Axis): (tick: TickProps) => ReactNode {
  return ({ x, y, index }) => (
    <text className="chart-name" x={x} y={Number(y) + 4} textAnchor="end">
      {names[index]}
    </text>
  );
}

/** Names of times are within the chart, also where the time is at its edge. */
function timeNamer(from: number, to: number): (tick: TickProps) => ReactNode {
  return ({ x, y, index, payload, tickFormatter }) => (
    <text className="chart-name" x={Math.min(Math.max(Number(x), from), to)} y={Number(y) + 13} textAnchor="middle">
      {tickFormatter?.(payload.value, index)}
    </text>
  );
}

/** What the values were at the time that the pointer is at, which is given in seconds after `end`. */
function tipOf({ lines, unit, bytes: size }: Metric, end: number): (props: TooltipContentProps) => ReactNode {
  const words = (value: unknown): string => {
    if (typeof value !== 'number') {
      return 'not reported';
    }
    return size === true ? bytes(value).join(' ') + unit : `${figure(value)}${unit === '' ? '' : ` ${unit}`}`;
  };
  return ({ active, payload, label }) =>
    active ? (
      <div className="chart-tip">
        <p>{clock(end + Number(label))}</p>
        {lines.map(({ name, label: text }, index) => (
          <p key={name}>
            <span className="legend" data-series={index}>
              {text}
            </span>{' '}
            <b>{words(payload.find(({ dataKey }) => dataKey === name)?.value)}</b>
          </p>
        ))}
      </div>
    ) : null;
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

/** The rows with the one before `start` replaced by what the line is at `start`: it begins at the left edge of the chart. */
export function cut(rows: readonly Row[], names: readonly string[], start: number): Row[] {
  const [first, next] = rows;
  if (first === undefined || next === undefined || first.time >= start) {
    return [...rows];
  }
  const share = (start - first.time) / (next.time - first.time);
  const edge: Row = { time: start };
  for (const name of names) {
    const [from, to] = [first[name], next[name]];
    edge[name] = typeof from === 'number' && typeof to === 'number' ? from + (to - from) * share : null;
  }
  return [edge, ...rows.slice(1)];
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
