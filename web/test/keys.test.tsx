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

describe('keys that need a signature', () => {
  const now = (): number => Date.now() / 1000;
  const settle = (): Promise<void> => act(async () => void (await vi.advanceTimersByTimeAsync(1)));
  const expire = (key: string): void =>
    void FakeSocket.last.say({ type: 'unsubscribed', code: 'expired', stream: 'balance', key, message: 'the signature of the key has expired', timestamp: now() });

  it('says that the permission has ended, and does not ask for the key again', async () => {
    // If this fails: a page shows an old balance as the newest, or sends a signature that has expired again and again.
    function Watch(): React.JSX.Element {
      const { data, status, stale, error, refused } = useDataStream<{ wei: number }>('balance', { url: 'ws://gateway/ws', rest: false, key: '0xAB' });
      return <p>{`${status} ${refused} ${stale} ${data?.wei ?? '-'} ${error}`}</p>;
    }
    render(<Watch />);
    await act(async () => {
      FakeSocket.last.greet();
      answer();
      FakeSocket.last.data('balance', { wei: 5 }, 1, { key: '0xab' });
      await vi.advanceTimersByTimeAsync(100);
    });
    expect(screen.getByText('live null false 5 null')).toBeDefined();

    await act(async () => {
      expire('0xab');
      await vi.advanceTimersByTimeAsync(100);
    });
    expect(screen.getByText('refused expired true 5 the permission for 0xAB has ended: the signature of the key has expired')).toBeDefined();

    // ... and neither for someone who comes later on this connection.
    render(<Watch />);
    await act(async () => void (await vi.advanceTimersByTimeAsync(120_000)));
    expect(FakeSocket.last.sent.filter(({ type }) => type === 'subscribe' || type === 'unsubscribe')).toEqual([]);
    cleanup();
    await act(async () => void (await vi.advanceTimersByTimeAsync(1000)));
    expect(FakeSocket.last.sent.filter(({ type }) => type === 'unsubscribe')).toEqual([]);
  });

  it('leaves the others alone, and takes the answer to an unsubscribe for no end', () => {
    // If this fails: one key that expires takes the others with it.
    const client = make();
    const errors: (string | null)[] = [];
    for (const key of ['0xab', '0xcd']) {
      clients.push(client.subscribe('balance', { key, onStatus: ({ error }) => errors.push(error) }));
    }
    FakeSocket.last.greet();
    answer();
    FakeSocket.last.data('balance', 7, 1, { key: '0xcd' });
    expire('0xab');
    FakeSocket.last.say({ type: 'unsubscribed', stream: 'balance', key: '0xcd', timestamp: now() });
    expect(client.condition('balance', '0xab')).toMatchObject({ status: 'refused', refused: 'expired', reason: 'refused' });
    expect(client.condition('balance', '0xcd')).toMatchObject({ status: 'live', error: null });
    FakeSocket.last.data('balance', 8, 2, { key: '0xcd' });
    expect(client.view('balance', '0xcd').data).toBe(8);
  });

  it('asks for a signature, sends it, and has a newer one when it has expired', async () => {
    // If this fails: who may watch an account has to load the page anew each hour.
    const signKey = vi.fn(async (stream: string, key: string) => ({ expires: now() + 10, signature: `${stream} ${key} ${signKey.mock.calls.length}` }));
    const client = new StreamClient({ url: 'ws://gateway/ws', rest: false, random: () => 0.5, signKey });
    const seen: (string | null)[] = [];
    clients.push(client.subscribe('balance', { key: '0xab', onStatus: ({ error }) => seen.push(error) }));
    clients.push(client.subscribe('plain', () => {}));
    FakeSocket.last.greet();
    expect(FakeSocket.last.sent).toMatchObject([{ stream: 'plain' }]);
    await settle();
    const first = now();
    expect(FakeSocket.last.sent[1]).toMatchObject({ type: 'subscribe', stream: 'balance', key: '0xab', signature: 'balance 0xab 1' });
    answer();
    FakeSocket.last.data('balance', 7, 1, { key: '0xab' });

    // A connection that is lost meanwhile has the same one.
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(3000);
    FakeSocket.last.greet();
    await settle();
    expect(FakeSocket.last.sent.find(({ stream }) => stream === 'balance')).toMatchObject({ signature: 'balance 0xab 1' });
    expect(signKey).toHaveBeenCalledTimes(1);
    answer();
    FakeSocket.last.data('balance', 7, 1, { key: '0xab' });
    expect(client.condition('balance', '0xab').status).toBe('live');

    await vi.advanceTimersByTimeAsync((first + 11 - now()) * 1000);
    FakeSocket.last.sent.length = 0;
    expire('0xab');
    expect(client.condition('balance', '0xab')).toMatchObject({ status: 'stale', error: null });
    await settle();
    expect(FakeSocket.last.sent.filter(({ type }) => type === 'subscribe')).toMatchObject([{ stream: 'balance', signature: 'balance 0xab 2' }]);
    answer();
    FakeSocket.last.data('balance', 7, 1, { key: '0xab' });
    expect(client.condition('balance', '0xab')).toMatchObject({ status: 'live', error: null, refused: null });
    expect(seen.filter((error) => error?.includes('permission') === true)).toEqual([]);
  });

  it('gives up when there is no newer one, or none at all', async () => {
    // If this fails: the page and the server that signs talk to each other for ever.
    const until = now() + 10;
    const signKey = vi.fn((_stream: string, key: string) => {
      if (key === 'other') {
        throw new Error('not yours');
      }
      return { expires: until, signature: 'same' };
    });
    const client = new StreamClient({ url: 'ws://gateway/ws', rest: false, random: () => 0.5, signKey });
    for (const key of ['0xab', 'other']) {
      clients.push(client.subscribe('balance', { key, onData: () => {} }));
    }
    FakeSocket.last.greet();
    await settle();
    expect(FakeSocket.last.sent).toMatchObject([{ key: '0xab', expires: until, signature: 'same' }]);
    expect(client.condition('balance', 'other')).toMatchObject({ status: 'refused', refused: 'unsigned', error: 'no signature for other: not yours' });
    answer();
    expire('0xab');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.condition('balance', '0xab')).toMatchObject({ status: 'refused', refused: 'expired', error: expect.stringContaining('the permission for 0xab has ended') });
    expect(signKey).toHaveBeenCalledTimes(3);
    expect(FakeSocket.last.sent.filter(({ type }) => type === 'subscribe')).toEqual([]);
  });
});
