import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import { Icon } from './Icon';
import './button.css';
import './DataGrid.css';

export interface Column<R> {
  id: string;
  header: string;
  /** A track of `grid-template-columns`. */
  width: string;
  align?: 'end';
  /** Left out when the table is narrower than this (px). */
  from?: number;
  cell: (row: R) => ReactNode;
  sortable?: boolean;
}

export interface Sort {
  column: string;
  descending: boolean;
}

interface DataGridProps<R> {
  label: string;
  columns: readonly Column<R>[];
  rows: readonly R[];
  /** What stays the same when rows move. Needed for `live`. */
  rowKey?: (row: R) => string | number;
  /** Every row has it. Lengths here are in px at the usual size of type (16 px), and grow with it. */
  rowHeight?: number;
  /** Visible rows before it scrolls. */
  visibleRows?: number;
  rowClass?: (row: R) => string;
  sort?: Sort;
  onSort?: (column: string) => void;
  /** When the table is narrower than `compactBelow`, a row is this instead of cells. */
  compact?: (row: R) => ReactNode;
  compactBelow?: number;
  compactHeight?: number;
  /** What a click on a row does, or Enter on it. */
  onOpen?: (row: R) => void;
  /** Rows come in at the top: whoever has scrolled down stays where they read. */
  live?: boolean;
  empty: ReactNode;
}

/** A table narrower than this (px) has rows of three lines: a figure of twenty digits stands below what it is of. */
const STACKED = 330;
const LINE = 20;

/** Rows in the document before and after those in sight, and how many rows of scrolling make a new window. */
const OVERSCAN = 8;
const STEP = 4;

/**
 * A table of which only the rows in sight are in the document, so that ten thousand of them scroll smoothly. For screen readers it
 * is a table with its true number of rows; with the keyboard it scrolls like any other region.
 */
export function DataGrid<R>(props: DataGridProps<R>): ReactNode {
  const { label, columns, rows, rowKey, rowClass, sort, onSort, onOpen, live = false, empty } = props;
  const { rowHeight: fullHeight = 36, visibleRows = 10, compact, compactBelow = 0, compactHeight = 58 } = props;

  const scroller = useRef<HTMLDivElement>(null);
  const [{ width, scale }, setSize] = useState({ width: 1000, scale: 1 });
  const [first, setFirst] = useState(0);
  const [below, setBelow] = useState(0);

  const narrow = compact !== undefined && width < compactBelow;
  const stacked = narrow && width < STACKED;
  const rowHeight = Math.round((narrow ? compactHeight + (stacked ? LINE : 0) : fullHeight) * scale);
  const height = Math.round(visibleRows * fullHeight * scale);
  const shown = useMemo(() => columns.filter(({ from = 0 }) => width >= from), [columns, width]);
  const template = shown.map((column) => column.width).join(' ');

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null || typeof ResizeObserver === 'undefined') {
      return;
    }
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) {
        const scaled = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
        setSize({ width: Math.round(entry.contentRect.width / scaled), scale: scaled });
      }
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // As of the last scroll event: asking the element itself has the browser lay out the page there and then, which with every new row is
  // what costs most.
  const scrolled = useRef(0);
  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (element !== null) {
      scrolled.current = element.scrollTop;
      setFirst(Math.max(0, Math.floor(element.scrollTop / rowHeight / STEP) * STEP));
      if (element.scrollTop < rowHeight) {
        setBelow(0);
      }
    }
  }, [rowHeight]);

  // Keep what is being read in place when rows came in above it.
  const top = useRef<string | number | null>(null);
  const topKey = rows.length === 0 || rowKey === undefined ? null : rowKey(rows[0] as R);
  useLayoutEffect(() => {
    const element = scroller.current;
    const before = top.current;
    top.current = topKey;
    if (!live || rowKey === undefined || element === null || before === null || before === topKey || scrolled.current < rowHeight) {
      return;
    }
    const added = rows.findIndex((row) => rowKey(row) === before);
    if (added > 0) {
      element.scrollTop += added * rowHeight;
      scrolled.current += added * rowHeight;
      setBelow((count) => count + added);
    }
  }, [live, rowHeight, rowKey, rows, topKey]);

  // A list that became shorter, by a filter, must not leave the window behind its end.
  const length = useRef(0);
  useEffect(() => {
    if (rows.length < length.current) {
      onScroll();
    }
    length.current = rows.length;
  }, [onScroll, rows.length]);

  // One row of a table can be reached with Tab; the arrows go from there.
  const [chosen, setChosen] = useState<string | number | null>(null);
  const keyAt = (row: R, index: number): string | number => (rowKey === undefined ? index : rowKey(row));
  const active = chosen !== null && rows.some((row, index) => keyAt(row, index) === chosen) ? chosen : rows.length > 0 ? keyAt(rows[0] as R, 0) : null;
  const opener = useRef<(row: unknown) => void>(() => {});
  opener.current = (row) => onOpen?.(row as R);
  const open = useCallback((row: unknown) => opener.current(row), []);

  const onKey = (event: KeyboardEvent<HTMLDivElement>): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const button = (event.target as HTMLElement).closest?.('.row-open');
    if (onOpen === undefined || step === undefined || button == null) {
      return;
    }
    event.preventDefault();
    const at = rows.findIndex((row, index) => keyAt(row, index) === active);
    const next = Math.min(Math.max(at + step, 0), rows.length - 1);
    setChosen(keyAt(rows[next] as R, next));
    const element = scroller.current;
    if (element !== null) {
      const y = next * rowHeight;
      const head = narrow ? 0 : 34 * scale;
      if (y < element.scrollTop) {
        element.scrollTop = y;
      } else if (y + rowHeight + head > element.scrollTop + element.clientHeight) {
        element.scrollTop = y + rowHeight + head - element.clientHeight;
      }
      requestAnimationFrame(() => element.querySelector<HTMLElement>('.row-open[tabindex="0"]')?.focus({ preventScroll: true }));
    }
  };

  const from = Math.max(0, Math.min(first, rows.length - 1) - OVERSCAN);
  const to = Math.min(rows.length, first + STEP + Math.ceil(height / rowHeight) + OVERSCAN);

  return (
    <div className="grid-frame">
      <div
        className="grid"
        ref={scroller}
        onScroll={onScroll}
        onKeyDown={onKey}
        style={{ height: height + Math.round(34 * scale) }}
        role="table"
        aria-label={label}
        aria-rowcount={rows.length + 1}
        tabIndex={0}
      >
        {shown.length > 0 && (
          <div role="rowgroup" className={narrow ? 'visually-hidden' : 'grid-head'}>
            <div role="row" className="grid-row" style={{ gridTemplateColumns: template }} aria-rowindex={1}>
              {(narrow ? columns.slice(0, 1) : shown).map((column) => (
                <HeadCell key={column.id} column={column} sort={sort} onSort={onSort} plain={narrow} />
              ))}
            </div>
          </div>
        )}
        {rows.length === 0 ? (
          <div role="rowgroup">
            <div role="row">
              <div role="cell" className="grid-empty">
                {empty}
              </div>
            </div>
          </div>
        ) : (
          <div role="rowgroup" className={stacked ? 'grid-body grid-stacked' : 'grid-body'} style={{ height: rows.length * rowHeight, paddingTop: from * rowHeight }}>
            {rows.slice(from, to).map((row, index) => (
              <Row
                key={rowKey === undefined ? from + index : rowKey(row)}
                row={row}
                index={from + index}
                height={rowHeight}
                template={template}
                columns={shown as readonly Column<unknown>[]}
                className={rowClass?.(row) ?? ''}
                compact={narrow ? (compact as (row: unknown) => ReactNode) : null}
                open={onOpen === undefined ? null : open}
                active={onOpen !== undefined && keyAt(row, from + index) === active}
              />
            ))}
          </div>
        )}
      </div>
      {below > 0 && (
        <button
          type="button"
          className="grid-jump"
          onClick={() => {
            scroller.current?.scrollTo({ top: 0 });
            setBelow(0);
          }}
        >
          <Icon name="up" size={13} /> {below} new
        </button>
      )}
    </div>
  );
}

interface RowProps {
  row: unknown;
  index: number;
  height: number;
  template: string;
  columns: readonly Column<unknown>[];
  className: string;
  compact: ((row: unknown) => ReactNode) | null;
  open: ((row: unknown) => void) | null;
  active: boolean;
}

/**
 * Rendered again only when it moves; what is in it, not even then. Rows stand in the normal flow: one with a place of its own each (a transform, or `contain`) would be
 * one more layer for the browser to sort with every picture.
 */
const Row = memo(function Row({ row, index, height, template, columns, className, compact, open, active }: RowProps): ReactNode {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className={`grid-row ${compact === null ? '' : 'grid-row-compact'} ${open === null ? '' : 'grid-row-open'} ${className}`}
      onClick={open === null ? undefined : () => void (getSelection()?.isCollapsed !== false && open(row))}
      style={compact === null ? { height, gridTemplateColumns: template } : { height }}
    >
      <Cells row={row} columns={columns} compact={compact} open={open !== null} active={active} />
    </div>
  );
});

const Cells = memo(function Cells({ row, columns, compact, open, active }: Pick<RowProps, 'row' | 'columns' | 'compact' | 'active'> & { open: boolean }): ReactNode {
  if (compact !== null) {
    return (
      <div role="cell" className="grid-compact">
        {open ? <Opener active={active}>{compact(row)}</Opener> : compact(row)}
      </div>
    );
  }
  return columns.map((column, index) => (
    <div key={column.id} role="cell" className={column.align === 'end' ? 'grid-cell grid-end' : 'grid-cell'}>
      {open && index === 0 ? <Opener active={active}>{column.cell(row)}</Opener> : column.cell(row)}
    </div>
  ));
});

/** What the keyboard finds in a row; the click is the row's. */
function Opener({ active, children }: { active: boolean; children: ReactNode }): ReactNode {
  return (
    <button type="button" className="row-open" tabIndex={active ? 0 : -1} aria-haspopup="dialog">
      {children}
    </button>
  );
}

interface HeadCellProps<R> {
  column: Column<R>;
  sort: Sort | undefined;
  onSort: ((column: string) => void) | undefined;
  plain: boolean;
}

function HeadCell<R>({ column, sort, onSort, plain }: HeadCellProps<R>): ReactNode {
  const sorted = sort?.column === column.id;
  const className = column.align === 'end' ? 'grid-cell grid-end' : 'grid-cell';
  if (column.sortable !== true || onSort === undefined || plain) {
    return (
      <div role="columnheader" className={className}>
        {column.header}
      </div>
    );
  }
  return (
    <div role="columnheader" className={className} aria-sort={sorted ? (sort.descending ? 'descending' : 'ascending') : 'none'}>
      <button type="button" className="grid-sort" data-sorted={sorted} onClick={() => onSort(column.id)}>
        {column.header}
        <Icon name={sorted ? (sort.descending ? 'down' : 'up') : 'sort'} size={12} />
      </button>
    </div>
  );
}
