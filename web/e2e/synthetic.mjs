/**
 * Data that no gateway has at hand: ten thousand receipts, none at all, a node that reports half. The page's WebSocket is answered
 * from here; everything else still comes from the gateway.
 */
import { readFileSync } from 'node:fs';

const MARKETS = ['compute', 'storage', 'energy', 'ads'];

export async function fakeGateway(page, { receipts = 0, empty = false, partial = false, ethereum = false, preset = null, dropAfter = 0 } = {}) {
  const now = () => Date.now() / 1000;
  const named = preset ?? (ethereum ? 'ethereum' : null);
  const board = named === null ? null : readFileSync(new URL(`../../conf/presets/${named}.dashboard.json`, import.meta.url), 'utf8');
  const streams = preset !== null ? asDescribed(JSON.parse(board), empty) : ethereum ? chain() : block({ receipts, empty, partial });
  if (board !== null) {
    await page.route('**/dashboard.json', (route) => route.fulfill({ contentType: 'application/json', body: board }));
  }
  let connections = 0;

  if (dropAfter > 0) {
    await page.route('**/api/**', (route) => route.abort());
  }
  await page.routeWebSocket(/\/ws$/, (socket) => {
    connections += 1;
    if (dropAfter > 0 && connections > 1) {
      socket.close({ code: 1013, reason: 'the gateway restarts' });
      return;
    }
    socket.send(JSON.stringify({ type: 'welcome', timestamp: now(), available_streams: Object.keys(streams), epoch: 1, protocol: 1 }));
    let seq = 0;
    let ticks = [];
    socket.onMessage((raw) => {
      const message = JSON.parse(String(raw));
      if (message.type === 'subscribe' && streams[message.stream] === undefined) {
        socket.send(JSON.stringify({ type: 'error', message: `unknown stream "${message.stream}"`, code: 'unknown_stream', id: message.id }));
      } else if (message.type === 'subscribe') {
        socket.send(JSON.stringify({ type: 'subscribed', stream: message.stream, timestamp: now() }));
        const send = (index) => {
          const data = streams[message.stream](index);
          if (data !== null) {
            seq += 1;
            socket.send(`{"type":"${message.stream}","data":${data},"timestamp":${now()},"seq":${seq}}`);
          }
        };
        send(0);
        let index = 0;
        ticks.push(setInterval(() => send((index += 1)), 700));
      } else if (message.type === 'ping') {
        socket.send(JSON.stringify({ type: 'pong', timestamp: now() }));
      }
    });
    socket.onClose(() => {
      ticks.forEach(clearInterval);
      ticks = [];
    });
    if (dropAfter > 0) {
      setTimeout(() => {
        ticks.forEach(clearInterval);
        socket.close({ code: 1012, reason: 'the gateway restarts' });
      }, dropAfter);
    }
  });
}

function receipt(index) {
  const market = MARKETS[index % 4];
  const amount = index % 5 === 0 ? '18446744073709551615' : String((index * 7919) % 1_000_000);
  return `{"id":"rcpt-${index}","market":"${market}","block_height":${180_000 + index},"timestamp":${Math.floor(Date.now() / 1000)},"provider":"${market}-provider-7","consumer":"account-1f","amount":${amount}}`;
}

function block({ receipts, empty, partial }) {
  const list = (from, to) => Array.from({ length: to - from }, (_, index) => receipt(from + index));
  const wave = (index, base, size) => base + Math.round(Math.sin(index / 2) * size);
  return {
    network_metrics: (index) =>
      JSON.stringify({
        network_strength: empty ? 30 : 78,
        block_height: 184_320 + (empty ? 0 : index),
        finality_time: partial ? null : wave(index, 12, 3),
        peer_count: empty ? 0 : 42,
        tps: partial ? null : empty ? 0 : wave(index, 640, 90),
        bandwidth_in: partial ? null : wave(index, 2_400_000, 300_000),
        bandwidth_out: partial ? null : wave(index, 3_100_000, 200_000),
        active_connections: partial ? null : wave(index, 130, 12),
      }),
    markets_health: () =>
      empty
        ? JSON.stringify({
            overall_status: 'down',
            markets: {
              compute: { status: 'idle', active_jobs: 0, total_providers: 0 },
              storage: { status: 'idle', total_stored: 0, total_providers: 0 },
              energy: { status: 'idle', total_credits: 0, active_traders: 0 },
              ads: { status: 'idle', active_campaigns: 0, total_impressions: 0 },
            },
            healthy_markets: 0,
            total_markets: 4,
          })
        : `{"overall_status":"healthy","markets":{"compute":{"status":"healthy","active_jobs":31,"total_providers":61},"storage":{"status":"healthy","total_stored":18446744073709551615,"total_providers":18},"energy":${
            partial
              ? '{"status":"unavailable","error":"unauthorized (-33009)","total_credits":null,"active_traders":null}'
              : '{"status":"healthy","total_credits":18446744073709551615,"active_traders":34}'
          },"ads":{"status":"idle","active_campaigns":0,"total_impressions":0}},"healthy_markets":${partial ? 2 : 3},"total_markets":4}`,
    receipts: (index) => {
      if (index > 0) {
        return null;
      }
      const entries = list(0, receipts);
      return `{"receipts":[${entries.join(',')}],"count":${entries.length}}`;
    },
    operations: (index) => {
      if (index > 0) {
        return null;
      }
      const entries = list(0, Math.min(receipts, 200)).map((text) => text.replace('rcpt', 'op'));
      return `{"operations":[${entries.join(',')}],"count":${entries.length}}`;
    },
    peers: () => {
      const peers = Array.from({ length: empty ? 0 : 24 }, (_, index) => ({
        id: `12D3KooW${(index * 2654435761 % 2 ** 32).toString(16)}${index}`,
        address: partial ? null : `/ip4/10.0.0.${index}/udp/30333/quic-v1`,
        latency_ms: partial && index % 3 === 0 ? null : 6 + ((index * 37) % 300),
        is_validator: partial ? null : index % 3 === 0,
      }));
      return JSON.stringify({ peers, total: peers.length });
    },
  };
}

function chain() {
  const hash = (index, length) => `0x${((index + 1) * 2654435761).toString(16).padStart(12, '0').repeat(6).slice(0, length)}`;
  const block = (index) => ({
    number: 21_400_118 + index,
    hash: hash(index, 64),
    parent_hash: hash(index - 1, 64),
    timestamp: Math.floor(Date.now() / 1000) - (11 - Math.min(index, 11)) * 12,
    miner: hash(index + 7, 40),
    gas_used: (index * 7_919_113) % 30_000_000,
    gas_limit: 30_000_000,
    base_fee: 14_200_000_000 + ((index * 7919) % 11) * 1e8,
    tx_count: (index * 37) % 220,
  });
  const transaction = (index) => ({
    hash: hash(index * 3, 64),
    block_number: 21_400_118 + Math.floor(index / 3),
    from: hash(index + 11, 40),
    to: index % 4 === 0 ? null : hash(index + 13, 40),
    value: index % 3 === 0 ? '1000000000000000000000' : 250_000_000,
    gas_used: 21_000 + ((index * 911) % 90_000),
    status: index % 9 === 0 ? 0 : 1,
    method: index % 3 === 1 ? '0xa9059cbb' : null,
    gas_price: 15_000_000_000 + index * 1e7,
    timestamp: Math.floor(Date.now() / 1000),
  });
  return {
    chain: (index) =>
      JSON.stringify({
        height: 21_400_118 + index,
        gas_price: 15_700_000_000 + ((index * 7919) % 9) * 1e8,
        base_fee: 14_200_000_000 + ((index * 7919) % 7) * 1e8,
        peer_count: 24,
        finalized: 21_400_050,
        syncing: false,
        chain_id: 1,
        client: 'Geth/v1.14.12-stable/linux-amd64/go1.23.3',
      }),
    blocks: (index) => {
      const blocks = index === 0 ? Array.from({ length: 12 }, (_, number) => block(number)) : [block(11 + index)];
      return JSON.stringify({ blocks, count: blocks.length });
    },
    transactions: (index) => {
      const transactions = Array.from({ length: index === 0 ? 20 : 2 }, (_, number) => transaction(number + index * 2));
      return JSON.stringify({ transactions, count: transactions.length });
    },
  };
}

/** What a board names, each value about as long as it gets; with nothing in it, when `empty`. */
function asDescribed(board, empty) {
  const snapshots = {};
  const logs = {};
  const put = (into, path, value) => {
    const steps = path.split('.');
    const last = steps.pop();
    const at = steps.reduce((object, step) => (object[step] ??= {}), into);
    at[last] ??= value;
  };
  const long = ({ field, as, decimals = 0, names, times = 1 }) =>
    empty && !/height|slot|number/.test(field)
      ? null
      : as === 'coin'
        ? /fee|price/.test(field) ? 123_456_789 : Number(1_543_210_987n * 10n ** BigInt(Number(decimals) || 0))
        : as === 'hash' ? '0x' + '9e3779b97f4a7c15'.repeat(4)
        : as === 'text' || /client|version|health|address|runtime|app/.test(field) ? 'some-client 12.34.56-rc7'
        : as === 'name' || as === 'status' ? (Object.keys(names ?? { none: '' }).at(-1) ?? 'none')
        : as === 'yesno' ? false
        : as === 'percent' ? 0.2514
        : as === 'ms' || as === 'seconds' || /latency|ping|interval/.test(field) ? 123.4
        : as === 'time' || /time(stamp)?$/.test(field) ? Math.floor(Date.now() / 1000)
        : as === 'bytes' || as === 'rate' ? 987_654_321_098
        : /height|number|slot|finalized|best/.test(field) ? (/slot/.test(field) ? 312_445_678 : 25_445_678)
        : 123_456_789 / times;
  const snapshot = (stream, formats) => formats.forEach((format) => [format.field, ...(format.fields ?? [])].filter(Boolean).forEach((field) => put((snapshots[stream] ??= {}), field, long({ ...format, field }))));
  const log = (stream, formats) => formats.forEach((format) => put((logs[stream] ??= {}), format.field, long(format)));
  for (const panel of board.panels) {
    if (panel.panel === 'blocks') {
      log(panel.stream, [{ field: panel.number ?? 'number' }, { field: panel.time ?? 'timestamp', as: 'time' }, ...(panel.hash === 'slot' ? [] : [{ field: panel.hash ?? 'hash', as: 'hash' }]), panel.used, panel.colour, panel.count].filter(Boolean));
    } else if (panel.panel === 'numbers') {
      snapshot(panel.stream, [...(panel.numbers ?? []).filter(({ compute, of }) => of === undefined || compute === undefined), ...(panel.facts ?? [])]);
    } else if (panel.panel === 'chart') {
      snapshot(panel.stream, (panel.metrics ?? []).flatMap(({ lines, ...metric }) => lines ?? [metric]));
    } else if (panel.panel === 'table' && panel.list !== undefined) {
      const row = {};
      (panel.fields ?? []).forEach((format) => put(row, format.field, long(format)));
      (snapshots[panel.stream] ??= {})[panel.list] = empty ? [] : Array.from({ length: 12 }, (_, index) => ({ ...row, ...(panel.key === undefined ? {} : { [panel.key]: `${row[panel.key]}${index}` }) }));
    } else if (panel.panel === 'table') {
      log(panel.stream, panel.fields ?? []);
    }
  }
  const numbered = (row, index) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === 312_445_678 || value === 25_445_678 ? value + index : name === 'hash' ? `${value}${index}` : /timestamp|time/.test(name) ? Math.floor(Date.now() / 1000) : value]));
  return {
    ...Object.fromEntries(Object.entries(snapshots).map(([stream, data]) => [stream, (index) => JSON.stringify(numbered(data, index))])),
    ...Object.fromEntries(
      Object.entries(logs).map(([stream, row]) => [
        stream,
        (index) => {
          const rows = empty ? [] : Array.from({ length: index === 0 ? 12 : 1 }, (_, place) => numbered(row, (index === 0 ? 0 : 11 + index) + place));
          return empty && index > 0 ? null : JSON.stringify({ [stream]: rows, count: rows.length });
        },
      ]),
    ),
  };
}
