/**
 * A stand-in for the gateway, for working on the page and for its browser tests when no nginx is at hand: the same addresses,
 * messages and refusals on made-up data. Its faults can be called from a test.
 *
 *   node test/mock-gateway.mjs [--port=8000] [--preset=the-block|ethereum] [--data=full|empty|partial] [--seed=N]
 */
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const PRESETS = fileURLToPath(new URL('../../conf/presets', import.meta.url));
const DIST = fileURLToPath(new URL('../dist', import.meta.url));

/** The policy that the shipped nginx configuration sends. */
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; manifest-src 'self'; " +
  "connect-src 'self' ws://127.0.0.1:* wss://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

const KEEP = 1000;

export class MockGateway {
  constructor({ port = 8000, host = '127.0.0.1', preset = 'the-block', data = 'full', seed = 1, dist = DIST, speed = 1, burst = 3, token = null } = {}) {
    /** The bearer token that is needed, or null for none. */
    this.token = token;
    /** Every handshake that was tried: its path and subprotocols. */
    this.handshakes = [];
    this.port = port;
    this.host = host;
    this.dist = dist;
    this.burst = burst;
    this.speed = speed;
    this.mode = data;
    this.board = `${preset === 'ethereum' ? 'ethereum' : 'the-block-seed'}.dashboard.json`;
    this.epoch = `mock-${Date.now().toString(36)}`;
    this.world = preset === 'ethereum' ? new EthereumWorld(seed) : new BlockWorld(seed, data, burst);
    this.streams = new Map(this.world.streams.map((stream) => [stream.name, { ...stream, seq: 0, data: null, at: null, log: [] }]));
    this.up = true;
    this.nodeError = null;
    this.refuseUpgrades = false;
    this.clients = new Set();
    this.timers = [];
  }

  /** Listens, polls, and resolves with the address. */
  async start() {
    this.sockets = new Set();
    this.server = createServer((request, response) => this.http(request, response));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.wss = new WebSocketServer({ noServer: true, maxPayload: 65536 });
    this.server.on('upgrade', (request, socket, head) => {
      const path = request.url.split('?')[0];
      this.handshakes.push({ path, protocols: request.headers['sec-websocket-protocol'] ?? null, headers: request.headers });
      if (!this.authorized(request)) {
        socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      if (this.refuseUpgrades || (path !== '/ws' && path !== '/')) {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      this.wss.handleUpgrade(request, socket, head, (ws) => this.connect(ws));
    });
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.port, this.host, resolve);
    });
    this.port = this.server.address().port;
    this.resume();
    return `http://${this.host}:${this.port}`;
  }

  authorized({ headers }) {
    const offered = (headers['sec-websocket-protocol'] ?? '').split(/, */);
    return this.token === null || headers.authorization === `Bearer ${this.token}` || offered.includes(`bearer.${this.token}`);
  }

  resume() {
    for (const stream of this.streams.values()) {
      this.poll(stream);
      this.timers.push(setInterval(() => this.poll(stream), (stream.interval * 1000) / this.speed));
    }
  }

  /** Everything ends, as when nginx is stopped; the state stays for a later `start`, as a state file would keep it. */
  async stop() {
    this.timers.forEach(clearInterval);
    this.timers = [];
    for (const { ws } of this.clients) {
      ws.terminate();
    }
    this.clients.clear();
    for (const socket of this.sockets ?? []) {
      socket.destroy();
    }
    await new Promise((resolve) => (this.server ? this.server.close(() => resolve()) : resolve()));
    this.server = null;
  }

  /** `nginx -s reload`: the old workers say goodbye, the state stays, polling goes on. */
  reload() {
    for (const { ws } of this.clients) {
      ws.close(1012, 'reloading');
    }
  }

  /** `kill -9` of a worker: its sockets end without a word. */
  killWorker() {
    for (const { ws } of this.clients) {
      ws.terminate();
    }
  }

  /** The gateway lost its state: new epoch, seq from the start. */
  loseState() {
    this.epoch = `mock-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    for (const stream of this.streams.values()) {
      Object.assign(stream, { seq: 0, data: null, at: null, log: [] });
    }
    this.killWorker();
    for (const stream of this.streams.values()) {
      this.poll(stream);
    }
  }

  nodeDown(error = 'connect() failed (111: Connection refused) while asking node "default"') {
    this.up = false;
    this.nodeError = error;
    for (const stream of this.streams.values()) {
      this.publishStatus(stream);
    }
  }

  nodeUp() {
    this.up = true;
    this.nodeError = null;
    for (const stream of this.streams.values()) {
      this.poll(stream);
      this.publishStatus(stream);
    }
  }

  // ------------------------------------------------------------ streams

  poll(stream) {
    if (!this.up) {
      this.world.pass?.(stream.name); // the chain goes on while nobody looks
      return;
    }
    const now = Date.now() / 1000;
    const result = this.world.next(stream.name, now);
    if (stream.kind === 'log') {
      stream.at = now;
      stream.data ??= { [stream.field]: [], count: 0 };
      if (result.length > 0 || stream.seq === 0) {
        stream.seq += 1;
        stream.log.push(...result.map((entry) => ({ seq: stream.seq, entry })));
        stream.log.splice(0, Math.max(0, stream.log.length - KEEP));
        stream.data = { [stream.field]: result, count: result.length };
        this.publish(stream, { type: stream.name, data: stream.data, timestamp: now, seq: stream.seq });
      }
      return;
    }
    const previous = stream.data;
    stream.at = now;
    if (text(result) === text(previous)) {
      return;
    }
    stream.data = result;
    stream.seq += 1;
    this.publish(stream, { type: stream.name, data: result, timestamp: now, seq: stream.seq }, previous);
  }

  publish(stream, message, previous) {
    const full = text(message);
    const { data, ...rest } = message;
    const delta = previous ? text({ ...rest, delta: diff(previous, data), base: message.seq - 1 }) : null;
    for (const client of this.clients) {
      const subscription = client.streams.get(stream.name);
      if (subscription) {
        client.ws.send(subscription.delta && delta !== null && delta.length < full.length ? delta : full);
      }
    }
  }

  publishStatus(stream) {
    for (const client of this.clients) {
      if (client.streams.has(stream.name)) {
        client.ws.send(text(this.statusOf(stream)));
      }
    }
  }

  stateOf(stream) {
    return stream.data === null ? 'waiting' : this.up ? 'live' : 'stale';
  }

  statusOf(stream) {
    const age = stream.at === null ? null : Date.now() / 1000 - stream.at;
    return { type: 'status', stream: stream.name, state: this.stateOf(stream), age, ...(this.nodeError ? { error: this.nodeError, node: 'down', retry_in: 2 } : {}) };
  }

  // ------------------------------------------------------------ WebSocket

  connect(ws) {
    const client = { ws, streams: new Map() };
    this.clients.add(client);
    ws.on('close', () => this.clients.delete(client));
    ws.on('error', () => {});
    ws.on('message', (raw) => this.receive(client, String(raw)));
    ws.send(
      text({
        type: 'welcome',
        message: 'blockcast',
        timestamp: Date.now() / 1000,
        available_streams: [...this.streams.keys()],
        epoch: this.epoch,
      }),
    );
  }

  receive(client, raw) {
    const answer = (message) => client.ws.send(text(message));
    let message;
    try {
      message = JSON.parse(raw);
    } catch {
      answer({ type: 'error', message: 'Invalid JSON', code: 'invalid_json' });
      return;
    }
    const id = message.id === undefined ? {} : { id: message.id };
    const timestamp = Date.now() / 1000;
    switch (message.type) {
      case 'ping':
        answer({ type: 'pong', timestamp, ...id });
        return;
      case 'subscribe':
        for (const name of message.streams ?? [message.stream]) {
          const stream = this.streams.get(name);
          if (!stream) {
            answer({ type: 'error', message: `unknown stream "${name}"`, code: 'unknown_stream', ...id });
            continue;
          }
          const again = client.streams.has(name);
          client.streams.set(name, { delta: message.delta === true });
          answer({ type: 'subscribed', stream: name, timestamp, ...id });
          if (!again) {
            this.greet(client, stream, message.since);
          }
        }
        return;
      case 'unsubscribe':
        client.streams.delete(message.stream);
        answer({ type: 'unsubscribed', stream: message.stream, timestamp, ...id });
        return;
      default:
        answer({ type: 'error', message: `unknown type "${message.type}"`, code: 'unknown_type', ...id });
    }
  }

  /** What a subscriber gets at once. */
  greet(client, stream, since) {
    const message = this.newest(stream, since);
    if (message !== null) {
      client.ws.send(text(message));
    }
    if (this.stateOf(stream) !== 'live') {
      client.ws.send(text(this.statusOf(stream)));
    }
  }

  newest(stream, since) {
    if (stream.data === null) {
      return null;
    }
    const message = { type: stream.name, data: stream.data, timestamp: stream.at, seq: stream.seq };
    if (stream.kind !== 'log') {
      return message;
    }
    const wanted = typeof since === 'number' ? stream.log.filter(({ seq }) => seq > since) : stream.log.slice(-200);
    if (typeof since === 'number' && wanted.length === 0) {
      return null;
    }
    const oldest = stream.log[0]?.seq ?? stream.seq;
    return {
      ...message,
      data: { [stream.field]: wanted.map(({ entry }) => entry), count: wanted.length },
      ...(typeof since === 'number' && oldest > since + 1 ? { gap: { since, oldest } } : {}),
    };
  }

  // ------------------------------------------------------------ HTTP

  http(request, response) {
    const url = new URL(request.url, 'http://localhost');
    const shared = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'Authorization, Content-Type' };
    const json = (status, document, headers = {}, raw = '') => {
      response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache', ...shared, ...headers });
      // The raw text of a member stays as it came.
      response.end(text(document).replace('"\\u0002"', raw));
    };
    if (request.method === 'OPTIONS') {
      response.writeHead(204, shared);
      response.end();
    } else if (!this.authorized(request) && /^\/(api|rpc)\b/.test(url.pathname)) {
      json(401, { error: 'A bearer token is needed here.' }, { 'WWW-Authenticate': 'Bearer' });
    } else if (url.pathname === '/rpc') {
      this.rpc(request, json);
    } else if (url.pathname === '/api/streams') {
      json(200, { epoch: this.epoch, timestamp: Math.floor(Date.now() / 1000), streams: [...this.streams.values()].map((stream) => this.describe(stream)) });
    } else if (/^\/api\/streams\/[^/]+\/history$/.test(url.pathname)) {
      const stream = this.streams.get(decodeURIComponent(url.pathname.split('/')[3]));
      const history = stream === undefined ? null : this.history(stream, url.searchParams.get('range') ?? '1h');
      json(history === null ? 404 : 200, history ?? { error: 'no history is kept' });
    } else if (url.pathname.startsWith('/api/streams/')) {
      const stream = this.streams.get(decodeURIComponent(url.pathname.slice('/api/streams/'.length)));
      if (!stream) {
        json(404, { error: 'unknown stream' });
      } else if (stream.data === null) {
        json(503, { error: 'no data yet' }, { 'Retry-After': String(stream.interval) });
      } else {
        json(200, this.newest(stream));
      }
    } else if (url.pathname === '/api/receipts') {
      const log = this.streams.get('receipts')?.log ?? [];
      const limit = Number(url.searchParams.get('limit') ?? 50);
      const receipts = log.map(({ entry }) => entry).reverse().slice(0, limit);
      json(200, { receipts, count: receipts.length, total: log.length, limit, offset: 0 });
    } else if (url.pathname === '/api/health' || url.pathname === '/health') {
      const streams = [...this.streams.values()].map((stream) => ({ ...this.describe(stream), polls: 100 }));
      json(this.up ? 200 : 503, {
        status: this.up ? 'ok' : 'stale', version: 'mock', timestamp: Date.now() / 1000, error: this.nodeError, streams,
        nodes: [{ name: 'default', state: this.up ? 'ok' : 'down', calls: 4200, outages: 0 }], workers: [{ connections: this.clients.size }], poller: { role: 'leader', takeovers: 1 },
      });
    } else if (url.pathname === '/dashboard.json') {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' });
      response.end(readFileSync(join(PRESETS, this.board)));
    } else if (url.pathname === '/ws') {
      response.writeHead(426, { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' });
      response.end('This is a WebSocket address.\n');
    } else {
      this.file(request, url.pathname, response);
    }
  }

  /** The course of a stream's numbers over the time before this gateway was started: made up from what they are now. */
  history(stream, range) {
    const numbers = stream.kind === 'log' || stream.data === null ? [] : Object.entries(stream.data).filter(([, value]) => typeof value === 'number');
    if (numbers.length === 0) {
      return null;
    }
    const [step, count] = range === '24h' ? [120, 720] : [5, 720];
    const now = Math.floor(Date.now() / 1000);
    const from = Math.floor(now / step) * step - (count - 1) * step;
    const series = Object.fromEntries(
      numbers.map(([name, value], line) => {
        const grows = /height|number/.test(name);
        const mean = Array.from({ length: count }, (_, index) => {
          const back = count - 1 - index;
          // Once the node was away for three minutes.
          return back > 300 && back < 336 ? null : grows ? Math.max(0, value - Math.round((back * step) / 3)) : value * (1 + 0.12 * Math.sin((back + line * 40) / 23) + 0.03 * Math.sin(back * 1.7));
        });
        return [name, { min: mean.map((one) => one && one * (grows ? 1 : 0.97)), mean, max: mean.map((one) => one && one * (grows ? 1 : 1.03)) }];
      }),
    );
    return { stream: stream.name, epoch: this.epoch, now, step, from, series };
  }

  /** JSON-RPC as far as a test needs it: `echo` answers its params, anything else is not found. */
  rpc(request, json) {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      const { id, method } = JSON.parse(body);
      const params = /"params":(.*)\}$/.exec(body)?.[1] ?? 'null';
      if (request.method !== 'POST') {
        json(405, { error: 'POST is needed here' });
      } else if (method === 'echo') {
        json(200, { jsonrpc: '2.0', id, result: '\u0002' }, {}, params);
      } else {
        json(200, { jsonrpc: '2.0', id, error: { code: -32601, message: 'method not found', data: { method } } });
      }
    });
  }

  describe({ name, kind, interval, seq, at, ...stream }) {
    return {
      name,
      kind,
      interval,
      seq,
      age: at === null ? null : Date.now() / 1000 - at,
      state: this.stateOf({ data: stream.data }),
      error: this.nodeError,
      subscribers: [...this.clients].filter((client) => client.streams.has(name)).length,
      history: kind === 'snapshot' && stream.data !== null && Object.values(stream.data).some((value) => typeof value === 'number') ? { ranges: ['1h', '24h'], series: Object.keys(stream.data) } : null,
    };
  }

  file(request, pathname, response) {
    const path = join(this.dist, normalize(pathname === '/' ? '/index.html' : pathname));
    if (!path.startsWith(this.dist) || !existsSync(path)) {
      response.writeHead(404, { 'Content-Type': 'text/plain' });
      response.end('Not found\n');
      return;
    }
    const gzip = existsSync(`${path}.gz`) && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    response.writeHead(200, {
      'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
      'Content-Security-Policy': CSP,
      'Cache-Control': pathname.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...(gzip ? { 'Content-Encoding': 'gzip' } : {}),
    });
    response.end(readFileSync(gzip ? `${path}.gz` : path));
  }
}

// -------------------------------------------------------------- made-up chains

/** The Block, as its simulated node would have it. */
class BlockWorld {
  constructor(seed, mode, burst = 3) {
    this.random = mulberry32(seed);
    this.mode = mode;
    this.burst = burst;
    this.height = 184_320;
    this.tps = 420;
    this.finality = 12;
    this.receipt = 91_000;
    this.active = 240;
    this.pending = [];
    this.peers = Array.from({ length: mode === 'empty' ? 0 : 42 }, (_, index) => this.peer(index));
    this.streams = [
      { name: 'network_metrics', kind: 'snapshot', interval: 2 },
      { name: 'markets_health', kind: 'snapshot', interval: 5 },
      { name: 'receipts', kind: 'log', interval: 3, field: 'receipts' },
      { name: 'peers', kind: 'snapshot', interval: 10 },
      { name: 'operations', kind: 'log', interval: 3, field: 'operations' },
    ];
    if (mode !== 'empty') {
      for (let index = 0; index < 40; index += 1) {
        this.grow(Date.now() / 1000 - 120 + index * 3);
      }
    }
    this.operations = [...this.pending];
  }

  peer(index) {
    const hex = () => Math.floor(this.random() * 2 ** 32).toString(16).padStart(8, '0');
    return {
      id: `12D3KooW${hex()}${hex()}`,
      address: `/ip4/10.${Math.floor(this.random() * 250)}.${Math.floor(this.random() * 250)}.${index + 2}/udp/30333/quic-v1`,
      base: 8 + this.random() ** 3 * 420,
      is_validator: this.random() < 0.3,
    };
  }

  walk(value, low, high, step) {
    return Math.min(high, Math.max(low, value + (this.random() - 0.5) * step));
  }

  grow(now) {
    this.height += 1;
    const markets = ['compute', 'storage', 'energy', 'ads'];
    const count = Math.floor(this.random() * this.burst) + 1;
    for (let index = 0; index < count; index += 1) {
      this.receipt += 1;
      const market = markets[Math.floor(this.random() * markets.length)];
      const whale = this.receipt % 11 === 0;
      const receipt = {
        id: `rcpt-${this.receipt}`,
        market,
        block_height: this.height,
        timestamp: Math.floor(now),
        provider: `${market}-provider-${String(Math.floor(this.random() * 40)).padStart(2, '0')}`,
        consumer: `acct_${Math.floor(this.random() * 2 ** 31).toString(16)}`,
        amount: whale ? 18446744073709551000n + BigInt(this.receipt % 615) : Math.floor(this.random() ** 4 * 9_000_000) + 12,
      };
      this.pending.push(receipt);
      this.operations?.push(receipt);
    }
    this.pending.splice(0, Math.max(0, this.pending.length - 500));
  }

  pass(name) {
    if (name === 'receipts' && this.mode !== 'empty') {
      this.grow(Date.now() / 1000);
    }
  }

  next(name, now) {
    const partial = this.mode === 'partial';
    switch (name) {
      case 'network_metrics': {
        this.tps = this.walk(this.tps, 40, 1300, 120);
        this.finality = this.walk(this.finality, 3, 60, 4);
        this.active = Math.round(this.walk(this.active, 20, 900, 30));
        const peers = this.peers.length;
        const tps = partial ? null : Math.round(this.tps * 10) / 10;
        const finality = partial ? null : Math.round(this.finality * 100) / 100;
        const parts = [
          [Math.min((peers / 50) * 30, 30), 30],
          ...(tps === null ? [] : [[Math.min((tps / 1000) * 40, 40), 40]]),
          ...(finality === null ? [] : [[Math.max(30 - finality / 10, 0), 30]]),
        ];
        const most = parts.reduce((sum, [, share]) => sum + share, 0);
        return {
          network_strength: Math.floor((parts.reduce((sum, [value]) => sum + value, 0) / most) * 100),
          block_height: this.height,
          finality_time: finality,
          peer_count: peers,
          tps,
          bandwidth_in: partial ? null : Math.round(2_400_000 + this.tps * 1800 + this.random() * 90_000),
          bandwidth_out: partial ? null : Math.round(3_100_000 + this.tps * 2100 + this.random() * 120_000),
          active_connections: partial ? null : this.active,
        };
      }
      case 'markets_health': {
        const jobs = this.mode === 'empty' ? 0 : 30 + Math.floor(this.random() * 8);
        const market = (healthy, figures) => ({ status: healthy ? 'healthy' : 'idle', ...figures });
        const markets = {
          compute: market(jobs > 0, { active_jobs: jobs, total_providers: this.mode === 'empty' ? 0 : 61 }),
          storage: market(this.mode !== 'empty', { total_stored: this.mode === 'empty' ? 0 : 18446744073709551615n, total_providers: this.mode === 'empty' ? 0 : 128 }),
          energy: partial
            ? { status: 'unavailable', error: 'unauthorized (-33009)', total_credits: null, active_traders: null }
            : market(this.mode !== 'empty', { total_credits: this.mode === 'empty' ? 0 : 480_000 + Math.floor(this.random() * 900), active_traders: this.mode === 'empty' ? 0 : 34 }),
          ads: market(false, { active_campaigns: 0, total_impressions: 0 }),
        };
        const healthy = Object.values(markets).filter(({ status }) => status === 'healthy').length;
        return { overall_status: healthy >= 3 ? 'healthy' : healthy >= 1 ? 'degraded' : 'down', markets, healthy_markets: healthy, total_markets: 4 };
      }
      case 'receipts': {
        if (this.mode === 'empty') {
          return [];
        }
        this.grow(now);
        return this.pending.splice(0);
      }
      case 'operations': {
        if (this.mode === 'empty') {
          return [];
        }
        return this.operations.splice(0).map((receipt) => ({
          id: receipt.id.replace('rcpt', 'op'),
          kind: `${receipt.market}.settle`,
          market: receipt.market,
          block_height: receipt.block_height,
          timestamp: receipt.timestamp,
          amount: receipt.amount,
        }));
      }
      case 'peers':
        return {
          peers: this.peers.map(({ id, address, base, is_validator }, index) => ({
            id,
            address,
            latency_ms: partial && index % 3 === 0 ? null : Math.round(base * (0.9 + this.random() * 0.2)),
            is_validator: partial ? null : is_validator,
          })),
          total: this.peers.length,
        };
      default:
        return null;
    }
  }
}

/** A node of another chain: stream names that the page has no panel of its own for. */
class EthereumWorld {
  constructor(seed) {
    this.random = mulberry32(seed);
    this.height = 21_400_118;
    this.fee = 14.2;
    this.waiting = [];
    this.streams = [
      { name: 'chain', kind: 'snapshot', interval: 2 },
      { name: 'blocks', kind: 'log', interval: 2, field: 'blocks' },
      { name: 'transactions', kind: 'log', interval: 2, field: 'transactions' },
    ];
  }

  hash(digits = 64) {
    let hash = '';
    while (hash.length < digits) {
      hash += Math.floor(this.random() * 2 ** 32).toString(16).padStart(8, '0');
    }
    return `0x${hash.slice(0, digits)}`;
  }

  next(name, now) {
    switch (name) {
      case 'chain':
        this.fee = Math.min(60, Math.max(4, this.fee + (this.random() - 0.5) * 2));
        return {
          height: this.height,
          gas_price: Math.round((this.fee + 1.5) * 1e9),
          base_fee: Math.round(this.fee * 1e9),
          peers: 24 + Math.floor(this.random() * 3),
          syncing: false,
          chain_id: 1,
          client_version: 'Geth/v1.14.12-stable/linux-amd64/go1.23.3',
        };
      case 'blocks': {
        this.height += 1;
        const block = {
          number: this.height,
          hash: this.hash(),
          parent_hash: this.hash(),
          timestamp: Math.floor(now),
          transactions: Math.floor(this.random() * 220),
          gas_used: Math.floor(this.random() * 30_000_000),
          gas_limit: 30_000_000,
          miner: this.hash(40),
        };
        for (let index = 0; index < 3; index += 1) {
          this.waiting.push({
            hash: this.hash(),
            block_number: this.height,
            from: this.hash(40),
            to: index === 0 ? null : this.hash(40),
            value: BigInt(Math.floor(this.random() * 1e9)) * 1_000_000_000n + 7n,
            gas_used: 21_000 + Math.floor(this.random() * 90_000),
            status: this.random() > 0.05 ? 'success' : 'failed',
          });
        }
        return [block];
      }
      case 'transactions':
        return this.waiting.splice(0);
      default:
        return null;
    }
  }
}

function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** JSON with `bigint` as the bare integers that a node sends. */
function text(value) {
  return JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? `\u0001${item}` : item)).replace(/"\\u0001(-?\d+)"/g, '$1');
}

/** The merge patch that makes `after` of `before`. */
function diff(before, after) {
  const patch = {};
  for (const name of Object.keys(before)) {
    if (!(name in after)) {
      patch[name] = null;
    }
  }
  for (const [name, value] of Object.entries(after)) {
    const old = before[name];
    if (text(old ?? null) === text(value ?? null) && name in before) {
      continue;
    }
    const object = (item) => typeof item === 'object' && item !== null && !Array.isArray(item);
    patch[name] = object(old) && object(value) ? diff(old, value) : value;
  }
  return patch;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = Object.fromEntries(process.argv.slice(2).map((argument) => argument.replace(/^--/, '').split('=')));
  for (const name of ['port', 'seed', 'speed', 'burst']) {
    if (name in options) {
      options[name] = Number(options[name]);
    }
  }
  const gateway = new MockGateway(options);
  console.log(`mock gateway on ${await gateway.start()}`);
  process.once('SIGINT', () => void gateway.stop().then(() => process.exit(0)));
}
