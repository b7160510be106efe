import { useEffect, useRef, useSyncExternalStore } from 'react';
import type { Health } from './health';

/** A word from the browser when the node goes down or comes back: only for those who asked for it. */

const KEY = 'blockcast.notify';
const listeners = new Set<() => void>();

export type Wish = 'unable' | 'off' | 'on' | 'denied';

/**
 * As of the last look: the browser is asked in another process, and keeps the page waiting for the answer. Nobody is in need of it
 * while the page is made.
 */
let known: Wish | null = null;
/** When the first look is (ms). */
const SOON = 2500;

function look(): void {
  const before = known;
  known = wish();
  if (known !== before) {
    listeners.forEach((listener) => listener());
  }
}

function latest(): Wish {
  return known ?? (able() ? 'off' : 'unable');
}

function able(): boolean {
  return typeof Notification !== 'undefined' && isSecureContext;
}

function wish(): Wish {
  if (!able()) {
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
  look();
}

function subscribe(listener: () => void): () => void {
  const first = listeners.size === 0 && known === null ? setTimeout(look, SOON) : undefined;
  // What is allowed is changed in the browser's own settings, from where one comes back.
  if (listeners.size === 0) {
    window.addEventListener('focus', look);
  }
  listeners.add(listener);
  return () => {
    clearTimeout(first);
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.removeEventListener('focus', look);
    }
  };
}

export function useNotify(): Wish {
  return useSyncExternalStore(subscribe, latest, () => 'unable' as const);
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
