import type { ReactNode } from 'react';
import { isObject } from '../client';
import { useSeries } from '../app/series';
import { useStreamView } from '../hooks';
import { exact, isNumeric, label } from '../app/format';
import { Panel } from '../ui/Panel';
import { Sparkline } from '../ui/Sparkline';
import { Figure } from '../ui/Value';
import { Anything, describeNumber, isTime } from './Cells';
import './tiles.css';

/** A snapshot stream that this page has no panel of its own for: its numbers with their course, then whatever else it has. */
export function GenericSnapshot({ stream, className }: { stream: string; className?: string }): ReactNode {
  const view = useStreamView(stream);
  const series = useSeries(stream);
  const { numbers, others } = sortOut(view.data);

  return (
    <Panel title={label(stream)} view={view} className={className}>
      {view.data === null && <p className="panel-empty">{view.error ?? 'Waiting for data.'}</p>}
      {numbers.length > 0 && (
        <dl className="tiles tiles-many">
          {numbers.map(([path, value]) => (
            <NumberTile key={path} path={path} value={value} series={series} />
          ))}
        </dl>
      )}
      {others.length > 0 && (
        <dl className="facts">
          {others.map(([path, value]) => (
            <div key={path}>
              <dt>{label(path)}</dt>
              <dd>{Array.isArray(value) ? `${value.length} ${value.length === 1 ? 'entry' : 'entries'}` : <Anything name={path} value={value} />}</dd>
            </div>
          ))}
        </dl>
      )}
    </Panel>
  );
}

function NumberTile({ path, value, series }: { path: string; value: number | bigint; series: ReturnType<typeof useSeries> }): ReactNode {
  const [number, unit] = describeNumber(path, value);
  return (
    <div className="tile">
      <dt>{label(path)}</dt>
      <dd className="tile-value" data-length={Math.ceil(number.length / 5)}>
        <Figure value={number} unit={unit === '' ? undefined : unit} title={exact(value)} />
      </dd>
      <dd className="tile-course">
        <Sparkline series={series} names={[path]} tight={/height|number|block/.test(path)} label={`${label(path)}, last 5 minutes`} />
      </dd>
    </div>
  );
}

interface Sorted {
  numbers: [string, number | bigint][];
  others: [string, unknown][];
}

/** The data's members by path, to a depth that still makes sense on a page. */
export function sortOut(data: unknown, prefix = '', depth = 0, into: Sorted = { numbers: [], others: [] }): Sorted {
  if (data === null || data === undefined) {
    return into;
  }
  if (!isObject(data)) {
    if (isNumeric(data)) {
      into.numbers.push([prefix || 'value', data]);
    } else {
      into.others.push([prefix || 'value', data]);
    }
    return into;
  }
  for (const [name, value] of Object.entries(data)) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    // An id is a number that nobody wants to see drawn.
    if (isNumeric(value) && !isTime(name, value) && !/(^|_)id$/.test(name)) {
      into.numbers.push([path, value]);
    } else if (isObject(value) && depth < 2) {
      sortOut(value, path, depth + 1, into);
    } else {
      into.others.push([path, value]);
    }
  }
  return into;
}
