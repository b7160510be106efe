import { useMemo, type ReactNode } from 'react';
import type { LogEntry } from '../client';
import { useStreamView } from '../hooks';
import { isNumeric, label } from '../app/format';
import type { Column } from '../ui/DataGrid';
import { AMOUNT, Anything, Id, isTime } from './Cells';
import { LogPanel } from './LogPanel';

/** Names that say most, in this order; any others follow as they come. */
const FIRST = ['timestamp', 'time', 'number', 'block_number', 'kind', 'type', 'method', 'market', 'id', 'hash', 'from', 'to', 'amount', 'value', 'status'];

interface GenericLogProps {
  stream: string;
  className?: string;
  visibleRows?: number;
  rowHeight?: number;
}

/** A log stream that this page has no panel of its own for: a table of what its entries have. */
export function GenericLog({ stream, className, visibleRows = 10, rowHeight }: GenericLogProps): ReactNode {
  const view = useStreamView(stream);
  const names = useFields(view.entries);
  const key = names.join('\n');
  const columns = useMemo(() => makeColumns(key === '' ? [] : key.split('\n'), view.entries[0]), [key]);
  const compact = useMemo(() => compactRow(key.split('\n'), view.entries[0]), [key]);

  return (
    <LogPanel
      title={label(stream)}
      noun={label(stream).toLowerCase()}
      view={view}
      className={className}
      columns={columns}
      compact={compact}
      compactBelow={520}
      visibleRows={visibleRows}
      rowHeight={rowHeight}
    />
  );
}

/** The members that the newest entries have, the telling ones first. */
function useFields(entries: readonly LogEntry[]): string[] {
  return useMemo(() => {
    const names = new Set<string>();
    for (const { value } of entries.slice(0, 20)) {
      for (const [name, member] of Object.entries(value)) {
        if (member !== null) {
          names.add(name); // what none of them has would be a column of "not reported"
        }
      }
    }
    // The same twice says nothing twice.
    if (names.has('market') && entries.slice(0, 20).every(({ value }) => value.type === value.market)) {
      names.delete('type');
    }
    const place = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
    return [...names].sort((a, b) => place(a) - place(b)).slice(0, 8);
  }, [entries]);
}

function makeColumns(names: readonly string[], sample: LogEntry | undefined): Column<LogEntry>[] {
  const isNumber = (name: string): boolean => isNumeric(sample?.value[name]) || AMOUNT.test(name);
  const marked = names.find((name) => !isNumber(name)) ?? names[0];

  let room = 0;
  return names.map((name) => {
    const time = isTime(name, sample?.value[name]);
    const numeric = isNumber(name) && !time;
    // An amount is shown with every digit; one of 64 bits has twenty of them.
    const least = time ? 4 : AMOUNT.test(name) ? 13.5 : name === marked ? 9.4 : numeric ? 5.25 : 6.5;
    room += least * 16 + 14;
    return {
      id: name,
      header: label(name),
      width: time ? `${least}rem` : `minmax(${least}rem, 1fr)`,
      from: room,
      ...(numeric ? { align: 'end' as const } : {}),
      cell: (entry) => (
        <>
          <Anything name={name} value={entry.value[name]} />
          {name === marked && <span className="new-tag">new</span>}
        </>
      ),
    };
  });
}

function compactRow(names: readonly string[], sample: LogEntry | undefined): (entry: LogEntry) => ReactNode {
  const [first, second, third, ...rest] = names;
  const last = rest.find((name) => AMOUNT.test(name)) ?? rest.find((name) => isNumeric(sample?.value[name]));
  return function Compact({ value }: LogEntry): ReactNode {
    const cell = (name: string | undefined): ReactNode => (name === undefined ? null : <Anything name={name} value={value[name]} />);
    return (
      <>
        <span className="compact-line">
          <span>{cell(second ?? first)}</span>
          <span className="compact-end">
            {last !== undefined && !AMOUNT.test(last) && <span className="compact-label">{label(last)} </span>}
            {cell(last)}
          </span>
        </span>
        <span className="compact-line compact-minor">
          <span>{second === undefined ? null : cell(first)}</span>
          <span className="new-tag">new</span>
          {third === undefined ? null : typeof value[third] === 'string' ? <Id value={value[third]} head={14} tail={6} /> : cell(third)}
        </span>
      </>
    );
  };
}
