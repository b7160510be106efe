import type { ReactNode } from 'react';
import { bytes, clock, exact, figure, fullTime, isNumeric, label, shorten } from '../app/format';
import { Icon } from '../ui/Icon';
import { NotReported } from '../ui/Value';
import { marketIcon } from './Markets';
import './Cells.css';

/** Cells that several tables share. */

export function MarketTag({ market }: { market: unknown }): ReactNode {
  if (typeof market !== 'string') {
    return <NotReported />;
  }
  return (
    <span className="market-tag" data-market={market}>
      <Icon name={marketIcon(market)} size={13} />
      {label(market)}
    </span>
  );
}

export function Time({ value }: { value: unknown }): ReactNode {
  const number = isNumeric(value) ? Number(value) : NaN;
  if (!Number.isFinite(number) || number <= 0) {
    return <NotReported />;
  }
  return <time title={fullTime(number)}>{clock(number)}</time>;
}

export function Id({ value, head = 10, tail = 4 }: { value: unknown; head?: number; tail?: number }): ReactNode {
  if (value === null || value === undefined || value === '') {
    return <NotReported />;
  }
  const text = typeof value === 'bigint' || typeof value === 'number' ? String(value) : typeof value === 'string' ? value : JSON.stringify(value);
  return (
    <span className="mono" title={text}>
      {shorten(text, head, tail)}
    </span>
  );
}

export function Amount({ value }: { value: unknown }): ReactNode {
  return isNumeric(value) ? <span className="amount">{exact(value)}</span> : value === null || value === undefined ? <NotReported /> : <Id value={value} />;
}

/** Shown with every digit, also where the node sends them as a text. */
export const AMOUNT = /^(amount|value|delta|balance|price_paid|fee)$/;

const TIME = /(^|_)(time|timestamp|at)$/;
const BYTES = /(^|_)(bytes|size|stored|bandwidth)($|_)/;
const GAS_PRICE = /gas_price|base_fee|priority_fee/;

export function isTime(name: string, value: unknown): boolean {
  return TIME.test(name) && isNumeric(value) && Number(value) > 1e9;
}

/** A value of a stream that this page knows nothing of, as well as its name and type tell. */
export function Anything({ name, value }: { name: string; value: unknown }): ReactNode {
  if (value === null || value === undefined) {
    return <NotReported />;
  }
  if (typeof value === 'boolean') {
    return value ? 'yes' : 'no';
  }
  if (isNumeric(value)) {
    if (isTime(name, value)) {
      return <Time value={value} />;
    }
    const [number, unit] = describeNumber(name, value);
    return (
      <span title={exact(value)}>
        {number}
        {unit !== '' && <span className="figure-unit"> {unit}</span>}
      </span>
    );
  }
  if (typeof value === 'string') {
    if (AMOUNT.test(name) && /^-?\d{1,100}$/.test(value)) {
      return <span className="amount">{exact(BigInt(value))}</span>;
    }
    if (name === 'market') {
      return <MarketTag market={value} />;
    }
    return value.length > 18 ? <Id value={value} /> : value;
  }
  return <Id value={value} head={16} tail={0} />;
}

/** A number with the unit that its name suggests. */
export function describeNumber(name: string, value: number | bigint): [string, string] {
  if (BYTES.test(name)) {
    return bytes(value);
  }
  if (GAS_PRICE.test(name) && value >= 100_000) {
    return [figure(Number(value) / 1e9), 'gwei'];
  }
  if (/_ms$/.test(name)) {
    return [figure(value), 'ms'];
  }
  return [typeof value === 'bigint' ? exact(value) : figure(value), ''];
}
