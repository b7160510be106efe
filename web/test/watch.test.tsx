import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StreamClient } from '../src/client/StreamClient';
import { StreamProvider } from '../src/hooks';
import { Watch } from '../src/app/Watch';
import { FakeSocket } from '../src/testing/FakeSocket';

let release = (): void => {};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  history.replaceState(null, '', '/');
});

afterEach(() => {
  cleanup();
  release();
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
});

function open(keyed: Record<string, string> | undefined, expected?: string): void {
  const client = new StreamClient({ url: 'ws://gateway/ws', rest: false });
  release = client.hold();
  render(
    <StreamProvider client={client}>
      <Watch board={{ panels: [], ...(expected !== undefined && { watch: expected }) }} />
    </StreamProvider>,
  );
  act(() => {
    FakeSocket.last.greet({ available_streams: ['chain', ...Object.keys(keyed ?? {})], keyed });
    vi.advanceTimersByTime(50);
  });
  expect(client.status.streams).toEqual(['chain']);
}

function answer(): void {
  act(() => {
    for (const { type, stream, key, id } of FakeSocket.last.sent.splice(0) as Record<string, string>[]) {
      if (type !== 'subscribe' || key === undefined) {
        continue;
      }
      if (stream === 'balance' && key.length === 4) {
        FakeSocket.last.say({ type: 'subscribed', stream, key: key.toLowerCase(), id });
        FakeSocket.last.data('balance', { balance: 1234, nonce: 3 }, 1, { key: key.toLowerCase() });
      } else {
        FakeSocket.last.say({ type: 'error', code: 'bad_key', message: `"${key}" is no key of ${String(stream)}`, stream, key, id });
      }
    }
    vi.advanceTimersByTime(200);
  });
}

describe('the watch box', () => {
  it('is not there where no stream has a key', () => {
    // If this fails: a page of a chain without such streams has a box that can do nothing.
    open(undefined);
    expect(screen.queryByRole('search')).toBeNull();
  });

  it('keeps its place, unseen, where the board expects streams that the gateway does not have', () => {
    // If this fails: all figures jump up when the gateway has answered.
    open(undefined, 'address or hash');
    expect(document.querySelector('.watch-none form')).not.toBeNull();
  });

  it('shows what is pasted, of the stream that takes it, and has it in the address', () => {
    // If this fails: a visitor cannot watch an address, or not send it to somebody.
    open({ balance: 'address', transaction: 'hash' });
    fireEvent.change(screen.getByRole('textbox', { name: 'address or hash to watch' }), { target: { value: ' 0xAB ' } });
    fireEvent.click(screen.getByRole('button', { name: 'Watch' }));
    act(() => void vi.advanceTimersByTime(50));
    answer();

    expect(screen.getByRole('heading', { name: /balance/i })).toBeDefined();
    expect(screen.queryByRole('heading', { name: /transaction/i })).toBeNull();
    expect(screen.getByText(/1[.,\s ]?234/)).toBeDefined();
    expect(new URLSearchParams(location.search).get('watch')).toBe('0xAB');

    fireEvent.click(screen.getByRole('button', { name: 'Stop watching 0xAB' }));
    expect(screen.queryByRole('heading', { name: /balance/i })).toBeNull();
    expect(location.search).toBe('');
  });

  it('opens with what is in the address, and says what nothing takes', () => {
    // If this fails: a link that was shared shows an empty page.
    history.replaceState(null, '', '/?watch=0xCD,nonsense');
    open({ balance: 'address', transaction: 'hash' });
    answer();
    expect(screen.getByRole('heading', { name: /balance/i })).toBeDefined();
    expect(screen.getByText('"nonsense" is no key of balance')).toBeDefined();
  });
});
