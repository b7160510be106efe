import { useMemo, type ReactNode } from 'react';
import type { LogEntry } from '../client';
import { useStreamView } from '../hooks';
import { label } from '../app/format';
import { openItem } from '../app/items';
import { useParam } from '../app/url';
import type { Column } from '../ui/DataGrid';
import { Segmented, type Choice } from '../ui/Segmented';
import { Amount, Id, MarketTag, Time } from './Cells';
import { LogPanel } from './LogPanel';
import { marketIcon } from './Markets';
import './Receipts.css';

const ALL = 'all';
const ORDER = ['compute', 'storage', 'energy', 'ads'];

function open(entry: LogEntry): void {
  openItem('receipts', entry.value, 'id');
}

/** Receipts as they come, all or one market's. */
export function Receipts({ id, className, rows = 12 }: { id: string; className: string; rows?: number | undefined }): ReactNode {
  const view = useStreamView('receipts');
  const [market, setMarket] = useParam('market', ALL);

  const choices = useMemo(() => {
    const counts = new Map(ORDER.map((name) => [name, 0]));
    for (const { value } of view.entries) {
      if (typeof value.market === 'string') {
        counts.set(value.market, (counts.get(value.market) ?? 0) + 1);
      }
    }
    const list: Choice<string>[] = [{ value: ALL, label: 'All' }];
    for (const [name, count] of counts) {
      list.push({ value: name, label: label(name), icon: marketIcon(name), count });
    }
    return list;
  }, [view.entries]);

  const filter = useMemo(() => (market === ALL ? undefined : ({ value }: LogEntry) => value.market === market), [market]);

  return (
    <LogPanel
      title="Receipts"
      noun="receipts"
      view={view}
      className={className}
      id={id}
      onOpen={open}
      columns={COLUMNS}
      compact={compact}
      compactBelow={620}
      visibleRows={rows}
      rowHeight={40}
      filter={filter}
      tools={<Segmented label="Market" value={market} choices={choices} onChange={setMarket} className="segmented-wrap" />}
    />
  );
}

const COLUMNS: readonly Column<LogEntry>[] = [
  { id: 'time', header: 'Time', width: '4rem', cell: ({ value }) => <Time value={value.timestamp} /> },
  { id: 'market', header: 'Market', width: '6rem', cell: ({ value }) => <MarketTag market={value.market} /> },
  { id: 'id', header: 'Receipt', width: 'minmax(9.4rem, 1fr)', cell: ({ value }) => <ReceiptId value={value.id} /> },
  { id: 'block', header: 'Block', width: '4.75rem', align: 'end', from: 640, cell: ({ value }) => <Amount value={value.block_height} /> },
  {
    id: 'parties',
    header: 'Provider and consumer',
    width: 'minmax(9.4rem, 1.3fr)',
    from: 780,
    cell: ({ value }) => <Parties provider={value.provider} consumer={value.consumer} />,
  },
  { id: 'amount', header: 'Amount', width: '14.5rem', align: 'end', cell: ({ value }) => <Amount value={value.amount} /> },
];

function ReceiptId({ value }: { value: unknown }): ReactNode {
  return (
    <>
      <span className="receipt-id">
        <Id value={value} head={9} tail={4} />
      </span>
      {/* Only a new row's style shows it. */}
      <span className="new-tag">new</span>
    </>
  );
}

function Parties({ provider, consumer }: { provider: unknown; consumer: unknown }): ReactNode {
  return (
    <span className="parties">
      <Id value={provider} head={22} />
      <span className="parties-to">
        <span aria-hidden="true">→ </span>
        <span className="visually-hidden">to </span>
        <Id value={consumer} head={18} />
      </span>
    </span>
  );
}

function compact({ value }: LogEntry): ReactNode {
  return (
    <>
      <span className="compact-line">
        <MarketTag market={value.market} />
        <span className="compact-end">
          <Amount value={value.amount} />
        </span>
      </span>
      <span className="compact-line compact-minor">
        <Time value={value.timestamp} />
        <span className="new-tag">new</span>
        <Id value={value.id} head={9} tail={4} />
        <span className="compact-end">
          block <Amount value={value.block_height} />
        </span>
      </span>
    </>
  );
}
