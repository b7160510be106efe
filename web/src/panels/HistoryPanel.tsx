import { lazy, Suspense, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useSeries } from '../app/series';
import { useStreamView } from '../hooks';
import { label } from '../app/format';
import type { Series } from '../app/history';
import { Panel } from '../ui/Panel';
import { Segmented, type Choice } from '../ui/Segmented';
import '../ui/legend.css';
import '../charts/chart.css';

/** The chart library comes after the first paint. */
const HistoryChart = lazy(() => import('../charts/HistoryChart'));

interface Metric {
  id: string;
  label: string;
  lines: { name: string; label: string }[];
  unit: string;
  bytes?: boolean;
  /** The scale starts at zero, and ends at least here. */
  top?: number;
}

const NETWORK: readonly Metric[] = [
  { id: 'tps', label: 'Throughput', lines: [{ name: 'tps', label: 'Throughput' }], unit: 'tx/s' },
  { id: 'finality', label: 'Finality', lines: [{ name: 'finality_time', label: 'Finality' }], unit: 's' },
  { id: 'peers', label: 'Peers', lines: [{ name: 'peer_count', label: 'Peers' }, { name: 'active_connections', label: 'Connections' }], unit: '' },
  { id: 'bandwidth', label: 'Bandwidth', lines: [{ name: 'bandwidth_in', label: 'In' }, { name: 'bandwidth_out', label: 'Out' }], unit: '/s', bytes: true },
  { id: 'strength', label: 'Strength', lines: [{ name: 'network_strength', label: 'Strength' }], unit: '', top: 100 },
];

const RANGES: readonly Choice<string>[] = [
  { value: '300', label: '5 min' },
  { value: '900', label: '15 min' },
  { value: '3600', label: '1 h' },
];

/** The course of one figure over a longer time, with axes. */
export function HistoryPanel({ stream, className = 'area-history' }: { stream: string; className?: string }): ReactNode {
  const view = useStreamView(stream);
  const newest = useSeries(stream);
  const metrics = useMetrics(stream, newest);
  const [chosen, setChosen] = useState<string | null>(null);
  const [range, setRange] = useState('900');
  const [ref, near] = useNear();
  const series = useSeldom(newest, Math.max(2, Number(range) / 180), near === 'now');

  const reported = (metric: Metric): boolean =>
    metric.lines.some(({ name }) => series.values.get(name)?.some((value) => value !== null) === true);
  const metric = metrics.find(({ id }) => id === chosen) ?? metrics.find(reported) ?? metrics[0];

  return (
    <Panel
      title="History"
      view={view}
      className={className}
      tools={
        <>
          <Segmented
            label="Figure"
            value={metric?.id ?? ''}
            choices={metrics.map(({ id, label: text }) => ({ value: id, label: text }))}
            onChange={setChosen}
            className="segmented-wrap"
          />
          <Segmented label="Time" value={range} choices={RANGES} onChange={setRange} />
        </>
      }
    >
      <div className="chart" ref={ref}>
        {metric === undefined || series.times.length < 2 ? (
          <p className="panel-empty">The course appears here as data comes in.</p>
        ) : !reported(metric) ? (
          <p className="panel-empty">{metric.label}: not reported by this node.</p>
        ) : (
          near !== 'never' && (
            <Suspense fallback={<p className="panel-empty">Loading the chart.</p>}>
              <HistoryChart series={series} metric={metric} seconds={Number(range)} />
            </Suspense>
          )
        )}
      </div>
    </Panel>
  );
}

export type { Metric };

/** What there is to draw: of the network the figures that people look for, of any other stream its numbers. */
function useMetrics(stream: string, series: Series): readonly Metric[] {
  const names = [...series.values.keys()].join('\n');
  return useMemo(() => {
    if (stream === 'network_metrics') {
      return NETWORK;
    }
    return names
      .split('\n')
      .filter((name) => name !== '' && !/(^|_)id$/.test(name))
      .slice(0, 5)
      .map((name) => ({ id: name, label: label(name), lines: [{ name, label: label(name) }], unit: '' }));
  }, [stream, names]);
}

/**
 * The series, but a new one only when the line has moved by a few pixels, at most every two seconds, and only while it is seen: a new point of an hour's course
 * moves it by less than one, and drawing it is most of the page's work.
 */
function useSeldom(series: Series, seconds: number, seen: boolean): Series {
  const held = useRef({ series, at: 0 });
  const now = Date.now();
  if (seen && (now - held.current.at >= seconds * 1000 - 500 || held.current.series.times.length < 30)) {
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
