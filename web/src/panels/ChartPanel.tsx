import { lazy, memo, Suspense, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useEvents } from '../app/events';
import { bytes, clock, clockShort, duration, figure, label } from '../app/format';
import type { Series } from '../app/history';
import { readHistory } from '../app/historyDocument';
import { useSeries } from '../app/series';
import { useParam } from '../app/url';
import type { ChartConfig, MetricConfig } from '../board/types';
import { titleOf } from '../board/values';
import { extent, thin, trueRange, type Bands, type Drawn } from '../charts/course';
import { useConnection, useStreamView } from '../hooks';
import { Icon } from '../ui/Icon';
import { Panel } from '../ui/Panel';
import { Segmented, type Choice } from '../ui/Segmented';
import '../ui/button.css';
import '../ui/legend.css';
import '../charts/chart.css';

/** The chart library comes after the first paint. */
const TimeChart = lazy(() => import('../charts/TimeChart'));

/** What makes files of it comes with the chart: whoever wants one may have lost the gateway by then. */
const files = (): Promise<typeof import('../app/save')> => import('../app/save');

const RANGES: readonly (Choice<string> & { seconds: number })[] = [
  { value: '5m', label: '5 min', seconds: 300 },
  { value: '15m', label: '15 min', seconds: 900 },
  { value: '1h', label: '1 h', seconds: 3600 },
  { value: '24h', label: '24 h', seconds: 86_400 },
];

/** A day is asked for again this often, in ms: its steps are of two minutes. */
const AGAIN = 120_000;

/** The course of one figure over a longer time, with axes. */
export function ChartPanel({ config, id, className }: { config: ChartConfig; id: string; className: string }): ReactNode {
  const view = useStreamView(config.stream);
  const newest = useSeries(config.stream);
  const metrics = useMetrics(config, newest);
  const [chosen, setChosen] = useParam(id === 'history' ? 'metric' : `${id}.metric`, '');
  const [range, setRange] = useParam(id === 'history' ? 'range' : `${id}.range`, '1h');
  const seconds = RANGES.find(({ value }) => value === range)?.seconds ?? 3600;
  const [ref, near] = useNear();
  const day = useDay(config.stream, seconds > 3600 && near !== 'never');
  const slow = useSeldom(newest, Math.max(2, seconds / 300), near === 'now');
  const long = seconds > 3600 ? (day?.series ?? null) : null;
  const series = long ?? slow;
  const canvas = useRef<HTMLCanvasElement | null>(null);
  useEffect(() => {
    if (near !== 'never') {
      files().catch(() => {
        // Tried again with the click.
      });
    }
  }, [near]);
  const marks = useEvents();

  const reported = (metric: MetricConfig): boolean => names(metric).some((name) => series.values.get(name)?.some((value) => value !== null) === true);
  const metric = metrics.find((one) => metricId(one) === chosen) ?? metrics.find(reported) ?? metrics[0];
  const bands = long === null ? null : (day?.bands ?? null);

  const drawing = useMemo(() => (metric === undefined ? null : draw(series, metric, seconds, bands)), [series, metric, seconds, bands]);
  const file = `${config.stream}-${metric === undefined ? '' : metricId(metric)}-${range}`;
  const title = metric === undefined ? label(config.stream) : (metric.title ?? titleOf({ field: names(metric)[0] ?? '' }));

  return (
    <Panel
      title={config.title ?? 'History'}
      view={view}
      className={className}
      id={id}
      tools={
        <>
          <Segmented
            label="Figure"
            value={metric === undefined ? '' : metricId(metric)}
            choices={metrics.map((one) => ({ value: metricId(one), label: one.title ?? titleOf({ field: names(one)[0] ?? '' }) }))}
            onChange={setChosen}
            className="segmented-wrap"
          />
          <Segmented label="Time" value={range} choices={RANGES} onChange={setRange} />
        </>
      }
    >
      <div className="chart" ref={ref}>
        {metric === undefined || drawing === null || drawing.drawn.times.length < 2 ? (
          <p key={String(view.data === null)} className="panel-empty">{view.data !== null && series.times.length < 2 ? 'The course appears here as data comes in.' : 'Waiting for data.'}</p>
        ) : !reported(metric) ? (
          <p className="panel-empty">{title}: not reported by this node.</p>
        ) : (
          <div className="chart-inner">
            {near === 'never' ? (
              <div className="plot" />
            ) : (
              <Suspense fallback={<div className="plot" />}>
                <Chart metric={metric} title={title} drawing={drawing} marks={marks} canvas={canvas} />
              </Suspense>
            )}
            <div className="chart-foot">
              {names(metric).length > 1 && names(metric).map((name, index) => (
                <span key={name} className="legend" data-series={index}>
                  {lineTitle(metric, index)}
                </span>
              ))}
              <span key={rangeText(drawing.drawn, seconds, long !== null).length} className="chart-range">
                {rangeText(drawing.drawn, seconds, long !== null)}
              </span>
              <span className="chart-save">
        <button
          type="button"
          className="button button-quiet"
          onClick={() => void files().then(({ saveText, toCsv }) => saveText(`${file}.csv`, 'text/csv', toCsv(series, names(metric), drawing.start, bands)))}
        >
          <Icon name="save" size={13} /> CSV
        </button>
        <button
          type="button"
          className="button button-quiet"
          onClick={() => void files().then(({ saveChart }) => saveChart(`${file}.png`, canvas.current, title, rangeText(drawing.drawn, seconds, long !== null)))}
        >
          <Icon name="save" size={13} /> PNG
        </button>
              </span>
            </div>
          </div>
        )}
      </div>
    </Panel>
  );
}

interface Drawing {
  drawn: Drawn;
  start: number;
  end: number;
}

interface ChartProps {
  metric: MetricConfig;
  title: string;
  drawing: Drawing;
  marks: ReturnType<typeof useEvents>;
  canvas: React.RefObject<HTMLCanvasElement | null>;
}

const Chart = memo(function Chart({ metric, title, drawing, marks, canvas }: ChartProps): ReactNode {
  const { drawn, start, end } = drawing;
  const titles = useMemo(() => names(metric).map((_name, index) => lineTitle(metric, index)), [metric]);
  const size = metric.as === 'bytes' || metric.as === 'rate';
  const scale = metric.as === 'coin' ? 10 ** Number(metric.decimals ?? 0) : metric.as === 'percent' ? 0.01 : 1 / (metric.times ?? 1);
  const scaled = useMemo(() => (scale === 1 ? drawn : scaleBy(drawn, 1 / scale)), [drawn, scale]);
  const unit = metric.as === 'percent' ? '%' : metric.as === 'rate' ? '/s' : (metric.unit ?? '');
  const write = useCallback((value: number) => (size ? bytes(value).join(' ') : figure(value)), [size]);
  const words = useCallback(
    (value: number | null) => (value === null ? 'not reported' : size ? bytes(value).join(' ') + unit : `${figure(value)}${unit === '' ? '' : ` ${unit}`}`),
    [size, unit],
  );
  const ready = useCallback((element: HTMLCanvasElement | null) => {
    canvas.current = element;
  }, [canvas]);
  const summary = `${title}, ${rangeText(drawn, end - start, false)}. ${describe(scaled, titles, words)}`;
  return (
    <TimeChart
      drawn={scaled}
      titles={titles}
      start={start}
      end={end}
      marks={marks}
      write={write}
      say={words}
      bytes={size}
      label={summary}
      onReady={ready}
      {...(metric.top === undefined ? {} : { top: metric.top })}
    />
  );
});

function scaleBy(drawn: Drawn, factor: number): Drawn {
  const scaled = (lines: (number | null)[][]): (number | null)[][] => lines.map((line) => line.map((value) => (value === null ? null : value * factor)));
  return { times: drawn.times, lines: scaled(drawn.lines), low: drawn.low && scaled(drawn.low), high: drawn.high && scaled(drawn.high) };
}

/** What is to be drawn of the last `seconds`; a young course has the width to itself. */
export function draw(series: Series, metric: MetricConfig, seconds: number, bands: Bands | null): Drawing {
  const end = series.times.at(-1) ?? 0;
  const drawn = thin(series, names(metric), end - seconds, bands);
  const first = trueRange(drawn)?.[0] ?? end;
  const start = Math.max(end - seconds, Math.min(first, end - 60));
  return { drawn, start, end };
}

/** What the chart truly shows: not what was asked for. */
export function rangeText(drawn: Drawn, seconds: number, kept: boolean): string {
  const range = trueRange(drawn);
  if (range === null) {
    return '';
  }
  const [from, to] = range;
  const write = to - from < 240 ? clock : clockShort;
  const short = to - from < seconds * 0.9;
  const day = to - from > 20 * 3600 ? ', a point each 2 min' : '';
  return `${write(from)} to ${write(to)}${short ? `, ${duration(to - from)} of ${duration(seconds)}` : ''}${kept ? day : ''}`;
}

/** In words: what a line was at least, at most and last. */
export function describe({ lines }: Drawn, titles: readonly string[], words: (value: number | null) => string): string {
  return titles
    .map((title, index) => {
      const numbers = (lines[index] ?? []).filter((value): value is number => typeof value === 'number');
      if (numbers.length === 0) {
        return `${title}: not reported`;
      }
      const { low, high } = extent({ times: [], lines: [numbers], low: null, high: null });
      return `${title}: between ${words(low)} and ${words(high)}, now ${words(numbers.at(-1) as number)}`;
    })
    .join('. ');
}

function names(metric: MetricConfig): readonly string[] {
  return metric.lines?.map(({ field }) => field) ?? (metric.field === undefined ? [] : [metric.field]);
}

function metricId(metric: MetricConfig): string {
  return metric.id ?? names(metric)[0] ?? '';
}

function lineTitle(metric: MetricConfig, index: number): string {
  const line = metric.lines?.[index];
  return line === undefined ? (metric.title ?? titleOf({ field: names(metric)[index] ?? '' })) : (line.title ?? titleOf(line));
}

/** What there is to draw: what the board says, or the stream's first numbers. */
function useMetrics(config: ChartConfig, series: Series): readonly MetricConfig[] {
  const found = config.metrics === undefined ? [...series.values.keys()].join('\n') : '';
  return useMemo(
    () =>
      config.metrics ??
      found
        .split('\n')
        .filter((name) => name !== '' && !/(^|_)(id|time|timestamp)$/.test(name))
        .slice(0, 6)
        .map((field) => ({ field, title: label(field) })),
    [config, found],
  );
}

/** The gateway's day of a stream, asked for when someone looks at it. */
function useDay(stream: string, wanted: boolean): { series: Series; bands: Bands } | null {
  const { client, connected } = useConnection();
  const [day, setDay] = useState<{ series: Series; bands: Bands } | null>(null);
  useEffect(() => {
    if (!wanted || !connected) {
      return;
    }
    let left = false;
    const ask = (): void =>
      void client.history(stream, '24h').then(
        (document) => {
          const course = readHistory(document);
          if (!left && course !== null && course.times.length > 0) {
            setDay({ series: { times: course.times, values: course.mean }, bands: { low: course.low, high: course.high } });
          }
        },
        () => {
          // What there is is shown, with its true range.
        },
      );
    ask();
    const timer = setInterval(ask, AGAIN);
    return () => {
      left = true;
      clearInterval(timer);
    };
  }, [client, connected, stream, wanted]);
  return day;
}

/**
 * The series, but a new one only when the line has moved by a few pixels, at most every two seconds, and only while it is seen: a new point of an hour's course
 * moves it by less than one.
 */
function useSeldom(series: Series, seconds: number, seen: boolean): Series {
  const held = useRef({ series, at: 0 });
  const now = Date.now();
  const before = held.current.series.times;
  const longer = series.times[0] !== before[0];
  if (seen && (longer || now - held.current.at >= seconds * 1000 - 500 || before.length < 30)) {
    held.current = { series, at: now };
  }
  return held.current.series;
}

type Near = 'never' | 'once' | 'now';

/** Whether the element is in sight or soon will be, or was. A chart that nobody has come near is not even loaded. */
function useNear(): [React.RefObject<HTMLDivElement | null>, Near] {
  const ref = useRef<HTMLDivElement>(null);
  const [near, setNear] = useState<Near>(typeof IntersectionObserver === 'undefined' ? 'now' : 'never');
  useEffect(() => {
    const element = ref.current;
    if (element === null || typeof IntersectionObserver === 'undefined') {
      return;
    }
    const observer = new IntersectionObserver(
      (entries) => setNear((before) => (entries.at(-1)?.isIntersecting === true ? 'now' : before === 'never' ? 'never' : 'once')),
      { rootMargin: '200px' },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, near];
}
