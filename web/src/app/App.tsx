import { Component, useEffect, useState, type ReactNode } from 'react';
import type { StreamClient, StreamInfo } from '../client';
import { StreamProvider, useConnection, useStreamView } from '../hooks';
import { GenericLog } from '../panels/GenericLog';
import { GenericSnapshot } from '../panels/GenericSnapshot';
import { HistoryPanel } from '../panels/HistoryPanel';
import { Markets } from '../panels/Markets';
import { Metrics } from '../panels/Metrics';
import { Peers } from '../panels/Peers';
import { Receipts } from '../panels/Receipts';
import { Strength } from '../panels/Strength';
import { Banner, useTitle } from './Banner';
import { useHealth } from './health';
import { Header } from './Header';
import './App.css';

const KNOWN = ['network_metrics', 'markets_health', 'receipts', 'operations', 'peers'];
const REMEMBERED = 'blockcast.streams';

export function App({ client }: { client: StreamClient }): ReactNode {
  return (
    <StreamProvider client={client}>
      <Dashboard />
    </StreamProvider>
  );
}

function Dashboard(): ReactNode {
  const { client, streams } = useConnection();
  useEffect(() => client.hold(), [client]);

  const offered = useOffered(streams);
  const health = useHealth(client, offered);
  useTitle(health);

  return (
    <>
      <a className="skip" href="#main">
        Skip to the figures
      </a>
      <Header health={health} />
      <main id="main" tabIndex={-1}>
        <Banner client={client} health={health} streams={offered.length} />
        {offered.length === 0 ? <Nothing known={streams !== null} /> : <Panels offered={offered} />}
      </main>
      <footer className="footer">
        <p>
          The same data as JSON: <a href="api/streams">streams</a>, <a href="api/health">health</a>.
        </p>
      </footer>
    </>
  );
}

function Panels({ offered }: { offered: readonly string[] }): ReactNode {
  const has = (name: string): boolean => offered.includes(name);
  const others = offered.filter((name) => !KNOWN.includes(name));
  const infos = useInfos(others.length > 0);

  return (
    <>
      {KNOWN.some(has) && (
        <div className="board">
          {has('network_metrics') && (
            <>
              <Guard name="Network strength" area="area-strength">
                <Strength />
              </Guard>
              <Guard name="Network" area="area-metrics">
                <Metrics />
              </Guard>
            </>
          )}
          {has('markets_health') && (
            <Guard name="Markets" area="area-markets">
              <Markets />
            </Guard>
          )}
          {has('network_metrics') && (
            <Guard name="History" area="area-history">
              <HistoryPanel stream="network_metrics" />
            </Guard>
          )}
          {has('receipts') && (
            <Guard name="Receipts" area="area-receipts">
              <Receipts />
            </Guard>
          )}
          {has('operations') && (
            <Guard name="Operations" area="area-operations">
              <GenericLog stream="operations" className="area-operations" visibleRows={12} rowHeight={40} />
            </Guard>
          )}
          {has('peers') && (
            <Guard name="Peers" area="area-peers">
              <Peers />
            </Guard>
          )}
        </div>
      )}
      {others.length > 0 && (
        <div className="board board-generic">
          {others.map((name) => (
            <Guard key={name} name={name} area="area-wide">
              <Generic stream={name} info={infos.get(name)} chart={!has('network_metrics') && name === others[0]} />
            </Guard>
          ))}
        </div>
      )}
    </>
  );
}

/** A stream of another chain: by its kind a table or figures. */
function Generic({ stream, info, chart }: { stream: string; info: StreamInfo | undefined; chart: boolean }): ReactNode {
  const view = useStreamView(stream);
  const kind = view.kind ?? info?.kind ?? 'snapshot';
  if (kind === 'log') {
    return <GenericLog stream={stream} className="area-wide" />;
  }
  return (
    <>
      <GenericSnapshot stream={stream} className={chart ? 'area-half' : 'area-wide'} />
      {chart && <HistoryPanel stream={stream} className="area-half" />}
    </>
  );
}

/**
 * The streams that the gateway offers; before it said so, what it offered when this tab was last connected, so that a reload does
 * not shuffle the page.
 */
function useOffered(streams: readonly string[] | null): readonly string[] {
  const [remembered] = useState(recall);

  useEffect(() => {
    if (streams !== null) {
      try {
        sessionStorage.setItem(REMEMBERED, JSON.stringify(streams));
      } catch {
        // Only comfort is lost.
      }
    }
  }, [streams]);

  return streams ?? remembered;
}

function recall(): readonly string[] {
  try {
    const saved: unknown = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? '[]');
    return Array.isArray(saved) ? saved.map(String) : [];
  } catch {
    return [];
  }
}

/** What `/api/streams` tells of each stream; asked only when there are streams that the page does not know. */
function useInfos(wanted: boolean): ReadonlyMap<string, StreamInfo> {
  const [infos, setInfos] = useState<ReadonlyMap<string, StreamInfo>>(() => new Map());
  const { client, connected, epoch: named } = useConnection();
  const epoch = connected ? (named ?? '') : null;

  useEffect(() => {
    if (!wanted || epoch === null) {
      return;
    }
    let left = false;
    client.describe().then(
      (list) => {
        if (!left) {
          setInfos(new Map(list.map((info) => [info.name, info])));
        }
      },
      () => {
        // The data itself tells the kind as well, only later.
      },
    );
    return () => {
      left = true;
    };
  }, [client, epoch, wanted]);

  return infos;
}

function Nothing({ known }: { known: boolean }): ReactNode {
  return known ? (
    <p className="nothing">This gateway offers no streams. Its operator chooses them with the blockcast_websocket directive.</p>
  ) : (
    <div className="skeleton" aria-hidden="true">
      <span />
      <span />
      <span />
      <span />
    </div>
  );
}

interface GuardProps {
  name: string;
  area: string;
  children: ReactNode;
}

/** Data that a panel cannot show must not take the others with it. */
class Guard extends Component<GuardProps, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) {
      return this.props.children;
    }
    return (
      <section className={`panel ${this.props.area}`} aria-label={this.props.name}>
        <header className="panel-head">
          <h2>{this.props.name}</h2>
        </header>
        <p className="panel-empty">
          This panel cannot show what the gateway sent.{' '}
          <button type="button" className="button" onClick={() => this.setState({ failed: false })}>
            Try again
          </button>
        </p>
      </section>
    );
  }
}
