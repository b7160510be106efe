import { memo, useEffect, useMemo, useRef, useState, type CSSProperties, type ReactNode } from 'react';
import { useEvents } from '../app/events';
import { clock, duration, exact, fixed, label } from '../app/format';
import { openItem } from '../app/items';
import { useTicking } from '../app/now';
import { useSeries } from '../app/series';
import { setParams } from '../app/url';
import type { BlocksConfig, Format } from '../board/types';
import { say, titleOf, write } from '../board/values';
import { useStreamClient, useStreamView } from '../hooks';
import { Icon } from '../ui/Icon';
import { Panel } from '../ui/Panel';
import { annotate, expect, fromHeight, fromLog, histogram, isBehind, kindOf, lagAfter, levels, SHOWN, type Block, type Expectation } from './blocks';
import './BlocksPanel.css';

/** The last blocks as they come, what to expect of the next, and how long blocks take. */
export function BlocksPanel({ config, id, className }: { config: BlocksConfig; id: string; className: string }): ReactNode {
  const view = useStreamView(config.stream);
  const series = useSeries(config.stream);
  const inside = useStreamView(config.entries?.stream ?? config.stream);
  const events = useEvents();
  const log = kindOf(view) === 'log';

  const blocks = useMemo(
    () => annotate(log ? fromLog(view.entries, config) : fromHeight(series, config, inside.entries), events),
    [log, view.entries, series, inside.entries, config, events],
  );
  const expected = useMemo(() => expect(blocks, config.interval), [blocks, config.interval]);
  const shown = useMemo(() => blocks.slice(0, SHOWN), [blocks]);
  const level = useMemo(() => levels(shown.map(({ colour }) => colour)), [shown]);

  return (
    <Panel title={config.title ?? 'Blocks'} view={view} className={className} id={id} note={shown[0] === undefined ? undefined : note(shown)}>
      <Ribbon blocks={shown} config={config} expected={expected} level={level} waiting={view.data === null} live={view.state === 'live'} />
      <div className="blocks-foot" data-lines={(config.colour === undefined ? 0 : 1) + (config.used === undefined && !sizeless(config) ? 0 : 1) + (config.entries?.group === undefined ? 0 : 2)}>
        <Histogram expected={expected} newest={blocks[0]?.time ?? null} />
        <Legend blocks={shown} config={config} />
      </div>
    </Panel>
  );
}

function note(blocks: readonly Block[]): ReactNode {
  const replaced = blocks.reduce((sum, block) => sum + block.replaced, 0);
  return replaced > 0 ? `newest first, ${replaced} replaced` : <span className="blocks-order">newest first</span>;
}

interface RibbonProps {
  blocks: readonly Block[];
  config: BlocksConfig;
  expected: Expectation | null;
  level: (value: number | null) => number | null;
  waiting: boolean;
  live: boolean;
}

/** Blocks that come faster than this (seconds) jump instead of sliding: the page would never come to rest. */
const FAST = 2.5;

/** Blocks beyond those in sight are made this much later (ms), or when someone moves the ribbon. */
const LATER = 2000;

/** How many blocks are in sight, with some to spare. */
function inSight(): number {
  return typeof window === 'undefined' ? SHOWN : Math.min(SHOWN, Math.ceil(window.screen.width / 100) + 3);
}

function Ribbon({ blocks: all, config, expected, level, waiting, live }: RibbonProps): ReactNode {
  const list = useRef<HTMLOListElement>(null);
  const top = all[0]?.number ?? null;
  const [most, setMost] = useState(inSight);
  const blocks = useMemo(() => all.slice(0, most), [all, most]);
  const some = all.length > 0;
  const whole = (): void => setMost(SHOWN);
  useEffect(() => {
    if (!some) {
      return;
    }
    const timer = setTimeout(() => setMost(SHOWN), LATER);
    return () => clearTimeout(timer);
  }, [some]);
  // What was there at first does not come in.
  const first = useRef<number | null>(null);
  first.current ??= top;

  const onKey = (event: React.KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
      const buttons = [...(list.current?.querySelectorAll<HTMLElement>('.block') ?? [])];
      const at = buttons.indexOf(document.activeElement as HTMLElement);
      if (at !== -1) {
        event.preventDefault();
        buttons[at + step]?.focus();
      }
    }
  };

  return (
    <div className="ribbon" onKeyDown={onKey} onFocus={whole} onScroll={whole}>
      {/* Each has its place by a translation and not by those before it: a new one moves nothing in the layout. */}
      <ol ref={list} aria-label="Newest blocks" data-fast={expected !== null && expected.mean < FAST ? true : undefined} style={place(Math.max(blocks.length, blocks.length === 0 ? 8 : 0) + 1)}>
        <li className="ribbon-next" style={place(0)}>
          <Next expected={expected} newest={blocks[0]?.time ?? null} number={blocks[0]?.number ?? null} live={live} />
        </li>
        {blocks.map((block, index) => (
          <li key={block.number} style={place(index + 1)} data-new={first.current !== null && block.number > first.current ? true : undefined}>
            <BlockCard block={block} config={config} level={level(block.colour)} first={index === 0} />
          </li>
        ))}
        {blocks.length === 0 &&
          Array.from({ length: 8 }, (_, index) => (
            <li key={`empty ${index}`} style={place(index + 1)}>
              <span className="block block-empty" aria-hidden="true" />
            </li>
          ))}
        {blocks.length === 0 && <li className="visually-hidden">{waiting ? 'Waiting for blocks.' : 'No block yet.'}</li>}
      </ol>
    </div>
  );
}

function place(index: number): CSSProperties {
  return { '--place': index } as CSSProperties;
}

interface CardProps {
  block: Block;
  config: BlocksConfig;
  level: number | null;
  first: boolean;
}

const BlockCard = memo(
  function BlockCard({ block, config, level, first }: CardProps): ReactNode {
    const open = (): void => {
      if (block.value !== null) {
        openItem(config.stream, block.value, config.hash);
      } else {
        setParams({ open: `${config.stream}:${block.number}` }, true);
      }
    };
    const count = block.count === null ? null : `${exact(block.count)} ${countNoun(config, block.count)}`;
    return (
      <button
        type="button"
        className="block"
        data-level={level ?? undefined}
        data-empty={block.count === 0 && block.groups.length === 0 ? true : undefined}
        data-late={block.late ? true : undefined}
        data-plain={sizeless(config) ? true : undefined}
        tabIndex={first ? 0 : -1}
        onClick={open}
        title={block.time === null ? undefined : `Block ${exact(block.number)}, ${clock(block.time)}`}
      >
        {!sizeless(config) && <Fill block={block} />}
        <span className="block-number">{exact(block.number)}</span>
        <span className="block-count">{count ?? '\u00a0'}</span>
        <span className="block-used">
          {config.colour !== undefined && block.colour !== null ? say(block.colour, config.colour) : config.used !== undefined && block.used !== null && config.used.of !== undefined ? `${fixed(block.used * 100, 0)} % full` : '\u00a0'}
        </span>
        <span className="block-age">{block.time === null ? '\u00a0' : <Age time={block.time} first={first} />}</span>
        <Between block={block} />
      </button>
    );
  },
  (before, after) =>
    before.config === after.config &&
    before.level === after.level &&
    before.first === after.first &&
    before.block.key === after.block.key &&
    before.block.count === after.block.count &&
    before.block.used === after.block.used &&
    before.block.time === after.block.time &&
    before.block.after === after.block.after &&
    before.block.missing === after.block.missing &&
    before.block.replaced === after.block.replaced &&
    before.block.late === after.block.late &&
    before.block.events.length === after.block.events.length &&
    before.block.groups.length === after.block.groups.length,
);

/** Nobody says how full blocks are: they are drawn alike, and neither full nor empty. */
function sizeless(config: BlocksConfig): boolean {
  return config.used === undefined && config.entries === undefined;
}

function countNoun(config: BlocksConfig, count: number): string {
  const title = config.count?.title ?? config.entries?.title ?? 'tx';
  return count === 1 && title.length > 3 ? title.replace(/s$/, '') : title;
}

/**
 * How full the block is; by what is in it, when that is known. Sheets as high as the block, each drawn down to where it begins and
 * over the one before: what fills up is painted elsewhere, and nothing moves in the layout.
 */
function Fill({ block }: { block: Block }): ReactNode {
  const share = block.used === null || block.used <= 0 ? 0 : Math.min(Math.max(block.used, 0.04), 1);
  const total = block.groups.reduce((sum, { count }) => sum + count, 0);
  const sheets = total === 0 ? [{ name: undefined, count: 1 }] : block.groups;
  let above = 0;
  return (
    <span className="block-fill" aria-hidden="true">
      {share > 0 &&
        sheets.map(({ name, count }) => {
          const top = 1 - share * (1 - above / Math.max(total, 1));
          above += count;
          return <span key={name ?? ''} data-market={name} style={{ translate: `0 ${(top * 100).toFixed(2)}%` }} />;
        })}
    </span>
  );
}

/** Since the block before it, and what was between the two. */
function Between({ block }: { block: Block }): ReactNode {
  if (block.missing > 0) {
    return (
      <span className="block-mark" data-kind="gap" title={`${exact(block.missing)} ${block.missing === 1 ? 'block' : 'blocks'} before this one ${block.missing === 1 ? 'is' : 'are'} missing here`}>
        <Icon name="warn" size={11} /> {exact(block.missing)} missing
      </span>
    );
  }
  if (block.replaced > 0) {
    return (
      <span className="block-mark" data-kind="reorg" title={`A reorganisation: ${block.replaced} ${block.replaced === 1 ? 'block was' : 'blocks were'} replaced`}>
        <Icon name="refresh" size={11} /> reorg {block.replaced}
      </span>
    );
  }
  const event = block.events[0];
  if (event !== undefined) {
    return (
      <span className="block-mark" data-kind={event.kind} title={event.text}>
        <Icon name="warn" size={11} /> {{ restart: 'restart', node: 'node down', lost: 'offline' }[event.kind as 'restart' | 'node' | 'lost']}
      </span>
    );
  }
  if (block.after === null) {
    return <span className="block-between">{'\u00a0'}</span>;
  }
  return (
    <span key={between(block.after)} className={block.late ? 'block-mark' : 'block-between'} data-kind={block.late ? 'late' : undefined} title={block.late ? `This block took ${between(block.after)}` : undefined}>
      +{between(block.after)}
    </span>
  );
}

export function between(seconds: number): string {
  const tenths = Math.round(seconds * 10) / 10;
  return seconds >= 90 ? duration(seconds) : `${seconds >= 10 || Number.isInteger(tenths) ? fixed(seconds, 0) : fixed(seconds, 1)} s`;
}

/** In steps that grow with the age: a page that changes everywhere every second costs, and tells no more. */
function Age({ time, first }: { time: number; first: boolean }): ReactNode {
  const client = useStreamClient();
  return useTicking(() => {
    const age = Math.max(0, client.now() - time);
    return age < 1 ? 'now' : `${duration(age < (first ? 60 : 15) ? age : age < 90 ? Math.round(age / 5) * 5 : age)} ago`;
  });
}

function Next({ expected, newest, number, live }: { expected: Expectation | null; newest: number | null; number: number | null; live: boolean }): ReactNode {
  const client = useStreamClient();
  // Finalized blocks are old when they come: the next one is expected when it will be here, and not when it will be made.
  const lag = useRef<{ number: number | null; seconds: number | null; age: number | null }>({ number, seconds: null, age: null });
  if (number !== lag.current.number) {
    const age = newest === null || lag.current.number === null ? null : Math.max(0, client.now() - newest);
    lag.current = { number, age, seconds: age === null ? lag.current.seconds : lagAfter(lag.current.seconds, age) };
  }
  const elapsed = useTicking(() => (newest === null ? -1 : Math.max(0, Math.round(client.now() - newest - (lag.current.seconds ?? 0)))));
  const known = expected !== null && elapsed >= 0;
  const left = known ? expected.mean - elapsed : 0;
  const stalled = known && elapsed > Math.max(5 * expected.mean, 2 * expected.slow, expected.mean + 10);
  const behind = known && !stalled && isBehind(lag.current.age, expected.mean);
  const words = !live && known ? 'paused' : behind ? `${duration(lag.current.age ?? 0)} behind` : !known ? '…' : stalled ? `none for ${duration(elapsed)}` : left >= 1 ? `in ${duration(Math.round(left))}` : lag.current.seconds === null || left > -Math.max(1, expected.mean / 4) ? 'any moment' : `${duration(Math.round(-left))} late`;
  const share = known ? Math.min(elapsed / Math.max(expected.mean, 0.5), 1) : 0;
  return (
    <div className="next" data-stalled={stalled || behind ? true : undefined} title={behind && newest !== null ? `The newest block here is of ${clock(newest)}: later ones are still to come` : undefined}>
      <span className="next-title">Next block</span>
      <span className="next-words">{words}</span>
      <span className="next-number">{number === null ? '\u00a0' : exact(number + 1)}</span>
      <span className="next-bar" aria-hidden="true">
        <span style={{ transform: `scaleX(${share.toFixed(3)})` }} />
      </span>
      <span className="next-mean">{expected === null ? '\u00a0' : `every ${between(expected.mean)}`}</span>
    </div>
  );
}

const WIDTH = 240;
const HEIGHT = 44;

/** How long the last blocks took, and where the next one is. */
function Histogram({ expected, newest }: { expected: Expectation | null; newest: number | null }): ReactNode {
  const client = useStreamClient();
  const bins = useMemo(() => histogram(expected?.intervals ?? []), [expected]);
  const end = bins.at(-1)?.to ?? 1;
  const place = useTicking(() => (newest === null || bins.length === 0 ? -1 : Math.round((Math.min(Math.max(0, client.now() - newest), end) / end) * WIDTH)));
  const most = Math.max(...bins.map(({ count }) => count), 1);
  const text =
    expected === null || expected.intervals.length === 0
      ? 'Block times appear here after a few blocks.'
      : between(expected.median) === between(expected.slow)
        ? `Nearly all of the last ${expected.intervals.length + 1} blocks took ${between(expected.median)}`
        : `Of the last ${expected.intervals.length + 1} blocks: half within ${between(expected.median)}, 95 % within ${between(expected.slow)}`;
  return (
    <div className="blocktime">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Time between blocks. ${text}`}>
        {bins.map(({ from, count }, index) => {
          const height = count === 0 ? 1 : Math.max(3, (count / most) * (HEIGHT - 4));
          return <rect key={from} x={(index * WIDTH) / bins.length + 0.75} width={WIDTH / bins.length - 1.5} y={HEIGHT - height} height={height} data-empty={count === 0} />;
        })}
        {place >= 0 && <line className="blocktime-now" x1={place} x2={place} y1={0} y2={HEIGHT} />}
      </svg>
      <p className="blocktime-scale" aria-hidden="true">
        <span>0 s</span>
        <span key={`half ${end}`}>{bins.length === 0 ? '' : between(end / 2)}</span>
        <span key={`end ${end}`}>{bins.length === 0 ? '' : `${between(end)} +`}</span>
      </p>
      <p className="blocktime-text">{text.replace(/(\d) (?=s\b|min\b|h\b)/g, '$1\u00a0')}</p>
    </div>
  );
}

const MARKETS = ['compute', 'storage', 'energy', 'ads'];

/** `14.2 to 15.9 gwei`: the unit once, when it is that of both. */
function span(low: number, high: number, format: Format): string {
  const [from, to] = [write(low, format), write(high, format)];
  return from === null || to === null ? '–' : say(low, format) === say(high, format) ? say(high, format) : from.unit === to.unit && from.unit !== '' ? `${from.text} to ${say(high, format)}` : `${say(low, format)} to ${say(high, format)}`;
}

function Legend({ blocks, config }: { blocks: readonly Block[]; config: BlocksConfig }): ReactNode {
  // Those that are known by name always, in their order: the legend stays as it is, whatever is in the blocks just now.
  const groups = [...new Set([...(config.entries?.group === 'market' ? MARKETS : []), ...blocks.flatMap((block) => block.groups.map(({ name }) => name)).filter(Boolean).sort()])];
  const colours = blocks.map(({ colour }) => colour).filter((value): value is number => value !== null);
  const used = config.used;
  return (
    <div className="blocks-legend">
      {sizeless(config) && <p>All drawn alike: their size is not told</p>}
      {used !== undefined && (
        <p>
          Filled by {(used.title ?? titleOf(used)).toLowerCase()}
          {used.of === undefined ? ', beside the fullest shown' : ''}
        </p>
      )}
      {config.colour !== undefined && (
        <p className="blocks-levels">
          <span>{titleOf(config.colour)}</span>
          {[0, 1, 2, 3, 4].map((level) => (
            <i key={level} className="block-level" data-level={level} />
          ))}
          <span>{colours.length === 0 ? '–' : span(Math.min(...colours), Math.max(...colours), config.colour)}</span>
        </p>
      )}
      {config.entries?.group !== undefined && (
        <p className="blocks-groups">
          {groups.map((name) => (
            <span key={name} data-market={name}>
              <i className="block-level" />
              {label(name)}
            </span>
          ))}
        </p>
      )}
    </div>
  );
}
