import type { Numeric } from '../client';

// Numbers and times are written by hand, as Intl writes them in English: to make its formats takes a phone longer than to read the rest
// of the page's script.

/** Beyond this a number is written with an exponent. */
const HUGE = 1e21;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sept', 'Oct', 'Nov', 'Dec'];

/** Groups the digits before the point. */
function grouped(digits: string): string {
  const point = digits.indexOf('.');
  const whole = point === -1 ? digits : digits.slice(0, point);
  return whole.length < 4 ? digits : whole.replace(/\B(?=(\d{3})+$)/g, ',') + (point === -1 ? '' : digits.slice(point));
}

export function isNumeric(value: unknown): value is Numeric {
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value));
}

/** Every digit, grouped: `18,446,744,073,709,551,615`. */
export function exact(value: Numeric): string {
  if (typeof value === 'bigint' || (Number.isInteger(value) && Math.abs(value) < HUGE)) {
    return grouped(String(value));
  }
  // As many decimals as the number has, up to what a double can mean.
  return upTo(value, 12);
}

/** With so many decimals at most. */
export function upTo(value: number, digits: number): string {
  if (!(Math.abs(value) < HUGE)) {
    return value.toLocaleString('en', { maximumFractionDigits: digits });
  }
  // What a number is written as is shorter than what it is: 0.1 has one decimal.
  const short = String(value);
  const text = short.includes('e') || short.length - short.indexOf('.') - 1 > digits ? value.toFixed(digits) : short;
  return grouped(text.includes('.') ? text.replace(/\.?0+$/, '') : text);
}

const UNITS = ['', 'K', 'M', 'B', 'T'];

/** A few characters for a number, however large it is: 640, 12.3K. */
export function compact(value: number, digits = 1): string {
  let unit = 0;
  let number = value;
  while (Math.abs(number) >= 1000 - 0.5 * 10 ** -digits && unit < UNITS.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${upTo(Number(number.toFixed(digits)), digits)}${UNITS[unit] as string}`;
}

export function fixed(value: number, digits: 0 | 1 | 2 | 3): string {
  return Math.abs(value) < HUGE ? grouped(value.toFixed(digits)) : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A few significant digits for a figure that is read at a glance: 0.042, 4.25, 42.5, 425, 4,250. */
export function figure(value: Numeric): string {
  const number = Number(value);
  const size = Math.abs(number);
  if (typeof value === 'bigint' || Number.isInteger(number)) {
    return exact(value);
  }
  return size >= 1000 ? fixed(number, 0) : size >= 10 ? fixed(number, 1) : size >= 0.1 ? fixed(number, 2) : number.toPrecision(2);
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

export function bytes(value: Numeric): [string, string] {
  let number = Number(value);
  let unit = 0;
  while (Math.abs(number) >= 1024 && unit < BYTES.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return [unit === 0 ? fixed(number, 0) : number >= 100 ? fixed(number, 0) : fixed(number, number >= 10 ? 1 : 2), BYTES[unit] as string];
}

/** A length of time in the largest unit that says something: `4 s`, `12 min`, `3 h 20 min`, `2 d`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) {
    return `${whole} s`;
  }
  const minutes = Math.round(whole / 60);
  if (minutes < 90) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 36) {
    return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  }
  return `${Math.round(hours / 24)} d`;
}

/** Unix seconds, or the milliseconds that some nodes send, as a clock shows it. */
export function clock(timestamp: number): string {
  const at = new Date(milliseconds(timestamp));
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function clockShort(timestamp: number): string {
  return clock(timestamp).slice(0, 5);
}

export function fullTime(timestamp: number): string {
  const at = new Date(milliseconds(timestamp));
  return `${at.getDate()} ${MONTHS[at.getMonth()] ?? ''} ${at.getFullYear()}, ${clock(timestamp)}`;
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}

function milliseconds(timestamp: number): number {
  return timestamp > 1e11 ? timestamp : timestamp * 1000;
}

/** The middle of a long id left out: `12D3KooW…9f31`. */
export function shorten(text: string, head = 8, tail = 4): string {
  return text.length <= head + tail + 2 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}

/** `total_providers` as a label: `Total providers`. */
export function label(name: string): string {
  if (name === 'timestamp') {
    return 'Time';
  }
  const words = name
    .replace(/_ms$/, '') // the unit stands with the figure
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .replace(/[_\-.]+/g, ' ')
    .trim();
  const lower = words.toLowerCase().replace(/\b(id|tps|ip|cpu|rpc|url|ttl|ms)\b/g, (word) => (word === 'ms' ? 'ms' : word.toUpperCase()));
  return lower.charAt(0).toUpperCase() + lower.slice(1);
}
