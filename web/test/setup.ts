import { cleanup, configure } from '@testing-library/react';
import { afterAll, afterEach, beforeEach } from 'vitest';
import { forgetBoard } from '../src/board/load';
import { forgetSharedClients } from '../src/client/shared';
import { FakeSocket } from '../src/testing/FakeSocket';

// jsdom has its own WebSocket; no test may reach out with it.
beforeEach(() => {
  // No dashboard.json: the page shows what the streams have.
  forgetBoard({ state: 'none', board: null, problems: [] });
  globalThis.history?.replaceState(null, '', '/');
  FakeSocket.all.length = 0;
  globalThis.WebSocket = FakeSocket as unknown as typeof WebSocket;
  globalThis.fetch = () => Promise.reject(new TypeError('no network in tests'));
  globalThis.sessionStorage?.clear();
  globalThis.localStorage?.clear();
});

afterEach(() => {
  cleanup();
  forgetSharedClients();
});

// What is loaded on demand takes its time on a busy machine.
configure({ asyncUtilTimeout: 15_000 });

// What jsdom lacks of a browser, and the chart library asks for as it is loaded.
globalThis.matchMedia ??= ((query: string) => ({ matches: false, media: query, addEventListener: () => {}, removeEventListener: () => {} })) as unknown as typeof matchMedia;

// A client that nobody listens to any more lets go a moment later, and needs the page for it.
afterAll(() => new Promise((resolve) => setTimeout(resolve, 250)));
