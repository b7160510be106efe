import { useCallback, useMemo, type ReactNode } from 'react';
import { isObject, type LogEntry, type StreamView } from '../client';
import { label } from '../app/format';
import { openItem } from '../app/items';
import { useParam } from '../app/url';
import type { ColumnConfig, TableConfig } from '../board/types';
import { AMOUNT, at, guess, titleOf } from '../board/values';
import { useStreamView } from '../hooks';
import type { Column } from '../ui/DataGrid';
import { Segmented, type Choice } from '../ui/Segmented';
import { Cell } from './Cell';
import { LogPanel } from './LogPanel';
import './Cells.css';

/** Names that say most, in this order; any others follow as they come. */
const FIRST = ['timestamp', 'time', 'number', 'height', 'slot', 'block_number', 'kind', 'type', 'method', 'market', 'id', 'hash', 'from', 'to', 'amount', 'value', 'status'];
const ALL = 'all';

/** A log, or a list that a snapshot has, as a table: of the members the board names, or of what the entries have. */
export function TablePanel({ config, id, className }: { config: TableConfig; id: string; className: string }): ReactNode {
  const real = useStreamView(config.stream);
  const view = useRows(real, config);
  const columns = useColumns(view.entries, config);
  const [chosen, setChosen] = useParam(`${id}.${config.filter ?? 'filter'}`, ALL);
  const title = config.title ?? label(config.stream);
  const { filter: member } = config;

  const choices = useMemo(() => {
    if (member === undefined) {
      return [];
    }
    const counts = new Map<string, number>();
    for (const { value } of view.entries) {
      const text = String(at(value, member) ?? '');
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    const list: Choice<string>[] = [{ value: ALL, label: 'All' }];
    const format = config.fields?.find(({ field }) => field === member);
    for (const [value, count] of [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6)) {
      list.push({ value, label: value === '' ? 'None' : (format?.names?.[value] ?? label(value)), count });
    }
    return list;
  }, [member, view.entries, config.fields]);

  const filter = useMemo(
    () => (member === undefined || chosen === ALL ? undefined : ({ value }: LogEntry) => String(at(value, member) ?? '') === chosen),
    [member, chosen],
  );
  const open = useCallback((entry: LogEntry) => openItem(config.stream, entry.value, config.key), [config]);

  return (
    <LogPanel
      id={id}
      title={title}
      noun={config.noun ?? title.toLowerCase()}
      view={view}
      className={className}
      columns={columns.full}
      compact={columns.compact}
      compactBelow={520}
      visibleRows={config.rows ?? 10}
      rowHeight={38}
      filter={filter}
      onOpen={open}
      still={config.list !== undefined}
      tools={choices.length > 2 ? <Segmented label={label(member ?? '')} value={chosen} choices={choices} onChange={setChosen} className="segmented-wrap" /> : undefined}
    />
  );
}

/** A list in a snapshot, as if its items were entries of a log. */
function useRows(view: StreamView, { list, sort }: TableConfig): StreamView {
  return useMemo(() => {
    if (list === undefined) {
      return view;
    }
    const rows = at(view.data, list);
    const objects = Array.isArray(rows) ? rows.map((row: unknown) => (isObject(row) ? row : { value: row })) : [];
    if (sort !== undefined) {
      const name = sort.replace(/^-/, '');
      const sign = sort.startsWith('-') ? -1 : 1;
      objects.sort((a, b) => sign * compare(a[name], b[name]));
    }
    const entries: LogEntry[] = objects.map((value, index) => ({ key: index + 1, value, seq: null, receivedAt: 0, gap: null }));
    return { ...view, entries, received: entries.length };
  }, [view, list, sort]);
}

function compare(a: unknown, b: unknown): number {
  return (typeof a === 'number' || typeof a === 'bigint') && (typeof b === 'number' || typeof b === 'bigint') ? (a < b ? -1 : a > b ? 1 : 0) : String(a).localeCompare(String(b), 'en', { numeric: true });
}

function useColumns(entries: readonly LogEntry[], config: TableConfig): { full: readonly Column<LogEntry>[]; compact: (entry: LogEntry) => ReactNode } {
  const sample = entries[0];
  const key = config.fields === undefined ? fieldsOf(entries).join('\n') : '';
  const kinds = config.fields === undefined ? key.split('\n').map((name) => guess(name, sample?.value[name])).join(' ') : '';
  return useMemo(() => {
    const fields: readonly ColumnConfig[] = config.fields ?? (key === '' ? [] : key.split('\n').map((field) => ({ field })));
    return { full: makeColumns(fields, sample), compact: compactRow(fields, sample) };
    // The sample only tells what kind of values there are.
  }, [config, key, kinds, sample === undefined]);
}

/** The members that the newest entries have, the telling ones first. */
function fieldsOf(entries: readonly LogEntry[]): string[] {
  const names = new Set<string>();
  const newest = entries.slice(0, 20);
  for (const { value } of newest) {
    for (const [name, member] of Object.entries(value)) {
      if (member !== null && !isObject(member)) {
        names.add(name); // what none of them has would be a column of "not reported"
      }
    }
  }
  // The same twice says nothing twice.
  if (names.has('market') && newest.every(({ value }) => value.type === value.market)) {
    names.delete('type');
  }
  const place = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return [...names].sort((a, b) => place(a) - place(b)).slice(0, 8);
}

const NUMBERS = ['number', 'integer', 'exact', 'percent', 'bytes', 'rate', 'seconds', 'ms', 'coin'];

function makeColumns(fields: readonly ColumnConfig[], sample: LogEntry | undefined): Column<LogEntry>[] {
  let room = 0;
  return fields.map((column, index) => {
    const as = column.as ?? guess(column.field, at(sample?.value, column.field));
    const numeric = NUMBERS.includes(as);
    // An amount is shown with every digit; one of 64 bits has twenty of them.
    // The mark of a new row stands behind what names it, not behind its time.
    const marked = index === Math.min(fields.length - 1, (fields[0]?.as ?? guess(fields[0]?.field ?? '', at(sample?.value, fields[0]?.field ?? ''))) === 'time' ? 1 : 0);
    const least = column.width ?? (as === 'time' ? 4.25 : AMOUNT.test(column.field) && column.as === undefined ? 13.5 : as === 'hash' ? 9.5 : as === 'status' ? 6.5 : numeric ? 5.25 : 6.5);
    room += least * 16 + 14;
    return {
      id: column.field,
      header: titleOf(column),
      width: column.grow === 0 || as === 'time' ? `${least}rem` : `minmax(${least}rem, ${column.grow ?? 1}fr)`,
      from: column.from ?? room,
      ...((column.align ?? (numeric ? 'end' : 'start')) === 'end' ? { align: 'end' as const } : {}),
      cell: (entry) => (
        <>
          <Cell value={at(entry.value, column.field)} format={column} name={column.field} {...(column.empty === undefined ? {} : { empty: column.empty })} />
          {marked && <span className="new-tag">new</span>}
        </>
      ),
    };
  });
}

function compactRow(fields: readonly ColumnConfig[], sample: LogEntry | undefined): (entry: LogEntry) => ReactNode {
  const kind = (column: ColumnConfig): string => column.as ?? guess(column.field, at(sample?.value, column.field));
  const [first, second, third, ...rest] = fields;
  const last =
    rest.find((column) => kind(column) === 'coin' || AMOUNT.test(column.field)) ?? rest.find((column) => kind(column) === 'status') ?? rest.find((column) => NUMBERS.includes(kind(column)));
  return function Compact({ value }: LogEntry): ReactNode {
    const cell = (column: ColumnConfig | undefined): ReactNode =>
      column === undefined ? null : <Cell value={at(value, column.field)} format={column} name={column.field} {...(column.empty === undefined ? {} : { empty: column.empty })} />;
    return (
      <>
        <span className="compact-line">
          <span>{cell(second ?? first)}</span>
          <span className="compact-end">
            {last !== undefined && NUMBERS.includes(kind(last)) && kind(last) !== 'coin' && !AMOUNT.test(last.field) && <span className="compact-label">{titleOf(last)} </span>}
            {cell(last)}
          </span>
        </span>
        <span className="compact-line compact-minor">
          <span>{second === undefined ? null : cell(first)}</span>
          <span className="new-tag">new</span>
          <span className="compact-end">{cell(third)}</span>
        </span>
      </>
    );
  };
}
