import { isObject, type StreamView } from '../client';
import { setParams } from './url';

/** What can be opened: an entry of a log, or of a list in a snapshot. */
export interface Item {
  readonly stream: string;
  readonly key: string;
  readonly value: Record<string, unknown>;
  /** Unix seconds at which the page got it; null for what is not of a log. */
  readonly receivedAt: number | null;
}

const NAMES = ['hash', 'id', 'slot', 'number', 'signature', 'address', 'name'];

/** What names an entry in an address: the member the board says, else the first that names things. */
export function keyOf(value: Record<string, unknown>, member?: string): string | null {
  for (const name of member === undefined ? NAMES : [member, ...NAMES]) {
    const key = value[name];
    if (typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint') {
      return String(key);
    }
  }
  return null;
}

export function openItem(stream: string, value: Record<string, unknown>, member?: string): void {
  const key = keyOf(value, member);
  if (key !== null) {
    setParams({ open: `${stream}:${key}` }, true);
  }
}

/** Everything that is kept of a stream and can be opened, newest first. */
export function itemsOf(view: StreamView): Item[] {
  const item = (value: unknown, receivedAt: number | null): Item[] => {
    const key = isObject(value) ? keyOf(value) : null;
    return key === null ? [] : [{ stream: view.stream, key, value: value as Record<string, unknown>, receivedAt }];
  };
  if (view.kind === 'log' || view.entries.length > 0) {
    return view.entries.flatMap((entry) => item(entry.value, entry.receivedAt / 1000));
  }
  return isObject(view.data) ? Object.values(view.data).flatMap((member) => (Array.isArray(member) ? member.flatMap((value: unknown) => item(value, null)) : [])) : [];
}

/** The item that has this name, by any of the members that name things. */
export function findItem(view: StreamView, key: string): Item | null {
  return (
    itemsOf(view).find((item) => item.key === key) ??
    itemsOf(view).find(({ value }) => NAMES.some((name) => value[name] !== undefined && value[name] !== null && String(value[name]) === key)) ??
    null
  );
}
