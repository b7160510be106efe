import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { canonical, isObject, type StreamView } from '../client';
import type { Board, ColumnConfig, Format, PanelConfig } from '../board/types';
import { at, guess, numeric, titleOf, write } from '../board/values';
import { useStreamView } from '../hooks';
import { Cell } from '../panels/Cell';
import { Icon } from '../ui/Icon';
import { exact, fullTime, label } from './format';
import { findItem, itemsOf, keyOf, openItem, type Item } from './items';
import { address, setParams, useParam } from './url';
import '../ui/button.css';
import './Drawer.css';

/** Rows of what belongs to a block, at most. */
const MOST = 60;

/** The side panel: one entry with all its members, as the address says which. */
export function Drawer({ board }: { board: Board }): ReactNode {
  const [open] = useParam('open', '');
  const split = open.indexOf(':');
  return split <= 0 ? null : <Opened key={open} stream={open.slice(0, split)} name={open.slice(split + 1)} board={board} />;
}

function close(): void {
  setParams({ open: null }, true);
}

function Opened({ stream, name, board }: { stream: string; name: string; board: Board }): ReactNode {
  const view = useStreamView(stream);
  const dialog = useRef<HTMLDialogElement>(null);
  const panels = board.panels.filter((panel) => 'stream' in panel && panel.stream === stream);
  const height = panels.some((panel) => panel.panel === 'blocks' && panel.entries !== undefined && view.entries.length === 0) && /^\d+$/.test(name);
  const found = useMemo(() => findItem(view, name), [view, name]);
  // It stays to be read, also when the list no longer has it.
  const [held, setHeld] = useState<Item | null>(null);
  useEffect(() => {
    if (found !== null) {
      setHeld(found);
    }
  }, [found]);
  const item = found ?? held;

  useEffect(() => {
    const element = dialog.current;
    if (element === null) {
      return;
    }
    const before = document.activeElement;
    if (typeof element.showModal === 'function') {
      element.showModal();
    } else {
      element.setAttribute('open', '');
    }
    return () => {
      element.close?.();
      if (before instanceof HTMLElement && before.isConnected) {
        before.focus();
      }
    };
  }, []);

  const title = item === null ? (height ? `Block ${exact(Number(name))}` : label(stream)) : titleFor(item, stream);
  return (
    <dialog
      className="drawer"
      ref={dialog}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) {
          close();
        }
      }}
      onKeyDown={(event) => {
        if (event.key === 'Escape') {
          event.preventDefault();
          close();
        }
      }}
    >
      <div className="drawer-inner">
        <header className="drawer-head">
          <div>
            <p className="drawer-kind">{label(stream)}</p>
            <h2>{title}</h2>
          </div>
          <Neighbours view={view} item={item} />
          <button type="button" className="button button-icon" onClick={close} autoFocus>
            <Icon name="close" size={16} />
            <span className="visually-hidden">Close</span>
          </button>
        </header>
        {item !== null ? (
          <Fields item={item} panels={panels} kept={found !== null} />
        ) : height ? (
          <p className="drawer-note">What this gateway tells of the block is what was traded in it.</p>
        ) : (
          <p className="drawer-note" role="status">
            {view.data === null
              ? 'Waiting for data.'
              : `“${name}” is not among the ${exact(itemsOf(view).length)} ${label(stream).toLowerCase()} that this page has. The gateway keeps the newest ones only.`}
          </p>
        )}
        <Inside board={board} stream={stream} item={item} name={name} />
        {item !== null && <Raw value={item.value} />}
      </div>
    </dialog>
  );
}

function titleFor({ value, key }: Item, stream: string): string {
  const number = numeric(value.number ?? value.slot ?? null);
  if (number !== null) {
    return `Block ${exact(number)}`;
  }
  const short = write(key, { as: 'hash' })?.text ?? key;
  return `${label(stream).replace(/s$/, '')} ${short}`;
}

/** The entries before and after, without closing. */
function Neighbours({ view, item }: { view: StreamView; item: Item | null }): ReactNode {
  const items = useMemo(() => itemsOf(view), [view]);
  const place = item === null ? -1 : items.findIndex(({ key }) => key === item.key);
  const go = (step: number): void => {
    const next = items[place + step];
    if (next !== undefined) {
      setParams({ open: `${next.stream}:${next.key}` });
    }
  };
  return (
    <div className="drawer-neighbours">
      <button type="button" className="button button-icon" disabled={place <= 0} onClick={() => go(-1)}>
        <Icon name="left" size={16} />
        <span className="visually-hidden">Newer</span>
      </button>
      <button type="button" className="button button-icon" disabled={place === -1 || place >= items.length - 1} onClick={() => go(1)}>
        <Icon name="right" size={16} />
        <span className="visually-hidden">Older</span>
      </button>
      <Copy text={() => address({})} what="link" icon="link" />
    </div>
  );
}

function Fields({ item, panels, kept }: { item: Item; panels: readonly PanelConfig[]; kept: boolean }): ReactNode {
  const formats = useMemo(() => formatsOf(panels), [panels]);
  return (
    <>
      {!kept && <p className="drawer-note">No longer among those that are kept.</p>}
      <dl className="drawer-fields">
        {flat(item.value).map(([path, value]) => {
          const format = formats.get(path);
          const written = write(value, format ?? {}, path);
          const hash = (format?.as ?? guess(path, value)) === 'hash';
          const whole = hash ? String(value) : (written?.whole ?? null);
          return (
            <div key={path}>
              <dt>{titleOf({ field: path, ...(format?.title === undefined ? {} : { title: format.title }) })}</dt>
              <dd>
                {value === null || value === undefined || value === '' ? (
                  <span className="not-reported">{format?.empty ?? 'none'}</span>
                ) : (
                  <>
                    {hash ? (
                      <span className="mono drawer-long">{whole}</span>
                    ) : (
                      <span className="drawer-value">
                        <Cell value={value} format={format ?? {}} name={path} />
                        {whole !== null && <span className="drawer-exact">{whole}</span>}
                      </span>
                    )}
                    <Copy text={() => plain(value)} what={titleOf({ field: path })} icon="copy" quiet />
                  </>
                )}
              </dd>
            </div>
          );
        })}
      </dl>
      {item.receivedAt !== null && item.receivedAt > 0 && <p className="drawer-note">Here since {fullTime(item.receivedAt)}.</p>}
    </>
  );
}

function formatsOf(panels: readonly PanelConfig[]): Map<string, Partial<ColumnConfig> & Format> {
  const formats = new Map<string, Partial<ColumnConfig> & Format>();
  for (const panel of panels) {
    const lists: readonly (readonly (Format & { field?: string })[] | undefined)[] =
      panel.panel === 'table' ? [panel.fields] : panel.panel === 'blocks' ? [[panel.used, panel.colour].filter((one) => one !== undefined)] : panel.panel === 'numbers' ? [panel.numbers, panel.facts] : [];
    for (const one of lists.flatMap((list) => list ?? [])) {
      if (one.field !== undefined && one.as !== undefined && !formats.has(one.field)) {
        formats.set(one.field, one as Partial<ColumnConfig> & Format);
      }
    }
  }
  return formats;
}

function flat(value: Record<string, unknown>, prefix = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([name, member]) => (isObject(member) && prefix.split('.').length < 4 ? flat(member, `${prefix}${name}.`) : [[prefix + name, member] as [string, unknown]]));
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'bigint' ? String(value) : isObject(value) || Array.isArray(value) ? canonical(value) : String(value);
}

/** What a block holds: the entries of another log that name it. */
function Inside({ board, stream, item, name }: { board: Board; stream: string; item: Item | null; name: string }): ReactNode {
  const panel = board.panels.find((one) => one.panel === 'blocks' && one.stream === stream);
  const inside = panel?.panel === 'blocks' ? panel.entries : undefined;
  const number = item === null ? name : String(at(item.value, (panel?.panel === 'blocks' ? panel.number : undefined) ?? 'number') ?? name);
  const total = item === null || panel?.panel !== 'blocks' || panel.count === undefined ? null : numeric(at(item.value, panel.count.field));
  return inside === undefined ? null : <Entries stream={inside.stream} member={inside.number} number={number} total={total === null ? null : Number(total)} board={board} />;
}

function Entries({ stream, member, number, total, board }: { stream: string; member: string; number: string; total: number | null; board: Board }): ReactNode {
  const view = useStreamView(stream);
  const list = useMemo(() => view.entries.filter(({ value }) => String(at(value, member)) === number), [view.entries, member, number]);
  const table = board.panels.find((one) => one.panel === 'table' && one.stream === stream);
  const fields: readonly ColumnConfig[] = (table?.panel === 'table' ? table.fields : undefined) ?? [{ field: 'market' }, { field: 'amount' }, { field: 'value' }, { field: 'status' }];
  const noun = label(stream).toLowerCase();
  return (
    <section className="drawer-inside" aria-label={`${label(stream)} in it`}>
      <h3>
        {list.length === 0
          ? total === 0 ? `No ${noun}` : `No ${noun} of it are kept here`
          : `${exact(list.length)}${total !== null && total > list.length ? ` of ${exact(total)}` : ''} ${list.length === 1 && (total ?? 1) <= 1 ? noun.replace(/s$/, '') : noun}`}
      </h3>
      <ul>
        {list.slice(0, MOST).map(({ key, value }) => (
          <li key={key}>
            <button type="button" onClick={() => openItem(stream, value)}>
              <Cell value={keyOf(value)} format={{ as: 'hash' }} name="id" />
              <span className="drawer-inside-end">
                {fields
                  .filter(({ field, as }) => at(value, field) !== undefined && (as === 'coin' || as === 'status' || as === 'name' || field === 'market' || field === 'amount'))
                  .slice(0, 3)
                  .map((format) => (
                    <Cell key={format.field} value={at(value, format.field)} format={format} name={format.field} {...(format.empty === undefined ? {} : { empty: format.empty })} />
                  ))}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {list.length > MOST && <p className="drawer-note">and {exact(list.length - MOST)} more</p>}
    </section>
  );
}

function Raw({ value }: { value: Record<string, unknown> }): ReactNode {
  const text = useMemo(() => pretty(value), [value]);
  return (
    <details className="drawer-raw">
      <summary>JSON, as the gateway sent it</summary>
      <Copy text={() => text} what="JSON" icon="copy" />
      <pre tabIndex={0} aria-label="JSON">{text}</pre>
    </details>
  );
}

/** JSON with the digits of long integers as they came. */
export function pretty(value: unknown, indent = ''): string {
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    return value.length === 0 ? '[]' : `[\n${value.map((item) => deeper + pretty(item, deeper)).join(',\n')}\n${indent}]`;
  }
  if (isObject(value)) {
    const members = Object.entries(value).map(([name, member]) => `${deeper}${JSON.stringify(name)}: ${pretty(member, deeper)}`);
    return members.length === 0 ? '{}' : `{\n${members.join(',\n')}\n${indent}}`;
  }
  return typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'null');
}

/** Copies, and says so. */
function Copy({ text, what, icon, quiet = false }: { text: () => string; what: string; icon: 'copy' | 'link'; quiet?: boolean }): ReactNode {
  const [done, setDone] = useState<'no' | 'yes' | 'failed'>('no');
  useEffect(() => {
    if (done !== 'no') {
      const timer = setTimeout(() => setDone('no'), 1500);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [done]);
  return (
    <button
      type="button"
      className={`button button-icon ${quiet ? 'button-quiet' : ''}`}
      title={`Copy ${what}`}
      onClick={() => {
        copy(text()).then(
          () => setDone('yes'),
          () => setDone('failed'),
        );
      }}
    >
      <Icon name={done === 'yes' ? 'ok' : done === 'failed' ? 'warn' : icon} size={14} />
      <span className="visually-hidden" role="status">
        {done === 'yes' ? 'Copied' : done === 'failed' ? 'The browser lets nothing be copied here' : `Copy ${what}`}
      </span>
    </button>
  );
}

/** The clipboard is there on https and localhost only; elsewhere a selection is copied, as it was of old. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) {
    throw new Error('not copied');
  }
}
