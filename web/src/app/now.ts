import { useSyncExternalStore } from 'react';

/** One clock for every age on the page: ticks once a second while someone shows an age and the tab is seen. */
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let current = Date.now();

function tick(): void {
  if (document.visibilityState === 'hidden') {
    return;
  }
  current = Date.now();
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    current = Date.now();
    timer = setInterval(tick, 1000);
    document.addEventListener('visibilitychange', tick);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', tick);
    }
  };
}

/** The local clock in ms, as of the last tick. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => current, () => current);
}

/** What `read` says at each tick, a text or a number. Renders only when that changed, and not with every tick. */
export function useTicking<T extends string | number | null>(read: () => T): T {
  return useSyncExternalStore(subscribe, read, read);
}
