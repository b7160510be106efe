import { memo, useMemo, type ReactNode } from 'react';
import { Area, AreaChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { bytes, clock, clockShort, figure } from '../app/format';
import type { Series } from '../app/history';
import type { Metric } from '../panels/HistoryPanel';
import { compact, firstAfter } from '../ui/Sparkline';

interface HistoryChartProps {
  series: Series;
  metric: Metric;
  seconds: number;
}

/** More points than this are no more to see. */
const MOST = 360;

type Row = { time: number } & Record<string, number | null>;

export default memo(HistoryChart);

function HistoryChart({ series, metric, seconds }: HistoryChartProps): ReactNode {
  const end = series.times.at(-1) ?? 0;
  const { lines } = metric;
  const rows = useMemo(() => thin(series, lines.map(({ name }) => name), end - seconds), [series, lines, end, seconds]);
  const start = Math.max(end - seconds, Math.min(rows[0]?.time ?? end, end - 60));
  const format = (value: number): string => (metric.bytes === true ? bytes(value).join(' ') : figure(value));
  // Where the values hardly differ, a short form would give every line of the grid the same name.
  const [low, high] = extent(rows, lines.map(({ name }) => name));
  const close = high - low < Math.abs(high) / 20;
  const axis = (value: number): string => (metric.bytes === true ? bytes(value).join(' ') : close ? figure(value) : compact(value));

  return (
    <div className="chart-inner" role="img" aria-label={describe(rows, metric, format, seconds)}>
      <ResponsiveContainer width="100%" height="100%">
        <AreaChart data={rows} margin={{ top: 8, right: 12, bottom: 0, left: 4 }} accessibilityLayer={false}>
          <CartesianGrid vertical={false} stroke="var(--line)" />
          <XAxis
            dataKey="time"
            type="number"
            domain={[start, end]}
            allowDataOverflow
            ticks={ticks(start, end)}
            tickFormatter={end - start < 240 ? clock : clockShort}
            stroke="var(--line-strong)"
            tick={TICK}
            tickLine={false}
            minTickGap={32}
          />
          <YAxis
            width={metric.bytes === true ? 76 : close ? Math.max(52, figure(high).length * 8 + 12) : 52}
            allowDecimals={high - low < 4 && !Number.isInteger(high)}
            domain={metric.top === undefined ? ['auto', 'auto'] : [0, metric.top]}
            tickFormatter={axis}
            stroke="none"
            tick={TICK}
            tickCount={5}
          />
          <Tooltip
            isAnimationActive={false}
            cursor={{ stroke: 'var(--line-strong)' }}
            content={({ active, payload, label }) =>
              active === true && payload.length > 0 ? (
                <div className="chart-tip">
                  <p>{clock(Number(label))}</p>
                  {payload.map((item) => (
                    <p key={String(item.dataKey)}>
                      <span className="legend" data-series={lines.findIndex(({ name }) => name === item.dataKey)}>
                        {String(item.name)}
                      </span>{' '}
                      <b>
                        {typeof item.value === 'number' ? format(item.value) : 'not reported'}
                        {metric.unit === '' ? '' : metric.bytes === true ? metric.unit : ` ${metric.unit}`}
                      </b>
                    </p>
                  ))}
                </div>
              ) : null
            }
          />
          {lines.map(({ name, label }, index) => (
            <Area
              key={name}
              dataKey={name}
              name={label}
              type="linear"
              stroke={`var(--series-${index})`}
              strokeWidth={2}
              strokeDasharray={index === 0 ? undefined : '5 3'}
              fill={`var(--series-${index})`}
              fillOpacity={index === 0 ? 0.12 : 0}
              connectNulls={false}
              isAnimationActive={false}
              dot={false}
              activeDot={{ r: 3.5, strokeWidth: 0 }}
            />
          ))}
        </AreaChart>
      </ResponsiveContainer>
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

const TICK = { fill: 'var(--text-muted)', fontSize: 12 };

/** Round times between `start` and `end`. */
function ticks(start: number, end: number): number[] {
  const span = end - start;
  const step = [15, 30, 60, 120, 300, 600, 900].find((candidate) => span / candidate <= 7) ?? 1800;
  const list: number[] = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    list.push(time);
  }
  return list;
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

function extent(rows: readonly Row[], names: readonly string[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const row of rows) {
    for (const name of names) {
      const value = row[name];
      if (typeof value === 'number') {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  return low > high ? [0, 0] : [low, high];
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
