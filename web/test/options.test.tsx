import { act, render, renderHook, screen } from '@testing-library/react';
import { Component, StrictMode, Suspense, useRef, type ReactNode } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StreamProvider, useConnection, useDataStream, useSuspenseDataStream, useStreamClient } from '../src/hooks';
import { FakeSocket } from '../src/testing';

const URL = 'ws://localhost:8080';
const settle = async (): Promise<void> => {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(0);
  });
};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('useDataStream with options', () => {
  it('asks for nothing while it is not enabled', () => {
    // If this fails: a hidden tab of an application keeps the node busy.
    const { result, rerender } = renderHook(({ enabled }) => useDataStream('peers', { url: URL, enabled }), { initialProps: { enabled: false } });
    expect(FakeSocket.all).toHaveLength(0);
    expect(result.current).toMatchObject({ status: 'idle', data: null, connected: false });
    rerender({ enabled: true });
    act(() => {
      FakeSocket.last.greet().acknowledge().data('peers', { peers: [], total: 3 }, 1);
    });
    expect(result.current).toMatchObject({ status: 'live', data: { total: 3 } });
    rerender({ enabled: false });
    act(() => {
      vi.advanceTimersByTime(1000);
    });
    expect(result.current).toMatchObject({ status: 'idle', connected: false });
    expect(FakeSocket.last.closedByClient).toBe(true);
  });

  it('renders only when what is selected changed', () => {
    // If this fails: one figure of a busy stream renders its component with every message.
    let renders = 0;
    const { result } = renderHook(() => {
      renders += 1;
      return useDataStream('network_metrics', { url: URL, select: (data) => data.block_height });
    });
    act(() => {
      FakeSocket.last.greet().acknowledge().data('network_metrics', { block_height: 7, tps: 1 }, 1);
    });
    const before = renders;
    for (let seq = 2; seq < 12; seq += 1) {
      act(() => {
        FakeSocket.last.data('network_metrics', { block_height: 7, tps: seq }, seq);
      });
    }
    expect(renders).toBe(before);
    act(() => {
      FakeSocket.last.data('network_metrics', { block_height: 8, tps: 1 }, 12);
    });
    expect([result.current.data, renders]).toEqual([8, before + 1]);
  });

  it('takes an inline select that makes objects, and isEqual', () => {
    // If this fails: such a component renders for ever, or for nothing.
    let renders = 0;
    const { result } = renderHook(() => {
      renders += 1;
      return useDataStream('network_metrics', {
        url: URL,
        select: ({ tps }) => ({ busy: (tps ?? 0) > 100 }),
        isEqual: (one, other) => one.busy === other.busy,
      });
    });
    act(() => {
      FakeSocket.last.greet().acknowledge().data('network_metrics', { tps: 5 }, 1);
    });
    const before = renders;
    act(() => {
      FakeSocket.last.data('network_metrics', { tps: 6 }, 2);
    });
    expect(renders).toBe(before);
    act(() => {
      FakeSocket.last.data('network_metrics', { tps: 600 }, 3);
    });
    expect(result.current.data).toEqual({ busy: true });
  });

  it('hands every message and every error to the newest handlers', async () => {
    // If this fails: messages between two renders are lost, or an old closure gets them.
    const got: string[] = [];
    const { rerender } = renderHook(
      ({ name }) =>
        useDataStream('receipts', {
          url: URL,
          onMessage: (data) => got.push(`${name} ${data.receipts.map(({ id }) => id).join()}`),
          onError: (error) => got.push(`${name} ${error.reason}: ${error.message}`),
        }),
      { initialProps: { name: 'old' } },
    );
    await settle();
    rerender({ name: 'new' });
    act(() => {
      const socket = FakeSocket.last.greet().acknowledge();
      socket.data('receipts', { receipts: [{ id: 'a' }], count: 1 }, 1).data('receipts', { receipts: [{ id: 'b' }], count: 1 }, 2);
      socket.drop(4401);
    });
    expect(got).toEqual(['new a', 'new b', expect.stringMatching(/^new unauthorized: unauthorized: the gateway wants a token/)]);
    expect(FakeSocket.last.subscriptions).toEqual(['receipts']);
  });

  it('filters a log, its entries too', () => {
    // If this fails: a table of one market shows all of them.
    const { result } = renderHook(() => useDataStream('receipts', { url: URL, filter: { market: 'ads' } }));
    act(() => {
      FakeSocket.last.greet();
    });
    expect(FakeSocket.last.sent[0]).toMatchObject({ filter: { market: 'ads' } });
    act(() => {
      FakeSocket.last.acknowledge().data('receipts', { receipts: [{ id: 1, market: 'ads' }, { id: 2, market: 'energy' }], count: 2 }, 1);
    });
    expect(result.current.entries.map(({ value }) => value.id)).toEqual([1]);
    expect(result.current.data).toMatchObject({ receipts: [{ id: 1 }], count: 1 });
  });

  it('tells what the gateway says of the node, at once', () => {
    // If this fails: a page says "node down" long after the gateway did.
    const { result } = renderHook(() => useDataStream('peers', URL));
    act(() => {
      FakeSocket.last.greet().acknowledge().data('peers', { total: 1 }, 1).status('peers', 'stale', { node: 'down', retry_in: 4, note: 'it restarted' });
    });
    expect(result.current).toMatchObject({ status: 'stale', node: 'down', retryIn: 4, retryAt: Date.now() + 4000, note: 'it restarted' });
  });
});

describe('StreamProvider', () => {
  it('gives its gateway and its options to the hooks below, and its token to no other address', () => {
    // If this fails: each hook has to name the address, or a token goes to a stranger.
    function Page() {
      useDataStream('peers');
      useDataStream('peers', 'ws://elsewhere');
      return <p>{useConnection().state}</p>;
    }
    render(
      <StreamProvider url={URL} token="abc" reconnectInterval={5000}>
        <Page />
      </StreamProvider>,
      { wrapper: StrictMode },
    );
    expect(FakeSocket.all.map(({ url, protocols }) => [url, protocols.length])).toEqual([
      ['ws://localhost:8080/', 2],
      ['ws://elsewhere/', 0],
    ]);
    act(() => {
      FakeSocket.all[0]?.greet();
    });
    expect(screen.getByText('connected')).toBeDefined();
  });

  it('follows a token that changes', () => {
    // If this fails: after a login the page stays with what a stranger may see.
    function Page() {
      useDataStream('peers');
      return null;
    }
    const page = (token: string | undefined): ReactNode => (
      <StreamProvider url={URL} token={token}>
        <Page />
      </StreamProvider>
    );
    const { rerender } = render(page(undefined));
    expect(FakeSocket.last.protocols).toEqual([]);
    rerender(page('abc'));
    expect(FakeSocket.last.protocols).toEqual(['blockcast.v1.json', 'bearer.abc']);
    rerender(page(undefined));
    expect(FakeSocket.last.protocols).toEqual([]);
    expect(FakeSocket.all).toHaveLength(3);
  });
});

describe('useSuspenseDataStream', () => {
  class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
    override state = { error: null as Error | null };

    static getDerivedStateFromError(error: Error): { error: Error } {
      return { error };
    }

    override render(): ReactNode {
      return this.state.error === null ? this.props.children : <p>caught {this.state.error.message}</p>;
    }
  }

  function Total({ stream }: { stream: string }) {
    return <p>total {useSuspenseDataStream<{ total: number }>(stream, URL).data.total}</p>;
  }

  const show = (stream: string): void => {
    render(
      <Boundary>
        <Suspense fallback={<p>waiting</p>}>
          <Total stream={stream} />
        </Suspense>
      </Boundary>,
      { wrapper: StrictMode },
    );
  };

  it('waits for the first data, then follows', async () => {
    // If this fails: the fallback stays for ever, or data is null where it must not be.
    show('peers');
    expect(screen.getByText('waiting')).toBeDefined();
    await act(async () => {
      await vi.advanceTimersByTimeAsync(10);
      FakeSocket.last.greet().acknowledge().data('peers', { total: 4 }, 1);
      await vi.advanceTimersByTimeAsync(10);
    });
    expect(screen.getByText('total 4')).toBeDefined();
    await act(async () => {
      await vi.advanceTimersByTimeAsync(10_000);
      FakeSocket.last.data('peers', { total: 5 }, 2);
    });
    expect(screen.getByText('total 5')).toBeDefined();
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('throws a refusal to the error boundary', async () => {
    // If this fails: a page waits for ever for a stream that is not offered.
    vi.spyOn(console, 'error').mockImplementation(() => {});
    show('nothing');
    await act(async () => {
      await vi.advanceTimersByTimeAsync(10);
      FakeSocket.last.greet().say({ type: 'error', message: 'unknown stream', code: 'unknown_stream', id: FakeSocket.last.sent[0]?.id });
      await vi.advanceTimersByTimeAsync(10);
    });
    expect(screen.getByText('caught unknown stream')).toBeDefined();
  });
});

describe('on a server', () => {
  function Page({ initial }: { initial?: { peers: []; total: number } }) {
    const { data, status, age } = useDataStream('peers', { url: URL, initialData: initial });
    const { state, online } = useConnection(URL);
    return <p>{`${data?.total ?? 'none'} ${status} ${age} ${state} ${online}`}</p>;
  }

  it('renders what the first pass in a browser renders, in a root that is hydrated late as well', async () => {
    // If this fails: React throws the server's HTML away in every root but the first.
    const html = renderToString(<Page />);
    expect(html).toBe('<p>none idle null idle true</p>');
    const faults: unknown[] = [];
    const roots = [0, 1].map(() => {
      const root = document.createElement('div');
      root.innerHTML = html;
      document.body.append(root);
      return root;
    });
    await act(async () => hydrateRoot(roots[0] as Element, <Page />, { onRecoverableError: (error) => faults.push(error) }));
    act(() => {
      FakeSocket.last.greet().acknowledge().data('peers', { total: 6 }, 1);
    });
    expect(roots[0]?.textContent).toContain('6 live');
    await act(async () => hydrateRoot(roots[1] as Element, <Page />, { onRecoverableError: (error) => faults.push(error) }));
    expect(roots[1]?.textContent).toContain('6 live');
    expect(faults).toEqual([]);
    roots.forEach((root) => root.remove());
  });

  it('renders initialData, which the first message replaces', () => {
    // If this fails: a page that has data on the server starts empty.
    const initial = { peers: [] as [], total: 2 };
    expect(renderToString(<Page initial={initial} />)).toContain('<p>2 ');
    render(<Page initial={initial} />);
    expect(screen.getByText(/^2 /)).toBeDefined();
    act(() => {
      FakeSocket.last.greet().acknowledge().data('peers', { total: 9 }, 1);
    });
    expect(screen.getByText(/^9 live/)).toBeDefined();
  });

  it('suspends to the fallback', () => {
    // If this fails: a server waits for ever for a stream that it never asked for.
    function Total() {
      return <p>{useSuspenseDataStream('peers', URL).data.total}</p>;
    }
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const { document } = globalThis;
    try {
      Object.defineProperty(globalThis, 'document', { value: undefined, configurable: true });
      expect(
        renderToString(
          <Suspense fallback={<p>waiting</p>}>
            <Total />
          </Suspense>,
        ),
      ).toContain('<p>waiting</p>');
    } finally {
      Object.defineProperty(globalThis, 'document', { value: document, configurable: true });
    }
    expect(FakeSocket.all).toHaveLength(0);
  });
});

describe('a client of one’s own', () => {
  it('is the same object for as long as the address is the same', () => {
    // If this fails: each render connects anew.
    const seen = new Set<unknown>();
    const { rerender } = renderHook(() => {
      const client = useStreamClient(URL, { reconnectInterval: 2000 });
      const first = useRef(client);
      seen.add(client).add(first.current);
    });
    rerender();
    rerender();
    expect(seen.size).toBe(1);
  });
});
