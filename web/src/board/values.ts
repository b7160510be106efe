import { isObject, type Numeric } from '../client';
import { bytes, clock, exact, figure, fixed, fullTime, isNumeric, label, shorten } from '../app/format';
import type { As, Format } from './types';

/** A value as it is read at a glance, and as it is exactly. */
export interface Written {
  readonly text: string;
  readonly unit: string;
  /** With every digit, for a title and for copying; null where `text` says it all. */
  readonly whole: string | null;
}

/** A member of an object by its path: `markets.compute.active_jobs`. */
export function at(data: unknown, path: string): unknown {
  if (isObject(data) && Object.hasOwn(data, path)) {
    return data[path];
  }
  let value: unknown = data;
  for (const name of path.split('.')) {
    if (!isObject(value)) {
      return undefined;
    }
    value = value[name];
  }
  return value;
}

/** A number of the node's, also one that came as its decimal digits because it is too long for most clients. */
export function numeric(value: unknown): Numeric | null {
  if (isNumeric(value)) {
    return value;
  }
  return typeof value === 'string' && /^-?\d{1,100}$/.test(value) ? BigInt(value) : null;
}

const TIME = /(^|_)(time|timestamp|at)$/;
const BYTES = /(^|_)(bytes|stored|bandwidth)($|_)|^size(_on_disk)?$/;
const HASH = /(^|_)(hash|root|address|miner|proposer)$/;

/** Nobody reads a price of gas in wei. */
const GAS_PRICE = /gas_price|base_fee|priority_fee/;

export const AMOUNT = /^(amount|value|delta|balance|price_paid|fee|total_fee)$/;

/** How a member is written that nobody said anything about: by its name, and by what it is. */
export function guess(name: string, value: unknown): As {
  const last = name.slice(name.lastIndexOf('.') + 1);
  if (typeof value === 'boolean') {
    return 'yesno';
  }
  if (last === 'market') {
    return 'market';
  }
  if (isNumeric(value) || (AMOUNT.test(last) && numeric(value) !== null)) {
    if (TIME.test(last) && Number(value) > 1e9) {
      return 'time';
    }
    return BYTES.test(last) ? 'bytes' : /_ms$/.test(last) ? 'ms' : AMOUNT.test(last) || /(height|number|nonce|_id|^id|slot|index)$/.test(last) ? 'exact' : 'number';
  }
  return typeof value === 'string' && (HASH.test(last) || value.length > 24) ? 'hash' : 'text';
}

/** `value` as `format` says; null where the node gave none. */
export function write(value: unknown, format: Format = {}, name = ''): Written | null {
  if (value === null || value === undefined || value === '') {
    return null;
  }
  const gas = format.as === undefined && GAS_PRICE.test(name) && Number(value) >= 100_000;
  if (gas) {
    return write(value, { as: 'coin', decimals: 9, unit: 'gwei', digits: 3 }, name);
  }
  if (format.times !== undefined) {
    const { times, ...rest } = format;
    const one = numeric(value);
    return write(one === null ? value : Number((Number(one) * times).toPrecision(12)), { as: 'number', ...rest }, name);
  }
  const as = format.as ?? guess(name, value);
  const unit = format.unit ?? '';
  const plain = (text: string, own = unit, whole: string | null = null): Written => ({ text, unit: own, whole });
  const number = numeric(value);

  switch (as) {
    case 'yesno':
      return plain(value === true || value === 1 ? 'yes' : value === false || value === 0 ? 'no' : words(value));
    case 'name': {
      const known = format.names?.[String(value)];
      return known === undefined ? plain(words(value)) : plain(known, '', words(value));
    }
    case 'status': {
      const known = format.names?.[String(value)];
      return plain(known ?? (succeeded(value) ? 'Success' : failed(value) ? 'Failed' : label(words(value))));
    }
    case 'market':
      return plain(label(words(value)));
    case 'text':
      return plain(words(value));
    case 'hash':
      return plain(shorten(words(value), 10, 6), unit, words(value));
    default:
  }
  if (number === null) {
    return plain(words(value));
  }
  switch (as) {
    case 'coin': {
      const decimals = typeof format.decimals === 'number' ? format.decimals : 0;
      // An amount that is nothing in a large unit is something in a smaller one.
      const small = smaller(number, format);
      if (small !== null) {
        return small;
      }
      const { text, whole } = coin(number, decimals, format.digits ?? 4);
      return plain(text, unit, whole === text ? null : `${whole}${unit === '' ? '' : ` ${unit}`}`);
    }
    case 'percent':
      return plain(fixed(Number(number) * 100, (format.digits ?? 1) as 0 | 1 | 2 | 3), '%');
    case 'bytes':
    case 'rate': {
      const [text, size] = bytes(number);
      return plain(text, as === 'rate' ? `${size}/s` : size, `${exact(number)} bytes${as === 'rate' ? ' per second' : ''}`);
    }
    case 'seconds':
      return unit === '' && Number(number) >= 120
        ? plain(fixed(Number(number) / 60, 1), 'min', `${exact(number)} s`)
        : plain(figure(number), unit || 's');
    case 'ms':
      return plain(figure(number), 'ms');
    case 'time':
      return plain(clock(Number(number)), '', fullTime(Number(number)));
    case 'exact':
    case 'integer':
      return plain(exact(as === 'integer' ? (typeof number === 'bigint' ? number : Math.round(number)) : number));
    default: {
      if (format.digits !== undefined) {
        return plain(fixed(Number(number), format.digits as 0 | 1 | 2 | 3), unit, exact(number));
      }
      const text = figure(number);
      return plain(text, unit, text === exact(number) ? null : exact(number));
    }
  }
}

/** Below this much of a unit an amount of Ethereum's is written in the next smaller one. */
const SMALLER: Readonly<Record<string, readonly { unit: string; decimals: number }[]>> = {
  ETH: [{ unit: 'gwei', decimals: 9 }, { unit: 'wei', decimals: 0 }],
  gwei: [{ unit: 'wei', decimals: 0 }],
};

function smaller(number: Numeric, format: Format): Written | null {
  const decimals = typeof format.decimals === 'number' ? format.decimals : 0;
  const size = Math.abs(Number(number));
  if (size === 0 || size >= 10 ** (decimals - (format.unit === 'ETH' ? 6 : 3))) {
    return null;
  }
  const known = format.unit === undefined ? undefined : SMALLER[format.unit];
  const found = known?.find((one) => one.decimals < decimals && (one.decimals === 0 || size >= 10 ** (one.decimals - 3)));
  if (found === undefined) {
    return null;
  }
  const { text } = coin(number, found.decimals, 3);
  return { text, unit: found.unit, whole: `${coin(number, decimals).whole} ${format.unit}` };
}

/** The format with what the data itself says of it: the decimals of its coin, and its name (`unit`: ".token"). */
export function resolve<F extends Format>(format: F, data: unknown): F {
  if (typeof format.decimals !== 'string' && format.unit?.startsWith('.') !== true) {
    return format;
  }
  const decimals = typeof format.decimals === 'string' ? Number(numeric(at(data, format.decimals)) ?? 0) : format.decimals;
  const unit = format.unit?.startsWith('.') === true ? at(data, format.unit.slice(1)) : format.unit;
  return { ...format, ...(decimals === undefined ? {} : { decimals }), unit: typeof unit === 'string' ? unit : '' };
}

/** As one text, for a line of a chart's legend, a title, a screen reader. */
export function say(value: unknown, format: Format = {}, name = ''): string {
  const written = write(value, format, name);
  return written === null ? 'not reported' : written.unit === '' ? written.text : `${written.text}${written.unit === '%' ? '' : ' '}${written.unit}`;
}

function words(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'bigint' ? String(value) : JSON.stringify(value) ?? String(value);
}

export function succeeded(value: unknown): boolean {
  return value === 1 || value === true || /^(success|succeeded|ok|finalized|healthy|1|0x1)$/i.test(String(value));
}

export function failed(value: unknown): boolean {
  return value === 0 || value === false || /^(fail(ed|ure)?|error|reverted|0|0x0)$/i.test(String(value));
}

/**
 * An amount that the node counts in its smallest unit: `1500000000000000000` with 18 decimals is 1.5. The long way, because a
 * double has 16 digits: nothing is lost in `whole`, and `text` has as many digits as say something.
 */
export function coin(value: Numeric, decimals: number, digits = 4): { text: string; whole: string } {
  if (typeof value === 'number' && !Number.isInteger(value)) {
    const number = value / 10 ** decimals;
    return { text: figure(number), whole: figure(number) };
  }
  const big = BigInt(value);
  const negative = big < 0n;
  const size = negative ? -big : big;
  const unit = 10n ** BigInt(decimals);
  const before = size / unit;
  const after = (size % unit).toString().padStart(decimals, '0').slice(0, decimals);
  const sign = negative ? '−' : '';
  const trimmed = after.replace(/0+$/, '');
  const whole = `${sign}${exact(before)}${trimmed === '' ? '' : `.${trimmed}`}`;
  if (trimmed === '') {
    return { text: whole, whole };
  }
  if (before === 0n) {
    const first = after.search(/[1-9]/);
    if (first >= 6) {
      return { text: `${sign}${Number(`0.${after}`).toExponential(1).replace('e-', '·10⁻').replace(/⁻(\d+)$/, (_all, power: string) => `⁻${superscript(power)}`)}`, whole };
    }
    const shown = after.slice(0, Math.max(first + 2, digits)).replace(/0+$/, '');
    return { text: `${sign}0.${shown}`, whole };
  }
  const shown = after.slice(0, before >= 1000n ? Math.min(digits, 2) : digits).replace(/0+$/, '');
  return { text: `${sign}${exact(before)}${shown === '' ? '' : `.${shown}`}`, whole };
}

function superscript(digits: string): string {
  return [...digits].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)] ?? '').join('');
}

/** The title of a member that has none. */
export function titleOf(config: { title?: string; field?: string }): string {
  return config.title ?? (config.field === undefined ? '' : label(config.field.slice(config.field.lastIndexOf('.') + 1)));
}
