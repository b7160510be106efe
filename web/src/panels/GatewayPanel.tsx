import { useEffect, useRef, useState, type ReactNode } from 'react';
import { isObject, type StreamClient } from '../client';
import { duration, exact, figure, fixed } from '../app/format';
import { useConnection } from '../hooks';
import { Icon } from '../ui/Icon';
import '../ui/Panel.css';
import '../ui/badge.css';
import './tiles.css';
import './GatewayPanel.css';

/** How often the gateway is asked how it is, in ms, and only while someone looks. */
const EVERY = 10_000;

interface StreamRow {
  name: string;
  interval: number;
  subscribers: number;
  polls: number;
  state: string;
  /** Seconds that its node took for the last answer; null when the gateway does not say. */
  latency: number | null;
}

/** What `/api/health` says, as far as the page shows it. */
export interface Told {
  readonly at: number;
  readonly status: string;
  readonly version: string | null;
  readonly viewers: number;
  readonly workers: number;
  readonly calls: number | null;
  readonly outages: number;
  /** Requests that the node was spared since the gateway began: each client would have had to ask. */
  readonly saved: number | null;
  readonly nodes: readonly { name: string; state: string }[];
  readonly streams: readonly StreamRow[];
  readonly role: string | null;
  readonly takeovers: number | null;
  /** Seconds for a question to the gateway and back; how far its clock is ahead of this one. */
  readonly trip: number;
  readonly skew: number | null;
}

export function readHealth(document: unknown, at: number, trip: number): Told | null {
  if (!isObject(document) || !Array.isArray(document.streams)) {
    return null;
  }
  const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
  const rows = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isObject) : []);
  const workers = rows(document.workers);
  const nodes = rows(document.nodes);
  const streams = rows(document.streams).map((row) => ({
    name: String(row.name),
    interval: number(row.interval),
    subscribers: number(row.subscribers),
    polls: number(row.polls),
    state: String(row.state),
    latency: typeof row.latency === 'number' ? row.latency : null,
  }));
  const totals = isObject(document.totals) ? document.totals : {};
  const poller = isObject(document.poller) ? document.poller : {};
  return {
    at,
    status: String(document.status),
    version: typeof document.version === 'string' ? document.version : null,
    viewers: Math.max(number(totals.connections), workers.reduce((sum, worker) => sum + number(worker.connections), 0), ...streams.map(({ subscribers }) => subscribers), 0),
    workers: workers.length,
    calls: nodes.some(({ calls }) => typeof calls === 'number') ? nodes.reduce((sum, node) => sum + number(node.calls), 0) : null,
    saved: typeof totals.saved === 'number' ? totals.saved : null,
    outages: nodes.reduce((sum, node) => sum + number(node.outages), 0),
    nodes: nodes.map((node) => ({ name: String(node.name), state: String(node.state) })),
    streams,
    role: typeof poller.role === 'string' ? poller.role : null,
    takeovers: typeof poller.takeovers === 'number' ? poller.takeovers : null,
    trip,
    skew: typeof document.timestamp === 'number' ? document.timestamp - (at - trip / 2) : null,
  };
}

/** Requests a minute that the node gets, and that it would get if every viewer asked by themselves. */
export function load({ streams }: Told): { asked: number; unshared: number } {
  const listened = streams.filter(({ subscribers, interval }) => subscribers > 0 && interval > 0);
  return {
    asked: listened.reduce((sum, { interval }) => sum + 60 / interval, 0),
    unshared: listened.reduce((sum, { interval, subscribers }) => sum + (60 / interval) * subscribers, 0),
  };
}

/** What the gateway does for its node: told by itself. */
export function GatewayPanel({ id, className, title }: { id: string; className: string; title?: string }): ReactNode {
  const { client, connected } = useConnection();
  const [ref, seen] = useSeen();
  const told = useHealthDocument(client, connected && seen);
  const lag = useLag(client, told);
  const figures = told === null ? null : load(told);
  const node = told === null ? null : ([...told.streams].filter(({ latency, subscribers }) => latency !== null && subscribers > 0).sort((a, b) => a.interval - b.interval)[0]?.latency ?? null);
  const each = told === null ? 0 : Math.max(...told.streams.map(({ subscribers }) => subscribers), 0);

  return (
    <section className={`panel ${className}`} data-panel={id} aria-labelledby={`${id}-title`} ref={ref}>
      <header className="panel-head">
        <div className="panel-line">
          <h2 id={`${id}-title`}>{title ?? 'Gateway'}</h2>
          <span className="panel-note">{told?.version === undefined || told.version === null ? undefined : `blockcast ${told.version}`}</span>
          {told !== null && (
            <span className="badge gateway-badge" data-tone={told.status === 'ok' ? 'ok' : 'warn'}>
              <Icon name={told.status === 'ok' ? 'ok' : 'warn'} size={13} />
              {told.status === 'ok' ? 'Healthy' : 'Degraded'}
            </span>
          )}
        </div>
      </header>
      <p className="gateway-story">
        <b>1</b> request to the node serves <b>{told === null ? '…' : exact(Math.max(each, 1))}</b> {each === 1 || told === null ? 'viewer' : 'viewers'}
      </p>
      <dl className="tiles gateway-tiles">
        <Tile title="Node is asked" value={figures === null ? null : figure(Math.round(figures.asked))} unit="a minute" foot={told === null || told.calls === null ? undefined : `${exact(told.calls)} calls so far`} />
        <Tile
          title="Spared the node"
          value={figures === null ? null : figure(Math.round(figures.unshared - figures.asked))}
          unit="a minute"
          foot={told?.saved != null ? `${exact(told.saved)} requests so far` : figures === null || figures.unshared === 0 ? undefined : `${fixed((1 - figures.asked / figures.unshared) * 100, 0)} % of what viewers would ask`}
        />
        <Tile title="Viewers now" value={told === null ? null : exact(told.viewers)} foot={told === null ? undefined : `on ${told.workers} ${told.workers === 1 ? 'worker' : 'workers'}`} />
        <Tile title="Node to this page" value={lag === null ? null : milliseconds(lag)[0]} unit={lag === null ? undefined : milliseconds(lag)[1]} foot={node === null ? 'since the node was asked' : `the node took ${milliseconds(node).join(' ')} of it`} />
        <Tile title="Gateway answers in" value={told === null ? null : milliseconds(told.trip)[0]} unit={told === null ? undefined : milliseconds(told.trip)[1]} foot="there and back" />
        <Tile
          title="Nodes"
          value={told === null ? null : `${told.nodes.filter(({ state }) => state === 'ok').length} of ${told.nodes.length}`}
          unit="well"
          foot={told === null ? undefined : `${exact(told.outages)} ${told.outages === 1 ? 'outage' : 'outages'}${told.takeovers !== null && told.takeovers > 1 ? `, ${told.takeovers} takeovers` : ''}`}
        />
      </dl>
    </section>
  );
}

function milliseconds(seconds: number): [string, string] {
  return seconds < 1 ? [exact(Math.max(1, Math.round(seconds * 1000))), 'ms'] : seconds < 90 ? [fixed(seconds, 1), 's'] : [duration(seconds), ''];
}

function Tile({ title, value, unit, foot }: { title: string; value: string | null; unit?: string | undefined; foot?: string | undefined }): ReactNode {
  return (
    <div className="tile">
      <dt>{title}</dt>
      <dd className="tile-value">
        {value === null ? (
          <span className="placeholder">–</span>
        ) : (
          <span className="figure">
            <span className="figure-value">{value}</span>
            {unit !== undefined && unit !== '' && <span className="figure-unit"> {unit}</span>}
          </span>
        )}
      </dd>
      <dd className="tile-foot">{foot ?? '\u00a0'}</dd>
    </div>
  );
}

/** Whether the panel is in sight. */
function useSeen(): [React.RefObject<HTMLElement | null>, boolean] {
  const ref = useRef<HTMLElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (element === null || typeof IntersectionObserver === 'undefined') {
      setSeen(true);
      return;
    }
    const observer = new IntersectionObserver((entries) => setSeen(entries.at(-1)?.isIntersecting === true), { rootMargin: '100px' });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, seen];
}

function useHealthDocument(client: StreamClient, wanted: boolean): Told | null {
  const [told, setTold] = useState<Told | null>(null);
  useEffect(() => {
    if (!wanted) {
      return;
    }
    let left = false;
    const ask = (): void => {
      if (document.visibilityState === 'hidden') {
        return;
      }
      const started = performance.now();
      client.rest('health').then(
        (answer) => {
          const read = readHealth(answer, Date.now() / 1000, (performance.now() - started) / 1000);
          if (!left && read !== null) {
            setTold(read);
          }
        },
        () => {
          // The connection's own state tells that.
        },
      );
    };
    ask();
    const timer = setInterval(ask, EVERY);
    return () => {
      left = true;
      clearInterval(timer);
    };
  }, [client, wanted]);
  return told;
}

/** Seconds from when the gateway asked the node until the answer was here: the median of the last messages. */
function useLag(client: StreamClient, told: Told | null): number | null {
  const list = useRef<number[]>([]);
  const [lag, setLag] = useState<number | null>(null);
  const skew = useRef<number | null>(null);
  skew.current = told?.skew ?? null;
  const stream = told === null ? undefined : [...told.streams].filter(({ subscribers, interval }) => subscribers > 0 && interval > 0).sort((a, b) => a.interval - b.interval)[0]?.name;
  useEffect(() => {
    if (stream === undefined) {
      return;
    }
    let last = client.view(stream).timestamp;
    return client.subscribe(stream, () => {
      const { timestamp, state } = client.view(stream);
      if (timestamp !== null && timestamp !== last && state === 'live' && skew.current !== null) {
        list.current = [...list.current, Math.max(0, Date.now() / 1000 + skew.current - timestamp)].slice(-15);
        const sorted = [...list.current].sort((a, b) => a - b);
        const next = sorted[sorted.length >> 1] as number;
        setLag((before) => (before !== null && Math.abs(before - next) < 0.002 ? before : next));
      }
      last = timestamp;
    });
  }, [client, stream]);
  return lag;
}
