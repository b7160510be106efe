import { useSyncExternalStore } from 'react';
import { checkBoard } from './check.js';
import type { Board } from './types';

/** What the gateway's operator wants to be shown, or why that cannot be. */
export interface Loaded {
  /** `none`: there is no file, the page shows what the streams have. */
  readonly state: 'loading' | 'none' | 'ready' | 'wrong';
  readonly board: Board | null;
  readonly problems: readonly string[];
}

const LOADING: Loaded = { state: 'loading', board: null, problems: [] };
/** Longest time that the page waits for the file, in ms: on a slow line another page, later put right, would be worse. */
const PATIENCE = 20_000;

let loaded: Loaded = LOADING;
let started = false;
const listeners = new Set<() => void>();

/** Where the page finds its file. */
export const BOARD_URL = `${import.meta.env.BASE_URL}dashboard.json`;

export function loadBoard(fetcher: typeof fetch = fetch): void {
  if (started) {
    return;
  }
  started = true;
  const give = setTimeout(() => set({ state: 'none', board: null, problems: [] }), PATIENCE);
  readBoard(fetcher)
    .then(set, () => set({ state: 'none', board: null, problems: [] }))
    .finally(() => clearTimeout(give));
}

async function readBoard(fetcher: typeof fetch): Promise<Loaded> {
  const response = await fetcher(BOARD_URL, { credentials: 'same-origin' });
  if (!response.ok || !/json/.test(response.headers.get('content-type') ?? '')) {
    return { state: 'none', board: null, problems: [] };
  }
  return parseBoard(await response.text());
}

export function parseBoard(text: string): Loaded {
  let board: unknown;
  try {
    board = JSON.parse(text);
  } catch (error) {
    return { state: 'wrong', board: null, problems: [`it is no JSON: ${error instanceof Error ? error.message : String(error)}`] };
  }
  // the file as it is built: nothing is said of what is to be shown
  if (typeof board === 'object' && board !== null && !Array.isArray(board) && Object.keys(board).length === 0) {
    return { state: 'none', board: null, problems: [] };
  }
  const problems = checkBoard(board);
  return problems.length > 0 ? { state: 'wrong', board: null, problems } : { state: 'ready', board: board as Board, problems };
}

function set(next: Loaded): void {
  if (loaded.state === 'loading') {
    loaded = next;
    listeners.forEach((listener) => listener());
  }
}

/** For tests: as if nothing had been loaded. */
export function forgetBoard(next: Loaded = LOADING): void {
  loaded = next;
  started = next !== LOADING;
}

export function useBoard(): Loaded {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => loaded,
    () => LOADING,
  );
}
