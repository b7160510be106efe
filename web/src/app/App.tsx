import { Component, lazy, startTransition, Suspense, useCallback, useEffect, useMemo, useState, type ReactNode } from 'react';
import { autoBoard } from '../board/auto';
import { panelId } from '../board/check.js';
import { useBoard } from '../board/load';
import type { Board, PanelConfig } from '../board/types';
import type { StreamClient, StreamInfo } from '../client';
import { StreamProvider, useConnection, useStreamView } from '../hooks';
import { BlocksPanel } from '../panels/BlocksPanel';
import { ChartPanel } from '../panels/ChartPanel';
import { Markets } from '../panels/Markets';
import { NumbersPanel } from '../panels/NumbersPanel';
import { Receipts } from '../panels/Receipts';
import { Strength } from '../panels/Strength';
import { TablePanel } from '../panels/TablePanel';
import { Banner } from './Banner';
import { useWatch } from './events';
import { label } from './format';
import { useHeadline } from './headline';
import { useHealth } from './health';
import { Header } from './Header';
import { useNotifications } from './notify';
import { Watch } from './Watch';
import { setTheme } from './theme';
import { setParams, useFlag, useParam } from './url';
import type { Command } from './Finder';
import './App.css';

const Drawer = lazy(() => import('./Drawer').then(({ Drawer: component }) => ({ default: component })));
const Finder = lazy(() => import('./Finder').then(({ Finder: component }) => ({ default: component })));

/** At the page's end, and not needed for its first paint. */
const GatewayPanel = lazy(() => import('../panels/GatewayPanel').then(({ GatewayPanel: component }) => ({ default: component })));
const Peers = lazy(() => import('../panels/Peers').then(({ Peers: component }) => ({ default: component })));
const EventsPanel = lazy(() => import('../panels/EventsPanel').then(({ EventsPanel: component }) => ({ default: component })));

const REMEMBERED = 'blockcast.streams';
const NONE: readonly string[] = [];

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

  const loaded = useBoard();
  const offered = useOffered(streams);
  const board = useMemo(() => loaded.board ?? (loaded.state === 'loading' ? null : autoBoard(offered)), [loaded, offered]);
  const shown = useShown(board, offered, streams !== null);
  const used = useMemo(() => [...new Set(shown.flatMap(streamsOf))].filter((name) => offered.length === 0 || offered.includes(name)), [shown, offered]);

  const health = useHealth(client, offered.length === 0 ? NONE : used);
  useHeadline(health, board);
  useNotifications(health, board?.title ?? 'blockcast');
  useWatch(used);

  const kiosk = useFlag('kiosk');
  const [only] = useParam('panel', '');
  const [opened] = useParam('open', '');
  const [finding, setFinding] = useState(false);
  const find = useCallback(() => setFinding(true), []);
  useShortcuts(find, only === '');
  const commands = useCommands(shown);

  useEffect(() => {
    document.documentElement.toggleAttribute('data-kiosk', kiosk);
    document.documentElement.toggleAttribute('data-only', only !== '');
  }, [kiosk, only]);

  const panels = only === '' ? shown : shown.filter((panel) => panelId(panel) === only);
  const made = useByAndBy(panels.length);

  return (
    <>
      {only === '' && (
        <>
          <a className="skip" href="#main">
            Skip to the figures
          </a>
          <Header health={health} board={board} onFind={find} />
        </>
      )}
      <main id="main" tabIndex={-1}>
        <h2 className="visually-hidden">Figures</h2>
        <Banner client={client} health={health} streams={used.length} />
        {only === '' && board?.watch !== undefined && <Watch board={board} />}
        {loaded.problems.length > 0 && <Problems problems={loaded.problems} />}
        {board !== null && panels.length > 0 ? (
          <div className="board">
            {panels.map((panel, index) =>
              index < made ? (
                <Guard key={panelId(panel)} name={panel.title ?? label(panelId(panel))} area={classOf(panel)}>
                  <AnyPanel panel={panel} />
                </Guard>
              ) : (
                <section key={panelId(panel)} className={`panel panel-later panel-unmade ${classOf(panel)}`} data-panel={panelId(panel)} />
              ),
            )}
          </div>
        ) : (
          <Nothing known={streams !== null && board !== null} only={only} panels={shown} />
        )}
        {only === '' && board !== null && board.watch === undefined && <Watch board={board} />}
      </main>
      {only === '' && board !== null && (panels.length > 0 || streams !== null) && (
        <footer className="footer">
          <p>
            The same data as JSON: <a href="api/streams">streams</a>, <a href="api/health">health</a>. <kbd>/</kbd> searches, <kbd>?kiosk</kbd> is for walls.
          </p>
        </footer>
      )}
      {opened !== '' && board !== null && (
        <Suspense fallback={null}>
          <Drawer board={board} />
        </Suspense>
      )}
      {finding && (
        <Suspense fallback={null}>
          <Finder streams={used} commands={commands} onClose={() => setFinding(false)} />
        </Suspense>
      )}
    </>
  );
}

/** The panels of the board whose streams are there, and at the end those of streams that it does not name. */
function useShown(board: Board | null, offered: readonly string[], known: boolean): readonly PanelConfig[] {
  const named = board?.panels.flatMap(streamsOf) ?? [];
  const hidden = board?.hide ?? (named.includes('receipts') ? ['operations'] : []); // the same trades once more
  const others = board === null || board.others === false ? [] : offered.filter((name) => !named.includes(name) && !hidden.includes(name));
  const infos = useInfos(others.length > 0);
  const key = others.map((name) => `${name} ${infos.get(name)?.kind ?? ''}`).join('\n');

  return useMemo(() => {
    if (board === null) {
      return [];
    }
    const there = (panel: PanelConfig): boolean => !known || streamsOf(panel).slice(0, 1).every((name) => offered.includes(name));
    const more = key === '' ? [] : key.split('\n').map((line): PanelConfig => {
      const [name = '', kind = ''] = line.split(' ');
      return kind === 'log' ? { panel: 'table', stream: name } : { panel: 'numbers', id: name, stream: name };
    });
    const own = board.panels.filter(there);
    // What the page does not know comes before the gateway's own story.
    const end = own.findIndex(({ panel }) => panel === 'gateway');
    return end === -1 ? [...own, ...more] : [...own.slice(0, end), ...more, ...own.slice(end)];
  }, [board, key, offered, known]);
}

export function streamsOf(panel: PanelConfig): string[] {
  switch (panel.panel) {
    case 'strength':
      return ['network_metrics'];
    case 'markets':
      return ['markets_health'];
    case 'peers':
      return ['peers'];
    case 'receipts':
      return ['receipts'];
    case 'gateway':
    case 'events':
      return [];
    case 'blocks':
      return panel.entries === undefined ? [panel.stream] : [panel.stream, panel.entries.stream];
    case 'numbers':
      return [panel.stream, ...(panel.numbers ?? []).flatMap(({ of }) => (of === undefined ? [] : [of]))];
    default:
      return [panel.stream];
  }
}

function classOf(panel: PanelConfig): string {
  return `area-${panelId(panel)} span-${panel.columns ?? 12} wide-${panel.columns_wide ?? panel.columns ?? 12}`;
}

function AnyPanel({ panel }: { panel: PanelConfig }): ReactNode {
  const id = panelId(panel);
  const className = classOf(panel);
  switch (panel.panel) {
    case 'blocks':
      return <BlocksPanel config={panel} id={id} className={className} />;
    case 'numbers':
      return <AnyNumbers panel={panel} id={id} className={className} />;
    case 'chart':
      return <ChartPanel config={panel} id={id} className={className} />;
    case 'table':
      return <TablePanel config={panel} id={id} className={className} />;
    case 'strength':
      return <Strength id={id} className={className} />;
    case 'markets':
      return <Markets id={id} className={className} />;
    case 'peers':
      return (
        <Suspense fallback={<section className={`panel panel-later ${className}`} />}>
          <Peers id={id} className={className} rows={panel.rows} />
        </Suspense>
      );
    case 'receipts':
      return <Receipts id={id} className={className} rows={panel.rows} />;
    case 'gateway':
      return (
        <Suspense fallback={<section className={`panel panel-later ${className}`} />}>
          <GatewayPanel id={id} className={className} title={panel.title} />
        </Suspense>
      );
    case 'events':
      return (
        <Suspense fallback={<section className={`panel panel-later ${className}`} />}>
          <EventsPanel id={id} className={className} title={panel.title} />
        </Suspense>
      );
  }
}

/** A stream that nobody described may turn out to be a log: then it is a table. */
function AnyNumbers({ panel, id, className }: { panel: PanelConfig & { panel: 'numbers' }; id: string; className: string }): ReactNode {
  const view = useStreamView(panel.stream);
  return view.kind === 'log' && panel.numbers === undefined && panel.facts === undefined ? (
    <TablePanel config={{ panel: 'table', stream: panel.stream }} id={id} className={className} />
  ) : (
    <NumbersPanel config={panel} id={id} className={className} />
  );
}

/**
 * How many panels are in sight at first, at most. Asked for once, before there is anything on the page: to tell its size later, the
 * browser lays out there and then all that was just made.
 */
function atFirst(): number {
  if (typeof IntersectionObserver === 'undefined') {
    return Infinity;
  }
  const { width, height } = viewport;
  const beside = width < 800 ? 1 : width < 1920 ? 2 : 3;
  return 1 + beside * Math.max(1, Math.ceil(height / 400 - 1));
}

const viewport = typeof window === 'undefined' ? { width: 0, height: 0 } : { width: innerWidth, height: innerHeight };

/** When panels out of sight begin to be made, and the time between two of them (ms). */
const LATER = 2000;
const APART = 200;

/**
 * How many of the panels are made: those in sight at once, the others when someone comes near, or one by one a little later. What
 * nobody sees yet must not keep a phone from answering.
 */
function useByAndBy(count: number): number {
  const [made, setMade] = useState(atFirst);
  useEffect(() => {
    if (made >= count) {
      return;
    }
    const more = (): void => startTransition(() => setMade((before) => before + 1));
    const begun = made > atFirst();
    const timer = setTimeout(more, begun ? APART : LATER);
    const next = document.querySelector('.panel-unmade');
    const observer = new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting === true && more(), { rootMargin: begun ? '600px' : '100px' });
    if (next !== null) {
      observer.observe(next);
    }
    return () => {
      clearTimeout(timer);
      observer.disconnect();
    };
  }, [made, count]);
  return made;
}

function useShortcuts(find: () => void, on: boolean): void {
  useEffect(() => {
    if (!on) {
      return;
    }
    const onKey = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && (event.target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName));
      if ((event.key.toLowerCase() === 'k' && (event.metaKey || event.ctrlKey)) || (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey)) {
        event.preventDefault();
        find();
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [find, on]);
}

function useCommands(panels: readonly PanelConfig[]): readonly Command[] {
  return useMemo(
    () => [
      ...panels.map((panel): Command => ({
        title: `Go to ${panel.title ?? label(panelId(panel))}`,
        icon: 'down',
        run: () => {
          const element = document.querySelector<HTMLElement>(`[data-panel="${CSS.escape(panelId(panel))}"]`);
          element?.scrollIntoView({ block: 'start' });
          element?.setAttribute('tabindex', '-1');
          element?.focus({ preventScroll: true });
        },
      })),
      { title: 'Theme: light', icon: 'sun', run: () => setTheme('light') },
      { title: 'Theme: dark', icon: 'moon', run: () => setTheme('dark') },
      { title: 'Theme: as the system', icon: 'screen', run: () => setTheme('system') },
      { title: 'Kiosk: for a wall', icon: 'screen', run: () => setParams({ kiosk: '1' }, true) },
      ...panels.map((panel): Command => ({
        title: `Only ${panel.title ?? label(panelId(panel))}`,
        icon: 'share',
        run: () => setParams({ panel: panelId(panel) }, true),
      })),
    ],
    [panels],
  );
}

/** The operator's file cannot be shown: said where the operator looks, with what to mend. */
function Problems({ problems }: { problems: readonly string[] }): ReactNode {
  return (
    <section className="panel problems" aria-label="Problems of dashboard.json">
      <p>
        <b>dashboard.json cannot be used</b>, so the page shows what the streams have:
      </p>
      <ul>
        {problems.slice(0, 8).map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </section>
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

function Nothing({ known, only, panels }: { known: boolean; only: string; panels: readonly PanelConfig[] }): ReactNode {
  if (!known) {
    return null;
  }
  if (only !== '' && panels.length > 0) {
    return (
      <p className="nothing">
        There is no panel “{only}”. There are: {panels.map(panelId).join(', ')}.
      </p>
    );
  }
  return <p className="nothing">This gateway offers no streams. Its operator chooses them with the blockcast_websocket directive.</p>;
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
