import { useEffect, useMemo, useReducer, useRef, useState, type ReactNode } from 'react';
import { exact } from '../app/format';
import type { LogEntry, StreamView } from '../client';
import { Icon } from '../ui/Icon';
import { Panel } from '../ui/Panel';
import { DataGrid, type Column } from '../ui/DataGrid';
import '../ui/button.css';
import './LogPanel.css';

/** How long an entry counts as new, in ms. */
const NEW_FOR = 6000;

interface LogPanelProps {
  title: string;
  view: StreamView;
  className?: string;
  columns: readonly Column<LogEntry>[];
  compact: (entry: LogEntry) => ReactNode;
  compactBelow: number;
  visibleRows?: number;
  rowHeight?: number;
  /** Only these are shown. */
  filter?: (entry: LogEntry) => boolean;
  /** Beside the pause button. */
  tools?: ReactNode;
  /** What the entries are called: `receipts`. */
  noun: string;
  id?: string;
  onOpen?: (entry: LogEntry) => void;
  /** Not a stream of entries but a list: nothing in it is new, and nothing to pause. */
  still?: boolean;
}

/** A log stream as a list: newest first, new ones marked, with a pause. */
export function LogPanel(props: LogPanelProps): ReactNode {
  const { title, view, className, columns, compact, compactBelow, visibleRows, rowHeight, filter, tools, noun, id, onOpen, still = false } = props;
  const [paused, setPaused] = useState<{ entries: readonly LogEntry[]; received: number } | null>(null);

  const entries = paused?.entries ?? view.entries;
  const rows = useMemo(() => (filter === undefined ? entries : entries.filter(filter)), [entries, filter]);
  const waiting = paused === null ? 0 : view.received - paused.received;

  // What was there at first is not new.
  const baseline = useRef<number | null>(null);
  if (baseline.current === null && view.entries.length > 0) {
    baseline.current = (view.entries[0] as LogEntry).key;
  }
  const now = Date.now();

  // Once more when the newest stops being new.
  const [, refresh] = useReducer((count: number) => count + 1, 0);
  const newest = view.entries[0]?.key;
  useEffect(() => {
    const timer = setTimeout(refresh, NEW_FOR + 50);
    return () => clearTimeout(timer);
  }, [newest]);

  const isNew = (entry: LogEntry): boolean => !still && entry.key > (baseline.current ?? 0) && now - entry.receivedAt < NEW_FOR;

  return (
    <Panel
      title={title}
      view={view}
      className={className}
      id={id}
      note={view.data === null ? undefined : `${exact(view.entries.length)} ${still ? '' : 'kept'}`}
      tools={
        still ? tools : <>
          {tools}
          <button
            type="button"
            className="button"
            aria-pressed={paused !== null}
            onClick={() => setPaused(paused === null ? { entries: view.entries, received: view.received } : null)}
          >
            <Icon name={paused === null ? 'pause' : 'play'} size={13} />
            {paused === null ? 'Pause' : waiting > 0 ? `Resume, ${waiting} new` : 'Resume'}
          </button>
        </>
      }
    >
      <DataGrid
        label={title}
        columns={columns}
        rows={rows}
        rowKey={rowKey}
        visibleRows={visibleRows}
        rowHeight={rowHeight}
        compact={compact}
        compactBelow={compactBelow}
        rowClass={(entry) => `${isNew(entry) ? 'row-new' : ''} ${entry.gap === null ? '' : 'row-gap'}`}
        live={paused === null && !still}
        onOpen={onOpen}
        empty={
          view.data === null
            ? `Waiting for the first ${noun}.`
            : view.entries.length === 0
              ? `No ${noun} yet. They appear here as they come.`
              : `None of the ${exact(view.entries.length)} kept ${noun} matches.`
        }
      />
      {view.gap !== null && (
        <p className="log-gap">
          <Icon name="warn" size={13} /> Some {noun} are missing: they came while this page was away for longer than the gateway keeps them. The
          place is marked with a dashed line.
        </p>
      )}
    </Panel>
  );
}

function rowKey(entry: LogEntry): number {
  return entry.key;
}
