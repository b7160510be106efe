import { isObject } from '../client';
import { isNumeric } from '../app/format';
import { isTime } from './Cells';

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
