import { useEffect, useId, useMemo, useRef, useState, type ReactNode } from 'react';
import { canonical, type StreamClient } from '../client';
import { write } from '../board/values';
import { useStreamClient } from '../hooks';
import { Icon, type IconName } from '../ui/Icon';
import { clock, exact, label } from './format';
import { itemsOf, type Item } from './items';
import { setParams } from './url';
import './Finder.css';

/** Something that is not data: what the page can do. */
export interface Command {
  readonly title: string;
  readonly icon: IconName;
  readonly run: () => void;
}

interface Hit {
  readonly key: string;
  readonly icon: IconName;
  readonly title: string;
  readonly detail: string;
  readonly run: () => void;
}

const MOST = 40;

/** Search over everything that the page has, and what it can do. */
export function Finder({ streams, commands, onClose }: { streams: readonly string[]; commands: readonly Command[]; onClose: () => void }): ReactNode {
  const client = useStreamClient();
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const id = useId();
  // What was there when the search began: results must not move under the hand.
  const items = useMemo(() => index(client, streams), [client, streams]);
  const hits = useMemo(() => find(items, commands, text), [items, commands, text]);

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
    element.querySelector('input')?.focus();
    return () => {
      element.close?.();
      if (before instanceof HTMLElement && before.isConnected) {
        before.focus();
      }
    };
  }, []);

  const run = (hit: Hit | undefined): void => {
    if (hit !== undefined) {
      onClose();
      hit.run();
    }
  };

  return (
    <dialog
      className="finder"
      ref={dialog}
      aria-label="Search"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) {
          onClose();
        }
      }}
    >
      <div className="finder-inner">
        <div className="finder-field">
          <Icon name="search" size={18} />
          <input
            type="search"
            role="combobox"
            aria-expanded="true"
            aria-controls={`${id}-list`}
            aria-activedescendant={hits[chosen] === undefined ? undefined : `${id}-${chosen}`}
            aria-label="Search blocks, hashes, addresses, peers and actions"
            placeholder="Block, hash, address, peer…"
            autoComplete="off"
            spellCheck={false}
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setChosen(0);
            }}
            onKeyDown={(event) => {
              const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
              if (step !== undefined) {
                event.preventDefault();
                setChosen((before) => (hits.length === 0 ? 0 : (before + step + hits.length) % hits.length));
              } else if (event.key === 'Enter') {
                event.preventDefault();
                run(hits[chosen]);
              } else if (event.key === 'Escape') {
                event.preventDefault();
                onClose();
              }
            }}
          />
          <kbd>esc</kbd>
        </div>
        <ul id={`${id}-list`} role="listbox" aria-label="Results">
          {hits.map((hit, place) => (
            <li
              key={hit.key}
              id={`${id}-${place}`}
              role="option"
              aria-selected={place === chosen}
              onClick={() => run(hit)}
              onMouseMove={() => setChosen(place)}
              ref={place === chosen ? (element) => element?.scrollIntoView?.({ block: 'nearest' }) : undefined}
            >
              <Icon name={hit.icon} size={16} />
              <span className="finder-title">{hit.title}</span>
              <span className="finder-detail">{hit.detail}</span>
            </li>
          ))}
        </ul>
        <p className="finder-note" role="status">
          {hits.length === 0 ? `Nothing of the ${exact(items.length)} entries that this page has.` : `${exact(items.length)} entries are searched: what this page has.`}
        </p>
      </div>
    </dialog>
  );
}

interface Indexed {
  readonly item: Item;
  /** Everything in it, in small letters. */
  readonly text: string;
}

function index(client: StreamClient, streams: readonly string[]): Indexed[] {
  return streams.flatMap((stream) => itemsOf(client.view(stream)).map((item) => ({ item, text: `${stream} ${canonical(item.value)}`.toLowerCase() })));
}

/** What has every word of `text`; a number or a name that is just so comes first. */
export function find(items: readonly Indexed[], commands: readonly Command[], text: string): Hit[] {
  const words = text.toLowerCase().replace(/(\d),(?=\d{3})/g, '$1').split(/\s+/).filter(Boolean);
  const actions = commands
    .filter(({ title }) => words.every((word) => title.toLowerCase().includes(word)))
    .map((command): Hit => ({ key: `action ${command.title}`, icon: command.icon, title: command.title, detail: '', run: command.run }));
  if (words.length === 0) {
    return actions;
  }
  const rank = ({ item }: Indexed): number => {
    const exactly = Object.values(item.value).some((value) => words.includes(String(value).toLowerCase()));
    return (exactly ? 0 : 2) + (item.value.number !== undefined && exactly ? 0 : 1);
  };
  const found = items
    .filter(({ text: all }) => words.every((word) => all.includes(word)))
    .map((one) => ({ one, rank: rank(one) }))
    .sort((a, b) => a.rank - b.rank)
    .slice(0, MOST)
    .map(({ one: { item } }): Hit => ({
      key: `${item.stream}:${item.key}`,
      icon: item.value.number !== undefined ? 'block' : 'search',
      title: item.value.number !== undefined ? `Block ${String(item.value.number)}` : (write(item.key, { as: 'hash' })?.text ?? item.key),
      detail: `${label(item.stream)}${typeof item.value.timestamp === 'number' ? `, ${clock(item.value.timestamp)}` : ''}`,
      run: () => setParams({ open: `${item.stream}:${item.key}` }, true),
    }));
  return [...found, ...actions];
}
