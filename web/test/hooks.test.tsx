import { act, render, renderHook, screen } from '@testing-library/react';
import { StrictMode, useEffect } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { useDataStream, useWebSocket } from '../src/hooks/useWebSocket';
import { FakeSocket } from '../src/testing/FakeSocket';

const URL = 'ws://localhost:8080';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('useDataStream', () => {
  it('works as the design document writes it', () => {
    // If this fails: the documented snippet does not show the network strength.
    function NetworkDashboard() {
      const { data, connected } = useDataStream('network_metrics', 'ws://localhost:8080');
      return (
        <div>
          <h1>Network Strength: {data?.network_strength}%</h1>
          <p>Status: {connected ? 'Connected' : 'Connecting...'}</p>
        </div>
      );
    }
    render(<NetworkDashboard />);
    expect(screen.getByText('Status: Connecting...')).toBeDefined();
    expect(FakeSocket.last.url).toBe('ws://localhost:8080/');
    act(() => {
      FakeSocket.last.greet().acknowledge().data('network_metrics', { network_strength: 83 }, 1);
    });
    expect(screen.getByText('Network Strength: 83%')).toBeDefined();
    expect(screen.getByText('Status: Connected')).toBeDefined();
  });

  it('needs one connection and one subscription under strict mode', () => {
    // If this fails: in development every stream is subscribed twice, and connections pile up.
    function Two() {
      useDataStream('network_metrics', URL);
      useDataStream('network_metrics', URL);
      useDataStream('peers', URL);
      return null;
    }
    const { unmount } = render(<Two />, { wrapper: StrictMode });
    act(() => {
      vi.advanceTimersByTime(1000);
      FakeSocket.last.greet().acknowledge();
      vi.advanceTimersByTime(1000);
    });
    expect(FakeSocket.all).toHaveLength(1);
    expect(FakeSocket.last.sent.map(({ type, stream }) => [type, stream])).toEqual([
      ['subscribe', 'network_metrics'],
      ['subscribe', 'peers'],
    ]);
    unmount();
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.closedByClient).toBe(true);
  });

  it('renders once for each change of its stream, and not for others', () => {
    // If this fails: a busy stream makes the whole page stutter.
    let metrics = 0;
    let peers = 0;
    function Metrics() {
      useDataStream('network_metrics', URL);
      metrics += 1;
      return null;
    }
    function Peers() {
      useDataStream('peers', URL);
      peers += 1;
      return null;
    }
    render(
      <>
        <Metrics />
        <Peers />
      </>,
    );
    act(() => {
      FakeSocket.last.greet().acknowledge();
    });
    const before = { metrics, peers };
    for (let seq = 1; seq <= 20; seq += 1) {
      act(() => {
        FakeSocket.last.data('network_metrics', { tps: seq }, seq);
      });
    }
    expect(metrics - before.metrics).toBe(20);
    expect(peers - before.peers).toBe(0);
  });

  it('hands over every entry of a log, also when several messages come in one render', () => {
    // If this fails: receipts that arrive in a burst are lost, because only the last message is seen.
    const { result } = renderHook(() => useDataStream('receipts', URL));
    act(() => {
      const socket = FakeSocket.last.greet().acknowledge();
      for (let seq = 1; seq <= 5; seq += 1) {
        socket.data('receipts', { receipts: [{ id: `r${seq}` }], count: 1 }, seq);
      }
    });
    expect(result.current.entries.map(({ value }) => value.id)).toEqual(['r5', 'r4', 'r3', 'r2', 'r1']);
    expect(result.current.data?.receipts[0]?.id).toBe('r5');
  });

  it('tells age, staleness and errors', () => {
    // If this fails: a page built on the hook cannot tell fresh data from old.
    const { result } = renderHook(() => useDataStream('network_metrics', URL));
    expect(result.current).toMatchObject({ data: null, state: 'waiting', stale: false, age: null, connected: false });
    act(() => {
      FakeSocket.last.greet().acknowledge().data('network_metrics', { tps: 1 }, 4, { timestamp: Date.now() / 1000 - 3 });
    });
    expect(result.current).toMatchObject({ state: 'live', stale: false, seq: 4, connected: true, error: null });
    expect(result.current.age).toBeCloseTo(3, 1);
    act(() => {
      FakeSocket.last.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 9, error: 'connection refused' });
    });
    expect(result.current).toMatchObject({ state: 'stale', stale: true, error: 'connection refused', data: { tps: 1 } });
    act(() => {
      FakeSocket.last.drop();
    });
    expect(result.current.connected).toBe(false);
  });

  it('follows when the stream or the address changes', () => {
    // If this fails: a component that shows another stream goes on showing the old one.
    const { result, rerender } = renderHook(({ stream, url }) => useDataStream<{ n: number }>(stream, url), {
      initialProps: { stream: 'one', url: URL },
    });
    act(() => {
      FakeSocket.last.greet().acknowledge().data('one', { n: 1 }, 1);
    });
    expect(result.current.data?.n).toBe(1);
    rerender({ stream: 'two', url: URL });
    expect(result.current.data).toBeNull();
    act(() => {
      FakeSocket.last.acknowledge().data('two', { n: 2 }, 1);
    });
    expect(result.current.data?.n).toBe(2);
    rerender({ stream: 'two', url: 'ws://other:8080' });
    expect(result.current.data).toBeNull();
    expect(FakeSocket.last.url).toBe('ws://other:8080/');
  });
});

describe('useWebSocket', () => {
  it('subscribes and unsubscribes as the design document writes it', () => {
    // If this fails: pages written for the documented hook do not work.
    const { result } = renderHook(() => useWebSocket({ url: URL, reconnect: true, reconnectInterval: 3000 }));
    expect(result.current.state).toBe('connecting');
    act(() => {
      FakeSocket.last.greet();
      result.current.subscribe('network_metrics');
      result.current.subscribe('network_metrics');
    });
    expect(result.current).toMatchObject({ state: 'connected', connected: true });
    expect(FakeSocket.last.subscriptions).toEqual(['network_metrics']);
    act(() => {
      FakeSocket.last.acknowledge().data('network_metrics', { tps: 7 }, 1);
    });
    expect(result.current.data.network_metrics?.tps).toBe(7);
    expect(result.current.send({ type: 'ping', id: 'x' })).toBe(true);
    expect(FakeSocket.last.sent.at(-1)).toEqual({ type: 'ping', id: 'x' });

    act(() => {
      result.current.unsubscribe('network_metrics');
      vi.advanceTimersByTime(500);
    });
    expect(result.current.data).toEqual({});
    expect(FakeSocket.last.sent.at(-1)).toEqual({ type: 'unsubscribe', stream: 'network_metrics' });
  });

  it('keeps subscriptions made in an effect through strict mode, and drops them with the component', () => {
    // If this fails: in development the page gets nothing, or a left page goes on being served.
    function Page() {
      const { subscribe, data } = useWebSocket({ url: URL });
      useEffect(() => subscribe('peers'), [subscribe]);
      return <p>{(data.peers as { total?: number } | undefined)?.total ?? 'none'}</p>;
    }
    const { unmount } = render(<Page />, { wrapper: StrictMode });
    act(() => {
      vi.advanceTimersByTime(1000);
      FakeSocket.last.greet().acknowledge().data('peers', { peers: [], total: 12 }, 1);
    });
    expect(FakeSocket.all).toHaveLength(1);
    expect(FakeSocket.last.subscriptions).toEqual(['peers']);
    expect(screen.getByText('12')).toBeDefined();
    unmount();
    vi.advanceTimersByTime(1000);
    expect(FakeSocket.last.closedByClient).toBe(true);
  });

  it('takes its options from the first component, and says when it will come back', () => {
    // If this fails: `reconnect: false` and `reconnectInterval` have no effect.
    vi.spyOn(Math, 'random').mockReturnValue(0.999);
    const patient = renderHook(() => useWebSocket({ url: 'ws://one', reconnectInterval: 3000 }));
    act(() => FakeSocket.last.drop());
    expect(patient.result.current.state).toBe('reconnecting');
    expect((patient.result.current.retryAt ?? 0) - Date.now()).toBeGreaterThan(2900);
    act(() => patient.result.current.retry());
    expect(FakeSocket.all).toHaveLength(2);

    const never = renderHook(() => useWebSocket({ url: 'ws://two', reconnect: false }));
    act(() => FakeSocket.last.drop());
    expect(never.result.current).toMatchObject({ state: 'disconnected', retryAt: null });
    expect(never.result.current.error).toBe('the gateway cannot be reached');
  });

  it('subscribes to the streams it is given, and follows when they change', () => {
    // If this fails: `streams` is read once, and later pages show nothing.
    const { rerender } = renderHook(({ streams }) => useWebSocket({ url: URL, streams }), {
      initialProps: { streams: ['a', 'b'] },
    });
    act(() => {
      FakeSocket.last.greet();
    });
    expect(FakeSocket.last.subscriptions).toEqual(['a', 'b']);
    rerender({ streams: ['b', 'c'] });
    act(() => {
      vi.advanceTimersByTime(500);
    });
    expect(FakeSocket.last.subscriptions).toEqual(['a', 'b', 'c']);
    expect(FakeSocket.last.sent.at(-1)).toEqual({ type: 'unsubscribe', stream: 'a' });
  });
});
