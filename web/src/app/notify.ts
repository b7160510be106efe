import { useEffect, useRef, useSyncExternalStore } from 'react';
import type { Health } from './health';

/** A word from the browser when the node goes down or comes back: only for those who asked for it. */

const KEY = 'blockcast.notify';
const listeners = new Set<() => void>();

export type Wish = 'unable' | 'off' | 'on' | 'denied';

function wish(): Wish {
  if (typeof Notification === 'undefined' || !isSecureContext) {
    return 'unable';
  }
  if (Notification.permission === 'denied') {
    return 'denied';
  }
  try {
    return Notification.permission === 'granted' && localStorage.getItem(KEY) === 'on' ? 'on' : 'off';
  } catch {
    return 'off';
  }
}

export async function setNotify(on: boolean): Promise<void> {
  if (on && Notification.permission !== 'granted') {
    await Notification.requestPermission();
  }
  try {
    localStorage.setItem(KEY, on ? 'on' : 'off');
  } catch {
    // Asked again next time.
  }
  listeners.forEach((listener) => listener());
}

export function useNotify(): Wish {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    wish,
    () => 'unable' as const,
  );
}

/** Tells when the node is down, and when it is back. */
export function useNotifications(health: Health, name: string): void {
  const down = useRef(false);
  useEffect(() => {
    const now = health.kind === 'node-down';
    if (now === down.current || (health.kind !== 'live' && !now)) {
      return;
    }
    down.current = now;
    if (wish() === 'on') {
      try {
        // One at a time: the newest takes the place of the one before.
        new Notification(now ? `${name}: the node is down` : `${name}: the node is back`, { body: now ? (health.error ?? '') : '', tag: 'blockcast-node', icon: `${import.meta.env.BASE_URL}favicon.svg` });
      } catch {
        // Some phones only allow it to a service worker.
      }
    }
  }, [health, name]);
}
