import { useMemo, type CSSProperties, type ReactNode } from 'react';
import { compact, duration, fixed, label } from '../app/format';
import type { Series } from '../app/history';
import { useSeries } from '../app/series';
import { behind, compute, until } from '../board/compute';
import type { Format, NumberConfig, NumbersConfig } from '../board/types';
import { at, resolve, say, titleOf, write, type Written } from '../board/values';
import { useStreamView } from '../hooks';
import { Icon } from '../ui/Icon';
import { Panel } from '../ui/Panel';
import { firstAfter, Sparkline } from '../ui/Sparkline';
import { Figure } from '../ui/Value';
import '../ui/legend.css';
import './tiles.css';
import { sortOut } from './sortOut';

/** Seconds of the course beside a figure. */
const COURSE = 900;
/** What a stream that nobody described shows at most. */
const MOST = 12;

/** Figures of a stream, each with its course, and facts below. */
export function NumbersPanel({ config, id, className }: { config: NumbersConfig; id: string; className: string }): ReactNode {
  const view = useStreamView(config.stream);
  const series = useSeries(config.stream);
  const { numbers, facts } = useContents(config, view.data);

  return (
    <Panel title={config.title ?? label(config.stream)} view={view} className={className} id={id} note={config.note}>
      {numbers.length === 0 && facts.length === 0 && <p className="panel-empty">{view.error ?? 'Waiting for data.'}</p>}
      {numbers.length > 0 && (
        <dl className={numbers.length > 6 ? 'tiles tiles-many' : 'tiles'} data-count={numbers.length}>
          {numbers.map((number, index) =>
            number.compute !== undefined && number.compute !== 'behind' && number.compute !== 'until' ? (
              <ComputedTile key={index} config={number} />
            ) : number.fields !== undefined && number.compute === undefined ? (
              <PairTile key={index} config={number} data={view.data} series={series} />
            ) : (
              <MemberTile key={index} config={number} data={view.data} series={series} />
            ),
          )}
        </dl>
      )}
      {facts.length > 0 && (
        <dl className="facts">
          {facts.map((fact) => (
            <div key={fact.field}>
              <dt>{titleOf(fact)}</dt>
              <dd title={view.data === null ? undefined : say(at(view.data, fact.field), fact, fact.field)}>
                <Fact value={at(view.data, fact.field)} fact={resolve(fact, view.data)} waiting={view.data === null} />
              </dd>
            </div>
          ))}
        </dl>
      )}
    </Panel>
  );
}

function Fact({ value, fact, waiting }: { value: unknown; fact: Format & { field: string }; waiting: boolean }): ReactNode {
  if (waiting) {
    return <span className="placeholder">–</span>;
  }
  if (Array.isArray(value)) {
    return `${value.length} ${value.length === 1 ? 'entry' : 'entries'}`;
  }
  const written = write(value, fact, fact.field);
  return <Figure value={written?.text} unit={written?.unit === '' ? undefined : written?.unit} title={written?.whole ?? undefined} />;
}

/** What the board names, or whatever the stream has. */
function useContents(config: NumbersConfig, data: unknown): { numbers: readonly NumberConfig[]; facts: readonly (Format & { field: string; title?: string })[] } {
  const described = config.numbers !== undefined || config.facts !== undefined;
  const { numbers, others } = described ? { numbers: [], others: [] } : sortOut(data);
  const key = `${numbers.slice(0, MOST).map(([path]) => path).join('\n')}\n\n${others.map(([path]) => path).join('\n')}`;
  return useMemo(() => {
    if (described) {
      return { numbers: config.numbers ?? [], facts: config.facts ?? [] };
    }
    const [first = '', second = ''] = key.split('\n\n');
    return {
      numbers: first.split('\n').filter(Boolean).map((field) => ({ field, title: label(field), tight: /height|number|block|slot/.test(field) })),
      facts: second.split('\n').filter(Boolean).map((field) => ({ field, title: label(field) })),
    };
  }, [config, described, key]);
}

interface TileProps {
  config: NumberConfig;
  data: unknown;
  series: Series;
}

function MemberTile({ config, data, series }: TileProps): ReactNode {
  const field = config.field ?? config.fields?.[0] ?? '';
  const value = config.compute === 'behind' ? behind(data, config.fields ?? []) : config.compute === 'until' ? until(at(data, field), config.every) : at(data, field);
  const format = resolve(config, data);
  const names = useMemo(() => [field], [field]);
  const course = useMemo(() => (config.compute === 'behind' ? difference(series, config.fields ?? []) : series), [config, series]);
  return (
    <Tile
      title={titleOf(config)}
      written={write(value, format, field)}
      waiting={data === null}
      foot={config.compute !== undefined ? config.foot : config.foot === 'pace' ? pace(series, field) : (config.foot ?? range(series, field, format))}
    >
      {config.course !== false && config.compute !== 'until' && (
        <Sparkline series={course} names={names} window={COURSE} tight={config.tight ?? false} label={`${titleOf(config)}, last 15 minutes`} />
      )}
    </Tile>
  );
}

/** The course of one number less another, under the first one's name. */
function difference({ times, values }: Series, [front = '', back = '']: readonly string[]): Series {
  const [one, other] = [values.get(front), values.get(back)];
  const column = times.map((_time, index) => {
    const [ahead, after] = [one?.[index], other?.[index]];
    return typeof ahead === 'number' && typeof after === 'number' ? ahead - after : null;
  });
  return { times, values: new Map([[front, column]]) };
}

/** A figure made of a log's newest entries, such as transactions per second. */
function ComputedTile({ config }: { config: NumberConfig }): ReactNode {
  const view = useStreamView(config.of ?? 'blocks');
  const made = useMemo(() => compute(config, view.entries), [config, view.entries]);
  const series = useMemo<Series>(
    () => ({ times: made.course.map(({ time }) => time), values: new Map([['value', made.course.map(({ value }) => value)]]) }),
    [made],
  );
  const count = Math.min(view.entries.length, config.over ?? 50);
  return (
    <Tile
      title={titleOf(config)}
      written={write(made.value, { as: 'number', ...config })}
      waiting={view.data === null}
      foot={config.foot ?? (config.compute === 'share' || config.compute === 'last' || config.compute === 'next_base_fee' ? undefined : `over ${count} blocks`)}
    >
      <Sparkline series={series} names={VALUE} window={1e9} label={`${titleOf(config)}, last ${count} blocks`} />
    </Tile>
  );
}

const VALUE = ['value'];

function PairTile({ config, data, series }: TileProps): ReactNode {
  const fields = config.fields ?? [];
  const titles = fields.map((field, index) => config.titles?.[index] ?? titleOf({ field }));
  return (
    <div className="tile">
      <dt>{config.title ?? titles.join(' and ')}</dt>
      <dd className="tile-value tile-pair">
        {data === null ? (
          <span className="placeholder">–</span>
        ) : (
          fields.map((field, index) => {
            const written = write(at(data, field), config, field);
            return (
              <span key={`${field} ${fields.map((one) => say(at(data, one), config, one).length)}`} className="rate">
                {(titles[index] === 'in' || titles[index] === 'out') && <Icon name={titles[index] === 'in' ? 'down' : 'up'} size={13} />}
                <span className="visually-hidden">{titles[index]} </span>
                <Figure value={written?.text} unit={written?.unit === '' ? undefined : written?.unit} title={written?.whole ?? undefined} />
              </span>
            );
          })
        )}
      </dd>
      <dd className="tile-course">
        <Sparkline series={series} names={fields} window={COURSE} label={`${config.title ?? titles.join(' and ')}, last 15 minutes`} />
      </dd>
      <dd className="tile-foot">
        {titles.map((title, index) => (
          <span key={title} className="legend" data-series={index}>
            {title}
          </span>
        ))}
      </dd>
    </div>
  );
}

/** One figure with its course. */
function Tile({ title, written, waiting, foot, children }: { title: string; written: Written | null; waiting: boolean; foot?: ReactNode; children: ReactNode }): ReactNode {
  return (
    <div className="tile">
      <dt>{title}</dt>
      <dd className="tile-value" style={written === null ? undefined : ({ '--wide': emsOf(written.text, written.unit) } as CSSProperties)}>
        {waiting ? (
          <span className="placeholder">–</span>
        ) : (
          <Figure value={written?.text} unit={written === null || written.unit === '' ? undefined : written.unit} title={written?.whole ?? undefined} />
        )}
      </dd>
      {children !== false && <dd className="tile-course">{children}</dd>}
      <dd className="tile-foot" style={typeof foot === 'string' ? ({ '--wide': Math.ceil(foot.length * 1.12) / 2 } as CSSProperties) : undefined}>
        {foot ?? '\u00a0'}
      </dd>
    </div>
  );
}

/** About how wide a figure and its unit are, in em of the figure. In halves: one more or less of a narrow digit changes nothing. */
export function emsOf(text: string, unit: string): number {
  const narrow = text.replace(/[^ .,:'’|il1]/g, '').length;
  return Math.ceil(2 * (0.68 * (text.length - narrow) + 0.5 * narrow + (unit === '' ? 0 : 0.2 + 0.4 * unit.length))) / 2;
}

/** Lowest and highest of the time that the course shows. */
function range(series: Series, name: string, format: Format): ReactNode {
  const column = series.values.get(name);
  const end = series.times.at(-1);
  if (column === undefined || end === undefined) {
    return null;
  }
  let [low, high, count] = [Infinity, -Infinity, 0];
  for (let index = firstAfter(series.times, end - COURSE); index < series.times.length; index += 1) {
    const value = column[index];
    if (typeof value === 'number') {
      low = Math.min(low, value);
      high = Math.max(high, value);
      count += 1;
    }
  }
  if (count < 3) {
    return null;
  }
  const text = (value: number): string => {
    const written = write(value, format.as === undefined || format.as === 'exact' ? { ...format, as: 'number' } : format, name);
    if (written === null) {
      return '';
    }
    // An edge of the course needs no more than a few digits, as long as those tell one from the other.
    const [shown, short, other] = [written.text, compact(value), compact(value === low ? high : low)];
    const unit = written.unit === '' || written.unit === '%' ? written.unit : ` ${written.unit}`;
    return shown.length > 13 || (shown.length > 9 && (low === high || short !== other)) ? `${compact(Number(shown.replaceAll(',', '')))}${unit}` : `${shown}${unit}`;
  };
  return low === high ? `steady at ${text(low)}` : `${text(low).replace(/ \D+$/, (unit) => (text(high).endsWith(unit) ? '' : unit))} to ${text(high)}`;
}

/** Blocks per minute over the time that the course shows. */
function pace(series: Series, name: string): ReactNode {
  const column = series.values.get(name);
  const end = series.times.at(-1);
  if (column === undefined || end === undefined) {
    return null;
  }
  let index = firstAfter(series.times, end - COURSE);
  while (index < series.times.length && typeof column[index] !== 'number') {
    index += 1;
  }
  const first = column[index];
  const last = column.at(-1);
  const seconds = end - (series.times[index] ?? end);
  if (typeof first !== 'number' || typeof last !== 'number' || seconds < 10 || last < first) {
    return null;
  }
  const perMinute = ((last - first) / seconds) * 60;
  return perMinute === 0 ? `no block for ${duration(seconds)}` : `${fixed(perMinute, perMinute < 10 ? 1 : 0)} blocks per minute`;
}
