import { useCallback, useEffect, useState, type FormEvent, type ReactNode } from 'react';
import type { Board } from '../board/types';
import { keyed } from '../client';
import { useConnection, useStreamView } from '../hooks';
import { NumbersPanel } from '../panels/NumbersPanel';
import { label, shorten } from './format';
import { address, useParam } from './url';
import './Watch.css';

/** What one page watches at most. */
const MOST = 8;

/** An address or a hash is pasted, and what the gateway's streams with a key say of it is shown live; it is in the page's address. */
export function Watch({ board }: { board: Board }): ReactNode {
  const expected = board.watch;
  const { keyed: kinds } = useConnection();
  const [text, setText] = useParam('watch', '');
  const [typed, setTyped] = useState('');
  const items = [...new Set(text.split(',').map((item) => item.trim()))].filter((item) => item !== '').slice(0, MOST);

  const streams = Object.keys(kinds ?? {});
  const none = kinds !== null && streams.length === 0;

  // what the board expects has its place before the gateway has said what there is, and keeps it when that is nothing: the figures stand still
  if (expected === undefined && streams.length === 0) {
    return null;
  }

  const watch = (event: FormEvent): void => {
    event.preventDefault();
    const more = typed.split(/[\s,]+/).filter((item) => item !== '' && !items.includes(item));
    setText([...more, ...items].slice(0, MOST).join(','));
    setTyped('');
  };
  const what = streams.length === 0 ? (expected ?? '') : [...new Set(Object.values(kinds ?? {}))].join(' or ');

  return (
    <section className={none ? 'watch watch-none' : 'watch'} aria-label="Watch">
      <form className="watch-form" onSubmit={watch} role="search">
        <input
          type="text"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          placeholder={`Watch: paste ${/^[aeio]/i.test(what) ? 'an' : 'a'} ${what}`}
          aria-label={`${what} to watch`}
          autoComplete="off"
          spellCheck={false}
        />
        <button type="submit" className="button" disabled={typed.trim() === ''}>
          Watch
        </button>
      </form>
      {(none ? [] : items).map((item) => (
        <Watched key={item} item={item} kinds={streams} board={board} onClose={() => setText(items.filter((other) => other !== item).join(','))} />
      ))}
    </section>
  );
}

/** One of them: each stream is asked whether this is a key of it. */
function Watched({ item, kinds, board, onClose }: { item: string; kinds: string[]; board: Board; onClose: () => void }): ReactNode {
  const [refusals, setRefusals] = useState<Record<string, string | null>>({});
  const told = useCallback((stream: string, why: string | null) => {
    setRefusals((before) => (before[stream] === why ? before : { ...before, [stream]: why }));
  }, []);
  const refused = kinds.length > 0 && kinds.every((stream) => typeof refusals[stream] === 'string');

  return (
    <div className="watch-item">
      <p className="watch-head">
        <code title={item}>{shorten(item, 12, 8)}</code>
        <a href={address({ watch: item }, true)}>Link</a>
        <button type="button" className="button" onClick={onClose} aria-label={`Stop watching ${item}`}>
          Stop
        </button>
      </p>
      {refused && <p className="panel-empty">{refusals[kinds[0] as string]}</p>}
      <div className={refused ? 'watch-panels' : 'watch-panels watch-awaited'}>
        {kinds.map((stream) => (
          <Kind key={stream} stream={stream} item={item} board={board} onRefused={told} />
        ))}
      </div>
    </div>
  );
}

function Kind({ stream, item, board, onRefused }: { stream: string; item: string; board: Board; onRefused: (stream: string, why: string | null) => void }): ReactNode {
  const name = keyed(stream, item);
  const view = useStreamView(name);
  const why = view.refused === null ? null : view.error;
  useEffect(() => onRefused(stream, why), [stream, why, onRefused]);

  if (view.refused !== null || (view.data === null && view.error === null)) {
    return null;
  }
  const written = board.watched?.find((config) => config.stream === stream);
  return <NumbersPanel config={{ title: label(stream), ...written, panel: 'numbers', stream: name }} id={`watch-${stream}`} className="watch-panel" />;
}
