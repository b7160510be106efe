import { act, fireEvent, render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { StrictMode } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { App } from '../src/app/App';
import { explain } from '../src/app/Banner';
import { bytes, duration, exact, figure, label } from '../src/app/format';
import { assess } from '../src/app/health';
import { sharedClient } from '../src/client/shared';
import { arrange } from '../src/panels/Peers';
import { parts } from '../src/panels/Strength';
import { FakeSocket } from '../src/testing/FakeSocket';

const METRICS = {
  network_strength: 71,
  block_height: 184_320,
  finality_time: 12.5,
  peer_count: 42,
  tps: 412.3,
  bandwidth_in: 2_500_000,
  bandwidth_out: 3_600_000,
  active_connections: 240,
};

const MARKETS = {
  overall_status: 'degraded',
  markets: {
    compute: { status: 'healthy', active_jobs: 31, total_providers: 61 },
    storage: { status: 'healthy', total_stored: 0, total_providers: 12 },
    energy: { status: 'unavailable', error: 'unauthorized (-33009)', total_credits: null, active_traders: null },
    ads: { status: 'idle', active_campaigns: 0, total_impressions: 0 },
  },
  healthy_markets: 2,
  total_markets: 4,
};

function open(): FakeSocket {
  render(<App client={sharedClient('ws://gateway/ws', { rest: false, random: () => 1 })} />, { wrapper: StrictMode });
  return FakeSocket.last;
}

/** The page with the given streams, each with its first data. */
function show(data: Record<string, unknown>): FakeSocket {
  const socket = open();
  act(() => {
    socket.greet({ available_streams: Object.keys(data) });
  });
  act(() => {
    socket.acknowledge();
    for (const [stream, value] of Object.entries(data)) {
      if (typeof value === 'string') {
        socket.say(value);
      } else {
        socket.data(stream, value, 1);
      }
    }
  });
  return socket;
}

const panel = (name: string): HTMLElement => screen.getByRole('region', { name });

function receipt(id: number, market = 'compute', amount: number | string = id): string {
  return `{"id":"r${id}","market":"${market}","block_height":${id},"timestamp":1700000000,"provider":"p","consumer":"c","amount":${amount}}`;
}

function receipts(list: string[], seq: number): string {
  return `{"type":"receipts","data":{"receipts":[${list.join(',')}],"count":${list.length}},"timestamp":${Date.now() / 1000},"seq":${seq}}`;
}

afterEach(() => {
  vi.useRealTimers();
});

describe('figures', () => {
  it('shows the network at a glance', () => {
    // If this fails: the page does not tell how the network is.
    show({ network_metrics: METRICS, markets_health: MARKETS });
    expect(screen.getByRole('img', { name: 'Network strength: 71 of 100, fair' })).toBeDefined();
    const network = within(panel('Network'));
    for (const text of ['184,320', '412.3', '12.5', '42', '240', '2.38', '3.43']) {
      expect(network.getByText(text)).toBeDefined();
    }
  });

  it('explains the parts of the strength by the formula of the gateway', () => {
    // If this fails: the parts beside the gauge do not add up to it.
    const list = parts(METRICS);
    expect(list.map(({ points }) => points)).toEqual([25.2, 16.492, 28.75]);
    expect(Math.floor(list.reduce((sum, { points }) => sum + (points ?? 0), 0))).toBe(70);
    expect(parts({ peer_count: 500, tps: 9000, finality_time: 900 }).map(({ points }) => points)).toEqual([30, 40, 0]);
  });

  it('says "not reported" where the node gave no value, and never 0', () => {
    // If this fails: a value that nobody knows is shown as zero, and someone is woken up for it.
    show({ network_metrics: { ...METRICS, network_strength: null, tps: null, finality_time: null, bandwidth_in: null, active_connections: null } });
    expect(screen.getByRole('img', { name: 'Network strength: not reported' })).toBeDefined();
    const network = within(panel('Network'));
    expect(network.getAllByText('not reported')).toHaveLength(4);
    expect(network.queryByText('0')).toBeNull();
    expect(within(panel('Network strength')).getByText(/Throughput and Finality left out/)).toBeDefined();
  });

  it('shows a true zero as zero', () => {
    // If this fails: an empty network looks like one that reports nothing.
    show({ network_metrics: { ...METRICS, peer_count: 0, active_connections: 0 } });
    expect(within(panel('Network')).getAllByText('0')).toHaveLength(2);
  });

  it('shows integers beyond 2^53 with every digit', () => {
    // If this fails: balances and amounts are wrong in their last digits.
    show({
      markets_health: `{"type":"markets_health","timestamp":${Date.now() / 1000},"seq":1,"data":{"overall_status":"degraded","markets":{"energy":{"status":"healthy","total_credits":18446744073709551615,"active_traders":3}},"healthy_markets":1,"total_markets":4}}`,
      receipts: receipts([receipt(1, 'energy', '9007199254740993')], 1),
    });
    expect(within(panel('Markets')).getByText('18,446,744,073,709,551,615')).toBeDefined();
    expect(within(panel('Receipts')).getByText('9,007,199,254,740,993')).toBeDefined();
  });

  it('names the state of each market, and why one is unavailable', () => {
    // If this fails: a broken market looks like an idle one, or only its colour tells.
    show({ markets_health: MARKETS });
    const items = within(panel('Markets')).getAllByRole('listitem');
    expect(items.map((item) => within(item).getByRole('heading').textContent)).toEqual(['Compute', 'Storage', 'Energy', 'Ads']);
    expect(within(items[0] as HTMLElement).getByText('Healthy')).toBeDefined();
    expect(within(items[2] as HTMLElement).getByText('Unavailable')).toBeDefined();
    expect(within(items[2] as HTMLElement).getByText('unauthorized (-33009)')).toBeDefined();
    expect(within(items[2] as HTMLElement).getAllByText('not reported')).toHaveLength(2);
    expect(within(items[3] as HTMLElement).getByText('Idle')).toBeDefined();
    expect(within(panel('Markets')).getByText('2 of 4 healthy')).toBeDefined();
  });
});

describe('receipts', () => {
  const rows = (): HTMLElement[] => within(panel('Receipts')).getAllByRole('row').slice(1);

  it('lists the newest first and marks those that came while one looks', () => {
    // If this fails: nobody sees receipts arrive, or old ones look new after each reload.
    const socket = show({ receipts: receipts([receipt(1), receipt(2)], 1) });
    expect(rows().map((row) => row.textContent?.includes('r2'))).toEqual([true, false]);
    expect(rows().some((row) => row.className.includes('row-new'))).toBe(false);
    act(() => {
      socket.say(receipts([receipt(3)], 2));
    });
    expect(rows()).toHaveLength(3);
    expect(rows()[0]?.className).toContain('row-new');
    expect(rows()[1]?.className).not.toContain('row-new');
  });

  it('filters by market', async () => {
    // If this fails: the filter shows other markets' receipts or hides its own.
    show({ receipts: receipts([receipt(1, 'compute'), receipt(2, 'energy'), receipt(3, 'energy')], 1) });
    const user = userEvent.setup();
    await user.click(screen.getByRole('button', { name: /^Energy/ }));
    expect(rows()).toHaveLength(2);
    expect(screen.getByRole('button', { name: /^Energy/ }).getAttribute('aria-pressed')).toBe('true');
    await user.click(screen.getByRole('button', { name: /^Storage/ }));
    expect(within(panel('Receipts')).getByText(/None of the 3 kept receipts matches/)).toBeDefined();
    await user.click(screen.getByRole('button', { name: 'All' }));
    expect(rows()).toHaveLength(3);
  });

  it('holds still while paused, and counts what came meanwhile', async () => {
    // If this fails: one cannot read a receipt before it is pushed away, or loses those that came.
    const socket = show({ receipts: receipts([receipt(1)], 1) });
    const user = userEvent.setup();
    await user.click(screen.getByRole('button', { name: 'Pause' }));
    act(() => {
      socket.say(receipts([receipt(2), receipt(3)], 2));
    });
    expect(rows()).toHaveLength(1);
    await user.click(screen.getByRole('button', { name: 'Resume, 2 new' }));
    expect(rows()).toHaveLength(3);
  });

  it('keeps only the rows in sight in the document', () => {
    // If this fails: ten thousand receipts make the page crawl.
    show({ receipts: receipts(Array.from({ length: 10_000 }, (_, index) => receipt(index)), 1) });
    expect(rows().length).toBeLessThan(60);
    const table = within(panel('Receipts')).getByRole('table');
    expect(table.getAttribute('aria-rowcount')).toBe('10001');
    table.scrollTop = 200_000;
    fireEvent.scroll(table);
    expect(rows().length).toBeLessThan(60);
    const seen = rows().find((row) => row.getAttribute('aria-rowindex') === '5002');
    expect(seen?.textContent).toContain('r4999');
  });

  it('says where some are missing', () => {
    // If this fails: a hole in the list looks like a quiet time.
    const socket = show({ receipts: receipts([receipt(1)], 1) });
    act(() => {
      socket.say(receipts([receipt(90)], 90).replace(/\}$/, ',"gap":{"since":1,"oldest":90}}'));
    });
    expect(within(panel('Receipts')).getByText(/Some receipts are missing/)).toBeDefined();
    expect(rows()[0]?.className).toContain('row-gap');
  });

  it('says that there are none yet', () => {
    // If this fails: an empty list looks broken.
    show({ receipts: { receipts: [], count: 0 } });
    expect(within(panel('Receipts')).getByText(/No receipts yet/)).toBeDefined();
  });
});

describe('peers', () => {
  const PEERS = {
    peers: [
      { id: 'alpha', address: '10.0.0.1:30333', latency_ms: 120, is_validator: false },
      { id: 'beta', address: '10.0.0.2:30333', latency_ms: 8, is_validator: true },
      { id: 'gamma', address: null, latency_ms: null, is_validator: null },
    ],
    total: 3,
  };
  const order = (): string[] =>
    within(panel('Peers'))
      .getAllByRole('row')
      .slice(1)
      .map((row) => within(row).getAllByRole('cell')[0]?.textContent ?? '');

  it('sorts by each column, both ways, and those without a value last', async () => {
    // If this fails: the slowest peer cannot be found, or unknown latencies count as the fastest.
    show({ peers: PEERS });
    const user = userEvent.setup();
    // The panel's script comes when it is needed.
    await screen.findByRole('region', { name: 'Peers' }, { timeout: 20_000 });
    expect(order()).toEqual(['beta', 'alpha', 'gamma']);
    await user.click(screen.getByRole('button', { name: 'Latency' }));
    expect(order()).toEqual(['alpha', 'beta', 'gamma']);
    expect(screen.getByRole('columnheader', { name: 'Latency' }).getAttribute('aria-sort')).toBe('descending');
    await user.click(screen.getByRole('button', { name: 'Peer' }));
    expect(order()).toEqual(['alpha', 'beta', 'gamma']);
    await user.click(screen.getByRole('button', { name: 'Role' }));
    expect(order()).toEqual(['beta', 'alpha', 'gamma']);
    expect(within(panel('Peers')).getByText('3 connected, 1 validator')).toBeDefined();
  });

  it('finds by id or address', async () => {
    // If this fails: an operator does not find their own node among hundreds.
    show({ peers: PEERS });
    const user = userEvent.setup();
    await user.type(screen.getByRole('searchbox'), '0.2:');
    expect(order()).toEqual(['beta']);
    await user.clear(screen.getByRole('searchbox'));
    await user.type(screen.getByRole('searchbox'), 'GAMMA');
    expect(order()).toEqual(['gamma']);
    await user.type(screen.getByRole('searchbox'), 'x');
    expect(within(panel('Peers')).getByText(/None of the 3 peers/)).toBeDefined();
  });

  it('compares ids with numbers in them as people do', () => {
    // If this fails: peer-10 comes before peer-2.
    const list = ['peer-10', 'peer-2'].map((id) => ({ id, address: null, latency_ms: null, is_validator: null }));
    expect(arrange(list, '', { column: 'id', descending: false }).map(({ id }) => id)).toEqual(['peer-2', 'peer-10']);
  });
});

describe('the connection', () => {
  it('tells when it is lost, when the next attempt is, and offers to try now', async () => {
    // If this fails: the page looks alive while nothing comes.
    const socket = show({ network_metrics: METRICS });
    expect(screen.getAllByText('Live').length).toBeGreaterThan(0);
    act(() => socket.drop(1012, 'reloading'));
    expect(document.querySelector('.banner')?.textContent).toMatch(/Reconnecting in 1 sReloading\./);
    expect(document.title).toBe('⚠ Reconnecting · blockcast');
    const user = userEvent.setup();
    await user.click(screen.getByRole('button', { name: 'Try now' }));
    expect(FakeSocket.all).toHaveLength(2);
    act(() => {
      FakeSocket.last.greet({ available_streams: ['network_metrics'] }).acknowledge().data('network_metrics', METRICS, 1);
    });
    expect(document.querySelector('.banner')).toBeNull();
    expect(document.title).toBe('blockcast');
  });

  it('names the node as the one that is down, with its error, and marks every panel stale', () => {
    // If this fails: old figures pass for current ones while the node is down.
    const socket = show({ network_metrics: METRICS, markets_health: MARKETS });
    act(() => {
      for (const stream of ['network_metrics', 'markets_health']) {
        socket.say({ type: 'status', stream, state: 'stale', age: 30, error: 'connection refused' });
      }
    });
    const banner = document.querySelector('.banner');
    expect(banner?.textContent).toContain('The node does not answer');
    expect(banner?.textContent).toContain('Connection refused.');
    expect(banner?.textContent).toContain('Showing the last good data');
    for (const name of ['Network strength', 'Network', 'Markets']) {
      expect(panel(name).dataset.state).toBe('stale');
      expect(within(panel(name)).getByText(/^stale,/)).toBeDefined();
    }
    expect(within(panel('Network')).getByText('184,320')).toBeDefined();

    act(() => {
      socket.data('network_metrics', { ...METRICS, block_height: 184_321 }, 2).data('markets_health', MARKETS, 2);
    });
    expect(document.querySelector('.banner')).toBeNull();
    expect(panel('Network').dataset.state).toBe('live');
  });

  it('names the streams when only some are stale', () => {
    // If this fails: one failing call looks like an outage of everything, or like none.
    const socket = show({ network_metrics: METRICS, markets_health: MARKETS });
    act(() => {
      socket.say({ type: 'status', stream: 'markets_health', state: 'stale', age: 30, error: 'timed out' });
    });
    expect(document.querySelector('.banner')?.textContent).toContain('1 of 2 streams are stale: markets health');
    expect(panel('Network').dataset.state).toBe('live');
    expect(panel('Markets').dataset.state).toBe('stale');
  });

  it('does not blame the node for data that is old because nobody listened', () => {
    // If this fails: the first visitor of the day is told for a moment that the node is down.
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const socket = show({ network_metrics: METRICS });
    act(() => {
      socket.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 3000, error: null });
    });
    // What is over in a moment is no banner, but the word in the head is there at once.
    expect(document.querySelector('.pill')?.textContent).toBe('Waiting');
    expect(document.querySelector('.banner')).toBeNull();
    expect(panel('Network').dataset.state).toBe('stale');
    act(() => {
      vi.advanceTimersByTime(3100);
    });
    expect(document.querySelector('.banner')?.textContent).toContain('Waiting for fresh data');
    act(() => {
      socket.say({ type: 'status', stream: 'network_metrics', state: 'stale', age: 3002, error: 'connection refused' });
    });
    expect(document.querySelector('.banner')?.textContent).toContain('The node does not answer');
  });

  it('says that the node is down with the first stream that tells, and not once another one is answered again', () => {
    // If this fails: the page says "1 of 5 streams is stale" for as long as the slowest stream takes to fail, 14 s of a node's outage.
    const client = sharedClient('ws://x');
    const status = { ...client.status, state: 'connected', connected: true } as const;
    const live = { ...client.view('a'), state: 'live', data: {}, freshAt: 100 } as const;
    const told = { ...client.view('b'), state: 'stale', data: {}, error: 'refused', node: 'down', statusAt: 102, nodeRetryAt: 5000, freshAt: 99 } as const;
    expect(assess(status, [live, told, live, live])).toMatchObject({ kind: 'node-down', level: 'bad', error: 'refused', nodeRetryAt: 5000, streams: ['b'] });
    expect(assess(status, [{ ...live, node: 'down', statusAt: 102 }, live])).toMatchObject({ kind: 'node-down' });
    expect(assess(status, [{ ...live, freshAt: 104 }, told])).toMatchObject({ kind: 'partly-stale' });
    expect(assess(status, [live, { ...told, node: 'limited' }])).toMatchObject({ kind: 'partly-stale' });
  });

  it('has a sentence for every kind of trouble', () => {
    // If this fails: some trouble shows an empty banner.
    const status = sharedClient('ws://x').status;
    const kinds = [
      assess({ ...status, state: 'connecting' }, []),
      assess({ ...status, state: 'paused' }, []),
      assess({ ...status, state: 'disconnected' }, []),
      assess({ ...status, state: 'reconnecting' }, []),
      assess({ ...status, state: 'reconnecting', online: false }, []),
      assess({ ...status, state: 'polling', connected: true }, []),
      assess({ ...status, state: 'connected', connected: true, incompatible: 'versions differ' }, []),
      assess({ ...status, state: 'connected', connected: true }, [{ ...sharedClient('ws://x').view('a'), error: 'refused' }]),
    ];
    expect(kinds.map(({ kind }) => kind)).toEqual([
      'connecting',
      'paused',
      'disconnected',
      'reconnecting',
      'offline',
      'polling',
      'incompatible',
      'waiting',
    ]);
    for (const health of kinds) {
      expect(explain(health, 1)?.title).toMatch(/\S/);
    }
    expect(explain(assess({ ...status, state: 'connected', connected: true }, []), 1)).toBeNull();
  });
});

describe('other gateways', () => {
  it('hides the panels of streams that are not offered', () => {
    // If this fails: the page of another chain is full of empty boxes.
    show({ network_metrics: METRICS });
    for (const name of ['Markets', 'Receipts', 'Peers', 'Operations']) {
      expect(screen.queryByRole('region', { name })).toBeNull();
    }
  });

  it('shows streams that it knows nothing of: figures of a snapshot, a table of a log', () => {
    // If this fails: an Ethereum node's page is empty.
    show({
      chain: { height: 21_400_118, gas_price: 15_700_000_000, peers: 24, syncing: false, client_version: null },
      blocks: { blocks: [{ number: 21_400_118, hash: '0xabc', timestamp: 1_700_000_000, transactions: 12 }], count: 1 },
    });
    const chain = within(panel('Chain'));
    expect(chain.getByText('21,400,118')).toBeDefined();
    expect(chain.getByText('15.7')).toBeDefined();
    expect(chain.getByText('gwei')).toBeDefined();
    expect(chain.getByText('no')).toBeDefined();
    expect(chain.getByText('not reported')).toBeDefined();
    const blocks = within(panel('Blocks'));
    expect(blocks.getByRole('columnheader', { name: 'Hash' })).toBeDefined();
    expect(blocks.getByText('0xabc')).toBeDefined();
  });

  it('keeps the other panels when one cannot show what came', () => {
    // If this fails: one malformed stream blanks the whole page.
    vi.spyOn(console, 'error').mockImplementation(() => {});
    show({ network_metrics: METRICS, markets_health: MARKETS, peers: { peers: 7, total: 1 } });
    expect(within(screen.getByRole('region', { name: 'Peers' })).getByText(/cannot show/)).toBeDefined();
    expect(within(panel('Network')).getByText('184,320')).toBeDefined();
  });

  it('says so when a gateway offers nothing', () => {
    // If this fails: a misconfigured gateway looks like a broken page.
    const socket = open();
    act(() => {
      socket.greet({ available_streams: [] });
    });
    expect(screen.getByText(/offers no streams/)).toBeDefined();
  });
});

describe('the theme', () => {
  it('follows the system until one is chosen, and remembers the choice', async () => {
    // If this fails: the switch does nothing, or is forgotten with the next visit.
    open();
    const user = userEvent.setup();
    await user.click(screen.getByRole('button', { name: 'Dark' }));
    expect(document.documentElement.dataset.theme).toBe('dark');
    expect(localStorage.getItem('blockcast.theme')).toBe('dark');
    await user.click(screen.getByRole('button', { name: 'As the system' }));
    expect(document.documentElement.dataset.theme).toBeUndefined();
    expect(localStorage.getItem('blockcast.theme')).toBeNull();
  });
});

describe('format', () => {
  it('writes numbers, sizes and times as people read them', () => {
    // If this fails: figures are cut, rounded too far, or in the wrong unit.
    expect(exact(18446744073709551615n)).toBe('18,446,744,073,709,551,615');
    expect(exact(-5)).toBe('-5');
    expect([0.042, 4.254, 42.54, 4254.4, 7, 0].map(figure)).toEqual(['0.042', '4.25', '42.5', '4,254', '7', '0']);
    expect(bytes(18446744073709551615n)).toEqual(['16.0', 'EiB']);
    expect(bytes(512)).toEqual(['512', 'B']);
    expect([4, 89.6, 60 * 12, 3 * 3600 + 1200, 86400 * 3].map(duration)).toEqual(['4 s', '2 min', '12 min', '3 h 20 min', '3 d']);
    expect(['total_stored', 'peerCount', 'latency_ms', 'chain_id', 'timestamp'].map(label)).toEqual([
      'Total stored',
      'Peer count',
      'Latency',
      'Chain ID',
      'Time',
    ]);
  });
});
