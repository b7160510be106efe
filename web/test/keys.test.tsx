import { act, cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StreamClient } from '../src/client/StreamClient';
import { useDataStream } from '../src/hooks';
import { FakeSocket } from '../src/testing/FakeSocket';

const clients: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  clients.splice(0).forEach((leave) => leave());
  cleanup();
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
});

function make(): StreamClient {
  return new StreamClient({ url: 'ws://gateway/ws', rest: false, random: () => 0.5 });
}

/** Answers the subscribes so far as the gateway does: with keys in small letters. */
function answer(): void {
  const { sent } = FakeSocket.last;
  for (const { type, stream, key, id } of sent.splice(0) as Record<string, string>[]) {
    if (type === 'subscribe') {
      FakeSocket.last.say({ type: 'subscribed', stream, key: key?.toLowerCase(), id });
    }
  }
}

describe('streams with a key', () => {
  it('keeps the data of each key apart, whatever form it was asked for in', () => {
    // If this fails: a page shows the balance of somebody else, or none.
    const client = make();
    const got: unknown[] = [];
    const want = (key: string): void => {
      clients.push(client.subscribe('balance', { key, onData: (data) => got.push([key, data]) }));
    };
    want('0xAB');
    want('0xcd');
    FakeSocket.last.greet();
    expect(FakeSocket.last.sent).toMatchObject([
      { type: 'subscribe', stream: 'balance', key: '0xAB' },
      { type: 'subscribe', stream: 'balance', key: '0xcd' },
    ]);
    answer();
    vi.advanceTimersByTime(1);
    FakeSocket.last.data('balance', { wei: 1 }, 5, { key: '0xab' });
    FakeSocket.last.data('balance', { wei: 2 }, 3, { key: '0xcd' });
    FakeSocket.last.status('balance', 'stale', { key: '0xcd', error: 'slow' });

    expect(client.view('balance', '0xAB')).toMatchObject({ data: { wei: 1 }, state: 'live', seq: 5 });
    expect(client.view('balance', '0xcd')).toMatchObject({ data: { wei: 2 }, state: 'stale', error: 'slow' });
    expect(client.view('balance').data).toBeNull();
  });

  it('takes two forms of a key for one, and leaves it with the last', () => {
    // If this fails: a page that shows an address twice has one of them without data, or both when one is closed.
    const client = make();
    const one = client.subscribe('balance', { key: '0xAB', onData: () => {} });
    clients.push(one, client.subscribe('balance', { key: '0xab', onData: () => {} }));
    clients.push(client.subscribe('other', () => {}));
    FakeSocket.last.greet();
    answer();
    FakeSocket.last.data('balance', 7, 1, { key: '0xab' });
    expect([client.view('balance', '0xAB').data, client.view('balance', '0xab').data]).toEqual([7, 7]);

    one();
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.sent).toEqual([]);
    FakeSocket.last.data('balance', 8, 2, { key: '0xab' });
    expect(client.view('balance', '0xab').data).toBe(8);

    clients[1]?.();
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.sent).toEqual([{ type: 'unsubscribe', stream: 'balance', key: '0xab' }]);
  });

  it('says why a key is refused, of that key alone', () => {
    // If this fails: a mistyped address looks like one that is waited for, or spoils the others.
    const client = make();
    for (const key of ['oops', '0xab']) {
      clients.push(client.subscribe('balance', { key, onData: () => {} }));
    }
    FakeSocket.last.greet();
    const [{ id }] = FakeSocket.last.sent as [{ id: string }];
    FakeSocket.last.say({ type: 'error', code: 'bad_key', message: '"oops" is no address', stream: 'balance', key: 'oops', id });
    expect(client.view('balance', 'oops')).toMatchObject({ refused: 'bad_key', error: '"oops" is no address' });
    expect(client.view('balance', '0xab')).toMatchObject({ refused: null, error: null });
    expect(client.status.error).toBeNull();
  });

  it('asks for each key again after a lost connection', () => {
    // If this fails: after a moment without network a watched address stays as it was.
    const client = make();
    clients.push(client.subscribe('balance', { key: '0xAB', onData: () => {} }));
    FakeSocket.last.greet();
    answer();
    FakeSocket.last.drop();
    vi.advanceTimersByTime(20_000);
    FakeSocket.last.greet();
    expect(FakeSocket.last.sent).toMatchObject([{ type: 'subscribe', stream: 'balance', key: '0xAB' }]);
    answer();
    FakeSocket.last.data('balance', 9, 4, { key: '0xab' });
    expect(client.view('balance', '0xAB').data).toBe(9);
  });

  it('is a hook: the key may change, and an empty one asks for nothing', () => {
    // If this fails: a "watch" box shows the address before, or asks the gateway for "".
    function Watch({ address }: { address: string }): React.JSX.Element {
      const { data, status } = useDataStream<{ wei: number }>('balance', { url: 'ws://gateway/ws', rest: false, key: address });
      return <p>{`${status} ${data?.wei ?? '-'}`}</p>;
    }
    const before = FakeSocket.all.length;
    const { rerender } = render(<Watch address="" />);
    expect(FakeSocket.all).toHaveLength(before);
    expect(screen.getByText('idle -')).toBeDefined();

    rerender(<Watch address="0xAB" />);
    act(() => {
      FakeSocket.last.greet();
      answer();
      FakeSocket.last.data('balance', { wei: 5 }, 1, { key: '0xab' });
      vi.advanceTimersByTime(100);
    });
    expect(screen.getByText(/ 5$/)).toBeDefined();

    rerender(<Watch address="0xcd" />);
    act(() => {
      answer();
      vi.advanceTimersByTime(100);
    });
    expect(screen.getByText(/ -$/)).toBeDefined();
    act(() => {
      FakeSocket.last.data('balance', { wei: 6 }, 1, { key: '0xcd' });
      vi.advanceTimersByTime(100);
    });
    expect(screen.getByText(/ 6$/)).toBeDefined();
  });
});
