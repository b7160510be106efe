import type { ReactNode } from 'react';
import type { NetworkMetrics, Numeric } from '../client';
import { useSeries } from '../app/series';
import { useStreamView } from '../hooks';
import { bytes, exact, figure, fixed } from '../app/format';
import type { Series } from '../app/history';
import { Icon } from '../ui/Icon';
import { firstAfter, Sparkline } from '../ui/Sparkline';
import { Figure } from '../ui/Value';
import { Panel } from '../ui/Panel';
import '../ui/legend.css';
import './tiles.css';

const COURSE = 300;

/** Block height, throughput, finality, peers, bandwidth and connections, each with its last five minutes. */
export function Metrics(): ReactNode {
  const view = useStreamView<NetworkMetrics>('network_metrics');
  const series = useSeries('network_metrics');
  const { data } = view;
  const waiting = data === null;

  return (
    <Panel title="Network" view={view} className="area-metrics" note="last 5 minutes">
      <dl className="tiles">
        <Tile
          title="Block height"
          value={text(data?.block_height, exact)}
          waiting={waiting}
          series={series}
          names={HEIGHT}
          tight
          foot={pace(series)}
        />
        <Tile title="Throughput" value={text(data?.tps, figure)} unit="tx/s" waiting={waiting} series={series} names={TPS} foot={range(series, 'tps', '')} />
        <Tile
          title="Finality"
          value={text(data?.finality_time, figure)}
          unit="s"
          waiting={waiting}
          series={series}
          names={FINALITY}
          foot={range(series, 'finality_time', ' s')}
        />
        <Tile title="Peers" value={text(data?.peer_count, exact)} waiting={waiting} series={series} names={PEERS} foot={range(series, 'peer_count', '')} />
        <Bandwidth data={data} series={series} />
        <Tile
          title="Active connections"
          value={text(data?.active_connections, exact)}
          waiting={waiting}
          series={series}
          names={CONNECTIONS}
          foot={range(series, 'active_connections', '')}
        />
      </dl>
    </Panel>
  );
}

const HEIGHT = ['block_height'];
const TPS = ['tps'];
const FINALITY = ['finality_time'];
const PEERS = ['peer_count'];
const CONNECTIONS = ['active_connections'];
const BANDWIDTH = ['bandwidth_in', 'bandwidth_out'];

function text<N extends Numeric>(value: N | null | undefined, format: (value: N) => string): string | null {
  return value === null || value === undefined ? null : format(value);
}

interface TileProps {
  title: string;
  value: string | null;
  unit?: string;
  waiting: boolean;
  series: Series;
  names: readonly string[];
  tight?: boolean;
  foot?: ReactNode;
}

/** One figure with its course. */
export function Tile({ title, value, unit, waiting, series, names, tight, foot }: TileProps): ReactNode {
  return (
    <div className="tile">
      <dt>{title}</dt>
      <dd className="tile-value" data-length={value === null ? 0 : Math.ceil(value.length / 5)}>
        {waiting ? <span className="placeholder">–</span> : <Figure value={value} unit={unit} />}
      </dd>
      <dd className="tile-course">
        <Sparkline series={series} names={names} window={COURSE} tight={tight} label={`${title}, last 5 minutes`} />
      </dd>
      <dd className="tile-foot">{foot ?? '\u00a0'}</dd>
    </div>
  );
}

function Bandwidth({ data, series }: { data: NetworkMetrics | null; series: Series }): ReactNode {
  return (
    <div className="tile">
      <dt>Bandwidth</dt>
      <dd className="tile-value tile-pair">
        {data === null ? (
          <span className="placeholder">–</span>
        ) : (
          <>
            <Rate name="in" value={data.bandwidth_in} />
            <Rate name="out" value={data.bandwidth_out} />
          </>
        )}
      </dd>
      <dd className="tile-course">
        <Sparkline series={series} names={BANDWIDTH} window={COURSE} label="Bandwidth in and out, last 5 minutes" />
      </dd>
      <dd className="tile-foot">
        <span className="legend" data-series="0">
          in
        </span>
        <span className="legend" data-series="1">
          out
        </span>
      </dd>
    </div>
  );
}

function Rate({ name, value }: { name: 'in' | 'out'; value: Numeric | null | undefined }): ReactNode {
  const [number, unit] = value === null || value === undefined ? [null, ''] : bytes(value);
  return (
    <span className="rate">
      <Icon name={name === 'in' ? 'down' : 'up'} size={13} />
      <span className="visually-hidden">{name} </span>
      <Figure value={number} unit={`${unit}/s`} title={value === null || value === undefined ? undefined : `${exact(value)} bytes per second`} />
    </span>
  );
}

/** Lowest and highest of the last five minutes. */
function range(series: Series, name: string, unit: string): ReactNode {
  const column = series.values.get(name);
  const end = series.times.at(-1);
  if (column === undefined || end === undefined) {
    return null;
  }
  let low = Infinity;
  let high = -Infinity;
  let count = 0;
  for (let index = firstAfter(series.times, end - COURSE); index < series.times.length; index += 1) {
    const value = column[index];
    if (typeof value === 'number') {
      low = Math.min(low, value);
      high = Math.max(high, value);
      count += 1;
    }
  }
  if (count < 3) {
    return null;
  }
  return low === high ? `steady at ${figure(low)}${unit}` : `${figure(low)} to ${figure(high)}${unit}`;
}

/** Blocks per minute over the last five minutes. */
function pace(series: Series): ReactNode {
  const column = series.values.get('block_height');
  const end = series.times.at(-1);
  if (column === undefined || end === undefined) {
    return null;
  }
  let index = firstAfter(series.times, end - COURSE);
  while (index < series.times.length && typeof column[index] !== 'number') {
    index += 1;
  }
  const first = column[index];
  const last = column.at(-1);
  const seconds = end - (series.times[index] ?? end);
  if (typeof first !== 'number' || typeof last !== 'number' || seconds < 10 || last < first) {
    return null;
  }
  const perMinute = ((last - first) / seconds) * 60;
  return `${fixed(perMinute, perMinute < 10 ? 1 : 0)} blocks per minute`;
}
