import { useCallback, useSyncExternalStore } from 'react';

/**
 * What is chosen on the page is in its address, so that it can be shared and survives a reload: filters, ranges, figures and what is open.
 * Several changes at once are one entry of the browser's history, or none.
 */
const listeners = new Set<() => void>();

function changed(): void {
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    window.addEventListener('popstate', changed);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.removeEventListener('popstate', changed);
    }
  };
}

/** The value of `name` in the address, or null. */
export function param(name: string): string | null {
  return typeof location === 'undefined' ? null : new URLSearchParams(location.search).get(name);
}

/** Changes the address; a null takes the name out. `push` makes it a step that the browser's Back undoes. */
export function setParams(change: Record<string, string | null>, push = false): void {
  const search = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === '') {
      search.delete(name);
    } else {
      search.set(name, value);
    }
  }
  // A name without a value, such as ?kiosk, stays as short as it was written.
  const text = search.toString().replace(/=(?=&|$)/g, '');
  const next = `${location.pathname}${text === '' ? '' : `?${text.replace(/%3A/gi, ':').replace(/%2F/gi, '/')}`}${location.hash}`;
  if (next !== `${location.pathname}${location.search}${location.hash}`) {
    history[push ? 'pushState' : 'replaceState'](null, '', next);
  }
  changed();
}

/** A choice that is kept in the address; `standard` is not written there. */
export function useParam(name: string, standard: string): [string, (value: string) => void] {
  const value = useSyncExternalStore(subscribe, () => param(name) ?? standard, () => standard);
  const set = useCallback((next: string) => setParams({ [name]: next === standard ? null : next }), [name, standard]);
  return [value, set];
}

/** `name` is in the address, with or without a value; `=0` means that it is not. */
export function useFlag(name: string): boolean {
  return useSyncExternalStore(subscribe, () => flag(name), () => false);
}

export function flag(name: string): boolean {
  const value = param(name);
  return value !== null && value !== '0' && value !== 'false';
}

/** The address of this page with other parameters, for a link to be shared. */
export function address(change: Record<string, string | null>, only = false): string {
  const search = new URLSearchParams(only ? '' : location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value === null) {
      search.delete(name);
    } else {
      search.set(name, value);
    }
  }
  const text = search.toString().replace(/%3A/gi, ':').replace(/%2F/gi, '/');
  return `${location.origin}${location.pathname}${text === '' ? '' : `?${text}`}`;
}
