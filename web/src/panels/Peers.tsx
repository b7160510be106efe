import { useCallback, useDeferredValue, useId, useMemo, type ReactNode } from 'react';
import type { Peer, Peers as PeersData } from '../client';
import { useStreamView } from '../hooks';
import { figure } from '../app/format';
import { openItem } from '../app/items';
import { useParam } from '../app/url';
import { DataGrid, type Column, type Sort } from '../ui/DataGrid';
import { Icon } from '../ui/Icon';
import { Panel } from '../ui/Panel';
import { NotReported } from '../ui/Value';
import { Id } from './Cells';
import '../ui/badge.css';
import '../ui/bar.css';
import './Peers.css';

const NO_PEERS: readonly Peer[] = [];

function open(peer: Peer): void {
  openItem('peers', { ...peer }, 'id');
}

/** The peers, to be sorted and searched. */
export function Peers({ id, className, rows: visible = 10 }: { id: string; className: string; rows?: number | undefined }): ReactNode {
  const view = useStreamView<PeersData>('peers');
  const peers = view.data?.peers ?? NO_PEERS;
  const [order, setOrder] = useParam('peers.sort', 'latency');
  const sort = useMemo<Sort>(() => ({ column: order.replace(/^-/, ''), descending: order.startsWith('-') }), [order]);
  const [search, setSearch] = useParam('peers.q', '');
  const needle = useDeferredValue(search.trim().toLowerCase());
  const searchId = useId();

  const slowest = useMemo(() => peers.reduce((most, peer) => Math.max(most, peer.latency_ms ?? 0), 0), [peers]);
  const rows = useMemo(() => arrange(peers, needle, sort), [peers, needle, sort]);
  const columns = useMemo(() => makeColumns(slowest), [slowest]);
  const compact = useCallback((peer: Peer) => <CompactPeer peer={peer} slowest={slowest} />, [slowest]);

  return (
    <Panel
      title="Peers"
      view={view}
      className={className}
      id={id}
      note={view.data === null ? undefined : `${view.data.total ?? peers.length} connected${validators(peers)}`}
      tools={
        <div className="search">
          <Icon name="search" size={14} />
          <label htmlFor={searchId} className="visually-hidden">
            Search peers by id or address
          </label>
          <input
            id={searchId}
            type="search"
            placeholder="Search id or address"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            autoComplete="off"
            spellCheck={false}
          />
        </div>
      }
    >
      <DataGrid
        label="Peers"
        columns={columns}
        rows={rows}
        visibleRows={visible}
        rowKey={(peer) => peer.id}
        onOpen={open}
        sort={sort}
        onSort={(column) =>
          setOrder(`${(sort.column === column ? !sort.descending : column === 'validator') ? '-' : ''}${column}`)
        }
        compact={compact}
        compactBelow={560}
        empty={
          view.data === null
            ? 'Waiting for the list of peers.'
            : peers.length === 0
              ? 'No peers are connected.'
              : `None of the ${peers.length} peers has “${search.trim()}” in its id or address.`
        }
      />
      <p className="visually-hidden" role="status">
        {needle === '' ? '' : `${rows.length} peers found`}
      </p>
    </Panel>
  );
}

function validators(peers: readonly Peer[]): string {
  const told = peers.filter(({ is_validator }) => typeof is_validator === 'boolean');
  if (told.length === 0) {
    return '';
  }
  const count = told.filter(({ is_validator }) => is_validator).length;
  return `, ${count} ${count === 1 ? 'validator' : 'validators'}`;
}

/** Those that have `needle` in id or address, in order. Peers without a value come last, whatever the direction. */
export function arrange(peers: readonly Peer[], needle: string, { column, descending }: Sort): Peer[] {
  const found =
    needle === ''
      ? [...peers]
      : peers.filter(({ id, address }) => String(id).toLowerCase().includes(needle) || (address ?? '').toLowerCase().includes(needle));
  const value = (peer: Peer): string | number | null => {
    switch (column) {
      case 'latency':
        return peer.latency_ms ?? null;
      case 'address':
        return peer.address ?? null;
      case 'validator':
        return peer.is_validator === null || peer.is_validator === undefined ? null : peer.is_validator ? 1 : 0;
      default:
        return peer.id;
    }
  };
  const direction = descending ? -1 : 1;
  return found.sort((a, b) => {
    const left = value(a);
    const right = value(b);
    if (left === null || right === null) {
      return left === right ? 0 : left === null ? 1 : -1;
    }
    const order = typeof left === 'number' && typeof right === 'number' ? left - right : String(left).localeCompare(String(right), 'en', { numeric: true });
    return direction * order;
  });
}

function makeColumns(slowest: number): readonly Column<Peer>[] {
  return [
    { id: 'id', header: 'Peer', width: 'minmax(8.75rem, 1fr)', sortable: true, cell: (peer) => <Id value={peer.id} head={14} tail={6} /> },
    { id: 'address', header: 'Address', width: 'minmax(11.25rem, 1.4fr)', sortable: true, from: 640, cell: (peer) => <Id value={peer.address} head={34} tail={14} /> },
    { id: 'latency', header: 'Latency', width: 'minmax(9.4rem, 1.2fr)', sortable: true, cell: (peer) => <Latency ms={peer.latency_ms} slowest={slowest} /> },
    { id: 'validator', header: 'Role', width: '7.25rem', sortable: true, cell: (peer) => <Role validator={peer.is_validator} /> },
  ];
}

/** Below 100 ms good, below 250 ms fair. The length tells it too, and the number exactly. */
function tone(ms: number): string {
  return ms < 100 ? 'ok' : ms < 250 ? 'warn' : 'bad';
}

function Latency({ ms, slowest }: { ms: number | null | undefined; slowest: number }): ReactNode {
  if (ms === null || ms === undefined) {
    return <NotReported />;
  }
  return (
    <span className="latency">
      <span className="latency-number">{figure(ms)} ms</span>
      <span className="bar" aria-hidden="true">
        <span className="bar-fill" data-tone={tone(ms)} style={{ width: `${slowest === 0 ? 0 : Math.max(2, (ms / slowest) * 100)}%` }} />
      </span>
    </span>
  );
}

function Role({ validator }: { validator: boolean | null | undefined }): ReactNode {
  if (validator === null || validator === undefined) {
    return <NotReported />;
  }
  return validator ? (
    <span className="badge" data-tone="info">
      <Icon name="shield" size={13} />
      Validator
    </span>
  ) : (
    <span className="role-peer">Peer</span>
  );
}

function CompactPeer({ peer, slowest }: { peer: Peer; slowest: number }): ReactNode {
  return (
    <>
      <span className="compact-line">
        <Id value={peer.id} head={12} tail={5} />
        <span className="compact-end">
          <Role validator={peer.is_validator} />
        </span>
      </span>
      <span className="compact-line compact-minor">
        <Latency ms={peer.latency_ms} slowest={slowest} />
      </span>
    </>
  );
}
