import { cleanup } from '@testing-library/react';
import { afterAll, afterEach, beforeEach } from 'vitest';
import { forgetSharedClients } from '../src/client/shared';
import { FakeSocket } from '../src/testing/FakeSocket';

// jsdom has its own WebSocket; no test may reach out with it.
beforeEach(() => {
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

// A client that nobody listens to any more lets go a moment later, and needs the page for it.
afterAll(() => new Promise((resolve) => setTimeout(resolve, 250)));
