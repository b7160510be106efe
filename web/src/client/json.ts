/**
 * JSON whose integers survive.
 *
 * Amounts on a chain are unsigned 64-bit integers; a double holds them exactly only up to 2^53. `parseExact` gives such an
 * integer as a `bigint` and everything else as `JSON.parse` would. Nearly every message has no long number in it, and those
 * take the native parser's road untouched.
 */

/** A string, or a number with sixteen digits or more that has no fraction and no exponent. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

/** Sixteen digits in a row somewhere: only then is the slow road worth a look. */
const LONG = /\d{16}/;

/** Private-use character: marks what was a bare integer in the text. */
const MARK = '\uE000';
const INTEGER = /^\uE000i-?\d+$/;

export function parseExact(text: string): unknown {
  if (!LONG.test(text)) {
    return JSON.parse(text);
  }

  let marked = false;

  const safe = text.replace(TOKENS, (token, offset: number) => {
    if (token.charCodeAt(0) === 34) {
      return token.startsWith(`"${MARK}`) ? `"${MARK}s${token.slice(1)}` : token; // not ours: say so, and undo it below
    }
    if (offset > 0 && /[\d.eE+]/.test(text.charAt(offset - 1))) {
      return token; // the fraction or the exponent of a longer number
    }
    if (Number.isSafeInteger(Number(token))) {
      return token;
    }
    marked = true;
    return `"${MARK}i${token}"`;
  });

  if (!marked) {
    return JSON.parse(text);
  }

  return JSON.parse(safe, (_key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(MARK)) {
      return value;
    }
    if (INTEGER.test(value)) {
      return BigInt(value.slice(2));
    }
    return value.charAt(1) === 's' ? MARK + value.slice(3) : value;
  });
}

/** The text of a value for comparing it with another one: like JSON, with `bigint` written as the integer it is. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? `${MARK}${item}` : item)) ?? 'undefined';
}

/** The reverse of `parseExact`: JSON with each `bigint` as a bare integer. */
export function stringifyExact(value: unknown): string {
  let long = false;
  const text = JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== 'bigint') {
      return item;
    }
    long = true;
    return `${MARK}i${item}`;
  });
  return long ? text.replace(/"\uE000i(-?\d+)"/g, '$1') : text;
}
