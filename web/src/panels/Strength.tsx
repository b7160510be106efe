import type { ReactNode } from 'react';
import type { NetworkMetrics } from '../client';
import { useSeries } from '../app/series';
import { useStreamView } from '../hooks';
import { figure, fixed } from '../app/format';
import { Panel } from '../ui/Panel';
import { Sparkline } from '../ui/Sparkline';
import '../ui/bar.css';
import './Strength.css';

interface Part {
  name: string;
  /** What the node reported. */
  value: string | null;
  points: number | null;
  most: number;
  how: string;
}

/** The three parts of the strength, by the formula that the gateway's preset uses. */
export function parts(data: Partial<NetworkMetrics> | null): Part[] {
  const peers = data?.peer_count ?? null;
  const tps = data?.tps ?? null;
  const finality = data?.finality_time ?? null;
  return [
    {
      name: 'Peers',
      value: peers === null ? null : figure(peers),
      points: peers === null ? null : Math.min((peers / 50) * 30, 30),
      most: 30,
      how: '50 peers give all 30 points',
    },
    {
      name: 'Throughput',
      value: tps === null ? null : `${figure(tps)} tx/s`,
      points: tps === null ? null : Math.min((tps / 1000) * 40, 40),
      most: 40,
      how: '1,000 transactions per second give all 40 points',
    },
    {
      name: 'Finality',
      value: finality === null ? null : `${figure(finality)} s`,
      points: finality === null ? null : Math.max(30 - finality / 10, 0),
      most: 30,
      how: '30 points, less one for each 10 seconds',
    },
  ];
}

export function rating(strength: number): string {
  return strength >= 75 ? 'Strong' : strength >= 50 ? 'Fair' : strength >= 25 ? 'Weak' : 'Critical';
}

export function Strength({ id, className }: { id: string; className: string }): ReactNode {
  const view = useStreamView<NetworkMetrics>('network_metrics');
  const series = useSeries('network_metrics');
  const strength = view.data?.network_strength ?? null;
  const list = parts(view.data);
  const missing = list.filter(({ points }) => points === null);

  return (
    <Panel title="Network strength" view={view} className={className} id={id}>
      <div className="strength">
        <Gauge value={strength} waiting={view.data === null} />
        <div className="strength-parts">
          <ul>
            {list.map((part) => (
              <PartRow key={part.name} part={part} waiting={view.data === null} />
            ))}
          </ul>
          {view.data !== null && missing.length > 0 && (
            <p className="strength-note">
              {missing.map(({ name }) => name).join(' and ')} left out; the rest is scaled to 100.
            </p>
          )}
        </div>
        <div className="strength-course">
          <Sparkline series={series} names={STRENGTH} window={600} label="Network strength, last 10 minutes" height={34} />
        </div>
      </div>
    </Panel>
  );
}

const STRENGTH = ['network_strength'];

function PartRow({ part, waiting }: { part: Part; waiting: boolean }): ReactNode {
  const share = part.points === null ? 0 : part.points / part.most;
  return (
    <li title={part.how}>
      <span className="part-name">{part.name}</span>
      <span className="part-value">{part.value ?? (waiting ? '–' : <span className="not-reported">not reported</span>)}</span>
      <span key={part.points === null ? 'none' : 'points'} className="part-points">
        {part.points === null ? '–' : fixed(part.points, 1)}
        <span className="part-most"> / {part.most}</span>
      </span>
      <span className="bar" aria-hidden="true">
        <span className="bar-fill" style={{ width: `${share * 100}%` }} data-empty={part.points === null} />
      </span>
      <span className="visually-hidden">points. {part.how}.</span>
    </li>
  );
}

const RADIUS = 78;
const SWEEP = 250;
const START = 90 + (360 - SWEEP) / 2;
const LENGTH = (SWEEP / 360) * 2 * Math.PI * RADIUS;

function point(angle: number, radius: number): string {
  const radians = (angle * Math.PI) / 180;
  return `${(100 + radius * Math.cos(radians)).toFixed(2)} ${(100 + radius * Math.sin(radians)).toFixed(2)}`;
}

const ARC = `M${point(START, RADIUS)}A${RADIUS} ${RADIUS} 0 1 1 ${point(START + SWEEP, RADIUS)}`;
const TICKS = [0, 25, 50, 75, 100].map((value) => {
  const angle = START + (value / 100) * SWEEP;
  return { value, line: `M${point(angle, RADIUS + 11)}L${point(angle, RADIUS + 15)}` };
});

function Gauge({ value, waiting }: { value: number | null; waiting: boolean }): ReactNode {
  const share = value === null ? 0 : Math.min(Math.max(value, 0), 100) / 100;
  return (
    <div
      className="gauge"
      data-rating={value === null ? 'none' : rating(value).toLowerCase()}
      role="img"
      aria-label={
        value === null
          ? `Network strength: ${waiting ? 'waiting for data' : 'not reported'}`
          : `Network strength: ${value} of 100, ${rating(value).toLowerCase()}`
      }
    >
      <svg viewBox="0 0 200 172" aria-hidden="true" focusable="false">
        <path className="gauge-track" d={ARC} />
        <path
          className="gauge-value"
          d={ARC}
          style={{ strokeDasharray: LENGTH, strokeDashoffset: LENGTH * (1 - share), opacity: value === null ? 0 : 1 }}
        />
        {TICKS.map((tick) => (
          <path key={tick.value} className="gauge-tick" d={tick.line} />
        ))}
      </svg>
      <div className="gauge-text" aria-hidden="true">
        {value === null ? (
          <>
            <span key="none" className="gauge-number gauge-none">
              –
            </span>
            <span key="none-of" className="gauge-of">
              {waiting ? '\u00a0' : 'not reported'}
            </span>
            <span key="none-rating" className="gauge-rating">
              {'\u00a0'}
            </span>
          </>
        ) : (
          <>
            <span key="number" className="gauge-number">
              {value}
            </span>
            <span key="of" className="gauge-of">
              of 100
            </span>
            <span key={rating(value)} className="gauge-rating">
              {rating(value)}
            </span>
          </>
        )}
      </div>
    </div>
  );
}
