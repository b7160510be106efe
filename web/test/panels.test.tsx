import { act, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { App } from '../src/app/App';
import { pretty } from '../src/app/Drawer';
import { find } from '../src/app/Finder';
import { address, flag, param, setParams } from '../src/app/url';
import { forgetBoard } from '../src/board/load';
import type { Board } from '../src/board/types';
import { sharedClient } from '../src/client/shared';
import { load, readHealth } from '../src/panels/GatewayPanel';
import { FakeSocket } from '../src/testing/FakeSocket';

const NOW = Math.floor(Date.now() / 1000);
const hash = (index: number): string => `0x${index.toString(16).padStart(64, 'a')}`;
const block = (number: number, more: object = {}): object => ({
  number, hash: hash(number), parent_hash: hash(number - 1), timestamp: NOW - (100 - number) * 12, miner: `0x${'b'.repeat(40)}`,
  gas_used: 15_000_000, gas_limit: 30_000_000, base_fee: 14_000_000_000, tx_count: 2, ...more,
});
const transaction = (index: number, more: object = {}): object => ({
  hash: hash(1000 + index), block_number: 100, block_hash: hash(100), index, timestamp: NOW, from: `0x${'c'.repeat(40)}`, to: `0x${'d'.repeat(40)}`, value: '1500000000000000000',
  method: null, nonce: 1, type: 2, gas_price: 15_000_000_000, gas_used: 21_000, status: 1, contract_address: null, ...more,
});
const CHAIN = { height: 100, gas_price: 15_000_000_000, base_fee: 14_000_000_000, finalized: 36, peer_count: 24, syncing: false, chain_id: 1, client: 'Geth/v1.14' };

/** The Ethereum page, as its preset's dashboard.json has it. */
function ethereum(data: Record<string, unknown> = {}): FakeSocket {
  const board = JSON.parse(readFileSync(join(process.cwd(), '../conf/presets/ethereum.dashboard.json'), 'utf8')) as Board;
  forgetBoard({ state: 'ready', board, problems: [] });
  render(<App client={sharedClient('ws://gateway/ws', { rest: false, random: () => 1 })} />);
  const socket = FakeSocket.last;
  const streams: Record<string, unknown> = {
    chain: CHAIN,
    blocks: { blocks: Array.from({ length: 12 }, (_, index) => block(89 + index)), count: 12 },
    transactions: { transactions: [transaction(0), transaction(1, { to: null, value: 0, contract_address: `0x${'e'.repeat(40)}` }), transaction(2, { method: '0xa9059cbb', status: 0 })], count: 3 },
    ...data,
  };
  act(() => {
    socket.greet({ available_streams: Object.keys(streams) });
  });
  act(() => {
    socket.acknowledge();
    for (const [stream, value] of Object.entries(streams)) {
      socket.data(stream, value, 1);
    }
  });
  return socket;
}

const panel = (name: string): HTMLElement => screen.getByRole('region', { name });

describe('Ethereum', () => {
  it('has ether, gwei and names, and nothing raw', () => {
    // If this fails: an operator shows their visitors wei and "Status 1".
    ethereum();
    const fees = within(panel('Fees and gas'));
    for (const text of ['14', '15', '50.0', '2.52']) {
      expect(fees.getAllByText(text).length, text).toBeGreaterThan(0);
    }
    const chain = within(panel('Chain'));
    expect(chain.getByText('Ethereum')).toBeDefined();
    expect(chain.getByText('64')).toBeDefined();
    expect(chain.getByText('blocks')).toBeDefined();
    expect(chain.getByText('12')).toBeDefined();
    const rows = within(panel('Transactions'));
    expect(rows.getAllByText('1.5').length).toBe(2);
    expect(rows.getAllByText('Success').length).toBeGreaterThan(0);
    expect(rows.getAllByText('Failed').length).toBeGreaterThan(0);
    expect(rows.getByText('new contract')).toBeDefined();
    expect(rows.getAllByText('transfer').length).toBe(3);
    expect(document.body.textContent).not.toMatch(/000000000000000000|14,?000,?000,?000/);
  });

  it('tells the newest figures in the title of the tab', () => {
    // If this fails: a tab among many says nothing.
    ethereum();
    expect(document.title).toBe('Block 100 · 14 gwei · Ethereum');
  });

  it('shows blocks that slide in, each to be opened', async () => {
    // If this fails: nothing on the page can be seen to happen.
    const socket = ethereum();
    const ribbon = within(panel('Blocks'));
    const list = ribbon.getByRole('list', { name: 'Newest blocks' });
    expect(within(list).getAllByRole('button')[0]?.textContent).toMatch(/^1002 tx14 gwei/);
    expect(ribbon.getByText('every 12 s')).toBeDefined();
    expect(ribbon.getByRole('img', { name: /^Time between blocks\. Nearly all of the last 12 blocks took 12 s/ })).toBeDefined();
    act(() => {
      socket.data('blocks', { blocks: [block(101, { gas_used: 0, tx_count: 1 })], count: 1 }, 2);
    });
    expect(within(list).getAllByRole('button')[0]?.textContent).toMatch(/^1011 tx/);
    expect(list.querySelectorAll('button[tabindex="0"]')).toHaveLength(1);
    await userEvent.setup().click(within(list).getAllByRole('button')[1] as HTMLElement);
    expect(param('open')).toBe(`blocks:${hash(100)}`);
    const dialog = await screen.findByRole('dialog', { name: 'Block 100' });
    expect(within(dialog).getByText('3 transactions')).toBeDefined();
  });

  it('marks a reorganisation', () => {
    const socket = ethereum();
    act(() => {
      socket.data('blocks', { blocks: [block(99, { hash: hash(5099) }), block(100, { hash: hash(5100), parent_hash: hash(5099) })], count: 2 }, 2);
    });
    expect(within(panel('Blocks')).getByText(/reorg 2/)).toBeDefined();
    expect(within(panel('Blocks')).getByText(/2 replaced/)).toBeDefined();
  });
});

describe('what is opened', () => {
  it('has every member, exact and to be copied, and an address', async () => {
    // If this fails: a row cannot be looked at, or what is copied has lost its last digits.
    ethereum();
    const user = userEvent.setup();
    const write = vi.spyOn(navigator.clipboard, 'writeText');
    await user.click(within(panel('Transactions')).getAllByText('1.5')[0] as HTMLElement);
    const dialog = await screen.findByRole('dialog');
    const name = param('open') as string;
    expect(name).toMatch(/^transactions:0x/);
    const inside = within(dialog);
    for (const text of ['Nonce', 'Block hash', 'Contract address', '21,000']) {
      expect(inside.getByText(text)).toBeDefined();
    }
    await user.click(inside.getByRole('button', { name: 'Copy Value' }));
    expect(write).toHaveBeenLastCalledWith('1500000000000000000');
    expect(inside.getByText('Copied')).toBeDefined();
    await user.click(inside.getByRole('button', { name: 'Copy link' }));
    expect(write).toHaveBeenLastCalledWith(`${location.origin}/?open=${name}`);
    fireEvent.keyDown(dialog, { key: 'Escape' });
    expect(param('open')).toBeNull();
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  it('is there when one comes by its address, also before the data', async () => {
    // If this fails: a link that was shared opens nothing.
    setParams({ open: `transactions:${hash(1002)}` });
    ethereum();
    const dialog = await screen.findByRole('dialog');
    await waitFor(() => expect(within(dialog).getAllByText('Failed').length).toBe(1));
    act(() => setParams({ open: 'transactions:0xgone' }));
    expect(within(await screen.findByRole('dialog')).getByText(/“0xgone” is not among the 3 transactions/)).toBeDefined();
    act(() => setParams({ open: 'blocks:95' }));
    expect(await screen.findByRole('dialog', { name: 'Block 95' })).toBeDefined();
  });

  it('shows the JSON with the digits that came', () => {
    expect(pretty({ a: 18446744073709551615n, b: ['x', null], c: {}, d: [] })).toBe('{\n  "a": 18446744073709551615,\n  "b": [\n    "x",\n    null\n  ],\n  "c": {},\n  "d": []\n}');
  });

  it('is reached with the keyboard, row by row', async () => {
    // If this fails: whoever has no mouse cannot open a row.
    ethereum();
    const buttons = (): HTMLElement[] => [...panel('Block list').querySelectorAll<HTMLElement>('.row-open')];
    expect(buttons().filter(({ tabIndex }) => tabIndex === 0)).toHaveLength(1);
    buttons()[0]?.focus();
    fireEvent.keyDown(buttons()[0] as HTMLElement, { key: 'ArrowDown' });
    await waitFor(() => expect(document.activeElement).toBe(buttons()[1]));
    await userEvent.setup().keyboard('{Enter}');
    expect(await screen.findByRole('dialog', { name: 'Block 99' })).toBeDefined();
  });
});

describe('search', () => {
  it('finds what is kept, by any of its members, and opens it', async () => {
    // If this fails: a hash in hand is of no use.
    ethereum();
    const user = userEvent.setup();
    await user.keyboard('{Control>}k{/Control}');
    const box = await screen.findByRole('combobox');
    await user.type(box, '97');
    expect(screen.getAllByRole('option')[0]?.textContent).toMatch(/^Block 97Blocks/);
    await user.clear(box);
    await user.type(box, hash(1001).slice(-20));
    await user.keyboard('{Enter}');
    expect(param('open')).toBe(`transactions:${hash(1001)}`);
    expect(screen.queryByRole('combobox')).toBeNull();
  });

  it('does what the page can do', async () => {
    ethereum();
    const user = userEvent.setup();
    await user.keyboard('/');
    await user.type(await screen.findByRole('combobox'), 'theme dark');
    await user.keyboard('{Enter}');
    expect(document.documentElement.dataset.theme).toBe('dark');
    expect(find([], [], 'nothing')).toEqual([]);
  });
});

describe('the address', () => {
  it('keeps filters and ranges, and nothing that is as it is anyway', async () => {
    // If this fails: what one has chosen is lost with a reload, or cannot be shared.
    ethereum();
    const user = userEvent.setup();
    await user.click(within(panel('Transactions')).getByRole('button', { name: /^Failed/ }));
    expect(location.search).toBe('?transactions.status=0');
    expect(within(panel('Transactions')).getAllByRole('row')).toHaveLength(2);
    await user.click(within(panel('History')).getByRole('button', { name: '15 min' }));
    expect(location.search).toBe('?transactions.status=0&range=15m');
    await user.click(within(panel('History')).getByRole('button', { name: '1 h' }));
    await user.click(within(panel('Transactions')).getByRole('button', { name: 'All' }));
    expect(location.search).toBe('');
    setParams({ kiosk: '' });
    history.replaceState(null, '', '/?kiosk&x=a:b');
    expect([flag('kiosk'), param('x'), address({ x: null })]).toEqual([true, 'a:b', `${location.origin}/?kiosk=`]);
  });

  it('shows one panel alone, to be put into another page', () => {
    // If this fails: an embedded panel has a header and a footer around it.
    setParams({ panel: 'blocks' });
    ethereum();
    expect(screen.getAllByRole('region').map((region) => region.getAttribute('data-panel'))).toEqual(['blocks']);
    expect(document.querySelector('.header, .footer')).toBeNull();
    act(() => setParams({ panel: 'nonsense' }));
    expect(screen.getByText(/There is no panel “nonsense”\. There are: blocks, fees, /)).toBeDefined();
  });

  it('makes a wall of it', () => {
    setParams({ kiosk: '1' });
    ethereum();
    expect(document.documentElement.hasAttribute('data-kiosk')).toBe(true);
    act(() => setParams({ kiosk: null }));
    expect(document.documentElement.hasAttribute('data-kiosk')).toBe(false);
  });
});

describe('an operator’s own stream', () => {
  it('is on the page by a few lines of JSON', () => {
    // If this fails: whoever has a stream of their own has to build a page.
    forgetBoard({
      state: 'ready',
      problems: [],
      board: {
        title: 'Mine',
        panels: [
          { panel: 'numbers', stream: 'gas', title: 'Gas', numbers: [{ field: 'price.fast', title: 'Fast', as: 'coin', decimals: 9, unit: 'gwei' }] },
          { panel: 'table', stream: 'pool', list: 'miners', sort: '-rate', title: 'Miners', fields: [{ field: 'name', title: 'Miner' }, { field: 'rate', title: 'Rate', unit: 'MH/s' }] },
        ],
      },
    });
    render(<App client={sharedClient('ws://gateway/ws', { rest: false })} />);
    act(() => {
      FakeSocket.last.greet({ available_streams: ['gas', 'pool'] });
    });
    act(() => {
      FakeSocket.last.acknowledge().data('gas', { price: { fast: 12_500_000_000 } }, 1).data('pool', { miners: [{ name: 'a', rate: 3 }, { name: 'b', rate: 30 }] }, 1);
    });
    expect(within(panel('Gas')).getByText('12.5')).toBeDefined();
    expect(within(panel('Miners')).getAllByRole('row').slice(1).map(({ textContent }) => textContent?.replace('new', ''))).toEqual(['b30 MH/s', 'a3 MH/s']);
    expect(screen.getByRole('heading', { level: 1 }).textContent).toMatch(/^Mine/);
  });

  it('is told what is wrong with the JSON, and the page is there all the same', () => {
    forgetBoard({ state: 'wrong', board: null, problems: ['panels[0].numbres is not known; did you mean "numbers"?'] });
    render(<App client={sharedClient('ws://gateway/ws', { rest: false })} />);
    act(() => {
      FakeSocket.last.greet({ available_streams: ['gas'] });
    });
    expect(screen.getByText(/did you mean "numbers"/)).toBeDefined();
    expect(panel('Gas')).toBeDefined();
  });
});

describe('what happened', () => {
  it('is kept, once, whichever stream tells it', () => {
    // If this fails: a reorganisation is over before anybody saw it, or is told three times.
    const socket = ethereum();
    act(() => {
      for (const stream of ['blocks', 'transactions']) {
        socket.say({ type: 'status', stream, state: 'live', age: 0, note: 'a reorganisation: 3 blocks are replaced' });
      }
    });
    const stored = JSON.parse(sessionStorage.getItem('blockcast.events') ?? '[]') as { kind: string }[];
    expect(stored.map(({ kind }) => kind)).toEqual(['reorg']);
    act(() => {
      socket.say({ type: 'status', stream: 'chain', state: 'stale', age: 9, error: 'refused', node: 'down', retry_in: 3 });
    });
    act(() => {
      socket.data('chain', { ...CHAIN, height: 101 }, 2);
    });
    const after = JSON.parse(sessionStorage.getItem('blockcast.events') ?? '[]') as { kind: string; end: number | null; text: string }[];
    expect(after[0]).toMatchObject({ kind: 'node', text: 'The node did not answer: refused' });
    expect(after[0]?.end).not.toBeNull();
  });
});

describe('the gateway’s own story', () => {
  it('is what it says of itself', () => {
    // If this fails: the page boasts of what is not so.
    const told = readHealth(
      {
        status: 'ok', version: '0.2.0', timestamp: 1000, workers: [{ connections: 12 }, { connections: 8 }], nodes: [{ name: 'default', state: 'ok', calls: 900, outages: 2 }], poller: { role: 'leader', takeovers: 1 },
        streams: [{ name: 'a', interval: 2, subscribers: 20, polls: 5, state: 'live' }, { name: 'b', interval: 60, subscribers: 5, polls: 1, state: 'live' }, { name: 'c', interval: 1, subscribers: 0 }],
      },
      1001,
      0.5,
    );
    expect(told).toMatchObject({ viewers: 20, workers: 2, calls: 900, outages: 2, skew: -0.75 });
    expect(load(told as NonNullable<typeof told>)).toEqual({ asked: 31, unshared: 605 });
    expect(readHealth('junk', 1, 1)).toBeNull();
    expect(readHealth({ streams: [] }, 1, 1)).toMatchObject({ viewers: 0, calls: null, saved: null });
    expect(readHealth({ streams: [{ name: 'a', latency: 0.02 }], totals: { saved: 7, connections: 3 } }, 1, 1)).toMatchObject({ viewers: 3, saved: 7, streams: [{ latency: 0.02 }] });
  });
});
