import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BlockcastError, fetchStream, sharedClient, Status, type Page, type StreamClientOptions, type StreamCondition } from '../src/client';
import { StreamClient } from '../src/client/StreamClient';
import { FakeSocket } from '../src/testing';

const cleanup: (() => void)[] = [];

function make(options: StreamClientOptions = {}): StreamClient {
  return new StreamClient({ url: 'ws://gateway/ws', rest: false, random: () => 0.5, ...options });
}

/** Lets what waits for a promise run. */
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
const receipts = (...list: { id: string; market?: string }[]): unknown => ({ receipts: list, count: list.length });
const r = (id: string, market = 'ads'): { id: string; market: string } => ({ id, market });
const subscribes = (): Record<string, unknown>[] => FakeSocket.last.sent.filter(({ type }) => type === 'subscribe');

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  cleanup.splice(0).forEach((leave) => leave());
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
});

describe('handlers', () => {
  it('get each message once, what is held already included', async () => {
    // If this fails: a program without a framework misses data, or handles an entry twice.
    const client = make();
    const early: unknown[] = [];
    const ids = (data: { receipts: { id: string }[] }): string => data.receipts.map(({ id }) => id).join();
    cleanup.push(client.subscribe<{ receipts: { id: string }[] }>('receipts', { onData: (data) => early.push(ids(data)) }));
    await settle();
    FakeSocket.last.greet().acknowledge().data('receipts', receipts(r('a'), r('b')), 1).data('receipts', receipts(r('c')), 2);
    await settle();
    expect(early).toEqual(['a,b', 'c']);

    const late: unknown[] = [];
    cleanup.push(client.subscribe<{ receipts: { id: string }[] }>('receipts', { onData: (data) => late.push(ids(data)) }));
    expect(late).toEqual([]);
    await settle();
    expect(late).toEqual(['a,b,c']);

    // What comes again after a loss is not handed over again.
    FakeSocket.last.drop();
    vi.advanceTimersByTime(1000);
    FakeSocket.last.greet().acknowledge().data('receipts', receipts(r('b'), r('c'), r('d')), 4);
    expect([early.at(-1), late.at(-1)]).toEqual(['d', 'd']);
  });

  it('are told of gaps, and of each change of the status with all that the gateway says', async () => {
    // If this fails: a missing receipt goes unnoticed, or a node that is down shows seconds later than the gateway knew.
    const client = make();
    const seen: StreamCondition[] = [];
    const gaps: unknown[] = [];
    cleanup.push(client.subscribe('receipts', { onStatus: (status) => seen.push(status), onGap: (gap) => gaps.push(gap) }));
    await settle();
    FakeSocket.last.greet().acknowledge().data('receipts', receipts(r('a')), 1);
    FakeSocket.last.data('receipts', receipts(r('x')), 9, { gap: { since: 1, oldest: 8 } });
    expect(gaps).toEqual([{ since: 1, oldest: 8 }]);
    FakeSocket.last.status('receipts', 'stale', { age: 4, error: 'refused', node: 'down', retry_in: 2.5, note: 'the chain is shorter than before' });
    expect(seen.at(-1)).toMatchObject({
      status: 'stale',
      error: 'refused',
      node: 'down',
      retryIn: 2.5,
      retryAt: Date.now() + 2500,
      note: 'the chain is shorter than before',
    });
    expect(client.view('receipts')).toMatchObject({ node: 'down', retryIn: 2.5, note: 'the chain is shorter than before' });
    FakeSocket.last.data('receipts', receipts(r('y')), 10);
    expect(seen.at(-1)).toMatchObject({ status: Status.Live, node: null, retryIn: null, retryAt: null, error: null });
    FakeSocket.last.drop();
    vi.advanceTimersByTime(6000);
    expect(seen.map(({ status }) => status).filter((status, index, all) => status !== all[index - 1])).toEqual([
      'connecting',
      'waiting',
      'live',
      'stale',
      'live',
      'stale',
    ]);
  });

  it('that throw stop nobody else', async () => {
    // If this fails: a mistake in one handler silences the others, or drops the message.
    const client = make();
    const got: unknown[] = [];
    cleanup.push(
      client.subscribe('peers', {
        onData: () => {
          throw new Error('mine');
        },
      }),
      client.subscribe('peers', { onData: (data) => got.push(data) }),
    );
    await settle();
    FakeSocket.last.greet().acknowledge();
    FakeSocket.last.data('peers', { total: 1 }, 1);
    expect(got).toEqual([{ total: 1 }]);
    expect(() => vi.advanceTimersByTime(1)).toThrow('mine');
  });

  it('of a refused stream learn its code', async () => {
    // If this fails: "waiting" for ever, where the gateway said that there is no such stream.
    const client = make();
    const seen: StreamCondition[] = [];
    cleanup.push(client.subscribe('nothing', { onStatus: (status) => seen.push(status) }));
    FakeSocket.last.greet().say({ type: 'error', message: 'unknown stream', code: 'unknown_stream', id: FakeSocket.last.sent[0]?.id });
    expect(seen.at(-1)).toMatchObject({ status: 'refused', refused: 'unknown_stream', error: 'unknown stream' });
  });
});

describe('filter and since', () => {
  it('are sent when all want the same, and applied in any case', async () => {
    // If this fails: one component's filter hides entries from another, or a gateway without filters shows everything.
    const client = make();
    const ads: string[] = [];
    const filter = { market: ['ads', 'energy'] };
    const take = (into: string[]) => (data: { receipts: { id: string }[] }) => void into.push(...data.receipts.map(({ id }) => id));
    cleanup.push(client.subscribe('receipts', { filter, onData: take(ads) as never }));
    await settle();
    FakeSocket.last.greet();
    expect(subscribes()[0]).toMatchObject({ stream: 'receipts', filter });
    FakeSocket.last.acknowledge().data('receipts', receipts(r('1', 'ads'), r('2', 'compute'), r('3', 'energy')), 1);
    FakeSocket.last.data('receipts', receipts(r('4', 'compute')), 2);
    expect(ads).toEqual(['1', '3']);

    const all: string[] = [];
    cleanup.push(client.subscribe('receipts', { onData: take(all) as never }));
    expect(FakeSocket.last.sent.slice(-2)).toMatchObject([{ type: 'unsubscribe' }, { type: 'subscribe', stream: 'receipts' }]);
    expect(subscribes().at(-1)).not.toHaveProperty('filter');
    expect(subscribes().at(-1)).not.toHaveProperty('since');
    FakeSocket.last.acknowledge().data('receipts', receipts(r('1', 'ads'), r('2', 'compute')), 2);
    await settle();
    expect(all).toEqual(['1', '2']);
    FakeSocket.last.data('receipts', receipts(r('5', 'ads'), r('6', 'compute')), 3);
    expect([all, ads]).toEqual([
      ['1', '2', '5', '6'],
      ['1', '3', '5'],
    ]);
  });

  it('compares integers beyond 2^53 exactly', async () => {
    // If this fails: a filter by amount or id takes a neighbour for the value.
    const client = make();
    const got: unknown[] = [];
    cleanup.push(client.subscribe('log', { filter: { id: 18446744073709551615n }, onData: (data) => got.push(data) }));
    await settle();
    FakeSocket.last.greet();
    expect(subscribes()[0]).toBeDefined();
    FakeSocket.last.acknowledge().say('{"type":"log","data":{"rows":[{"id":18446744073709551614},{"id":18446744073709551615}],"count":2},"seq":1}');
    expect(got).toEqual([{ rows: [{ id: 18446744073709551615n }], count: 1 }]);
  });

  it('resumes where the caller was, of the epoch that it knew; later of its own', () => {
    // If this fails: a program that was restarted gets everything again, or another gateway's entries.
    const client = make();
    const since = { seq: 41, epoch: '18446744073709551615' };
    cleanup.push(client.subscribe('receipts', { since, delta: false }));
    const socket = FakeSocket.last;
    let raw = '';
    const { send } = socket;
    socket.send = (text) => {
      raw = text;
      send.call(socket, text);
    };
    socket.greet();
    expect(raw).toContain('"since":41,"epoch":18446744073709551615}');
    expect(subscribes()[0]).not.toHaveProperty('delta');
    socket.acknowledge().data('receipts', receipts(r('a')), 44);
    socket.drop();
    vi.advanceTimersByTime(1000);
    FakeSocket.last.greet();
    expect(subscribes()[0]).toMatchObject({ since: 44, epoch: 'e1' });
  });
});

describe('for await', () => {
  it('yields what comes, skips to the newest snapshot, and leaves with the loop', async () => {
    // If this fails: a script lags ever further behind, or holds its connection for ever.
    const client = make();
    const got: unknown[] = [];
    const loop = (async () => {
      for await (const message of client.stream<{ n: number }>('numbers')) {
        got.push(message.data.n);
        await new Promise((resolve) => setTimeout(resolve, 100));
        if (message.data.n === 5) {
          break;
        }
      }
    })();
    await settle();
    FakeSocket.last.greet().acknowledge().data('numbers', { n: 1 }, 1);
    await settle();
    for (let n = 2; n <= 5; n += 1) {
      FakeSocket.last.data('numbers', { n }, n);
    }
    await vi.advanceTimersByTimeAsync(300);
    await loop;
    expect(got).toEqual([1, 5]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(client.status.state).toBe('idle');
  });

  it('throws what no waiting mends, and ends with its signal', async () => {
    // If this fails: a script hangs on a stream that does not exist.
    const client = make();
    const failing = client.stream('nothing').next();
    FakeSocket.last.greet().say({ type: 'error', message: 'unknown stream', code: 'unknown_stream', id: FakeSocket.last.sent[0]?.id });
    await expect(failing).rejects.toMatchObject({ name: 'BlockcastError', reason: 'refused', code: 'unknown_stream' });

    const abort = new AbortController();
    const ending = client.stream('peers', { signal: abort.signal }).next();
    abort.abort();
    expect(await ending).toEqual({ done: true, value: undefined });
  });

  it('gives every message of a log, and tells when it was too slow', async () => {
    // If this fails: entries are lost in silence in a script that is busy.
    const client = make({ maxEntries: 3 });
    const iterator = client.stream('receipts');
    const first = iterator.next();
    await settle();
    FakeSocket.last.greet().acknowledge();
    for (let seq = 1; seq <= 6; seq += 1) {
      FakeSocket.last.data('receipts', receipts(r(`r${seq}`)), seq);
    }
    const next = async (): Promise<unknown> => {
      const { value } = (await iterator.next()) as { value: { seq: number; gap: unknown } };
      return [value.seq, value.gap];
    };
    expect((await first).value).toMatchObject({ seq: 1, gap: null });
    expect([await next(), await next(), await next()]).toEqual([
      [4, { since: 1, oldest: 4 }],
      [5, null],
      [6, null],
    ]);
    await iterator.return();
  });
});

describe('token', () => {
  it('goes as a subprotocol, asked anew for each connection', async () => {
    // If this fails: no browser can authenticate, or a page is locked out when its token has expired.
    let asked = 0;
    const client = make({ token: async () => `token-${(asked += 1)}` });
    cleanup.push(client.subscribe('peers', {}));
    expect(client.status.state).toBe('connecting');
    expect(FakeSocket.all).toHaveLength(0);
    await settle();
    expect(FakeSocket.last.protocols).toEqual(['blockcast.v1.json', 'bearer.token-1']);
    FakeSocket.last.drop(4401);
    expect(client.status).toMatchObject({ reason: 'unauthorized', state: 'reconnecting' });
    expect(client.condition('peers').status).toBe('unauthorized');
    await vi.advanceTimersByTimeAsync(1000);
    expect(FakeSocket.last.protocols).toEqual(['blockcast.v1.json', 'bearer.token-2']);

    const plain = make({ token: 'fixed' });
    cleanup.push(plain.subscribe('peers', {}));
    expect(FakeSocket.last.protocols).toContain('bearer.fixed');
    plain.setToken('other');
    expect(FakeSocket.last.protocols).toContain('bearer.other');
  });

  it('that cannot be had or sent is told as such', async () => {
    // If this fails: "cannot be reached", where the login is missing.
    const client = make({ token: () => Promise.reject(new Error('not logged in')) });
    cleanup.push(client.subscribe('peers', {}));
    await settle();
    expect(client.status).toMatchObject({ state: 'reconnecting', reason: 'unauthorized', error: 'no token: not logged in' });

    const odd = make({ token: 'a/b=' });
    cleanup.push(odd.subscribe('peers', {}));
    expect(odd.status).toMatchObject({ state: 'disconnected', reason: 'unauthorized' });
    expect(odd.status.error).toContain('a browser cannot send');

    const slow = make({ token: () => new Promise(() => {}) });
    cleanup.push(slow.subscribe('peers', {}));
    await vi.advanceTimersByTimeAsync(10_100);
    expect(slow.status).toMatchObject({ reason: 'timeout', error: 'no token within 10 s' });

    await expect(fetchStream('ws://gateway/ws', 'peers', { token: () => Promise.reject(new Error('not logged in')) })).rejects.toMatchObject({
      reason: 'unauthorized',
      message: 'no token: not logged in',
    });
  });

  it('goes to REST as well, once more with a new one after 401', async () => {
    // If this fails: the fallback is refused where the WebSocket would be let in.
    const sent: unknown[] = [];
    let asked = 0;
    const fetch = async (url: string, init: { headers: Record<string, string> }): Promise<Response> => {
      sent.push([new URL(url).pathname, init.headers.Authorization, init.headers['X-Of']]);
      return init.headers.Authorization === 'Bearer t2'
        ? new Response(JSON.stringify({ type: 'peers', data: { peers: [], total: 7 }, seq: 3, timestamp: 5 }))
        : new Response('{}', { status: 401 });
    };
    const message = await fetchStream('ws://gateway/ws', 'peers', { token: () => `t${(asked += 1)}`, headers: { 'X-Of': 'mine' }, fetch });
    expect(message).toMatchObject({ data: { total: 7 }, seq: 3 });
    expect(sent).toEqual([
      ['/api/streams/peers', 'Bearer t1', 'mine'],
      ['/api/streams/peers', 'Bearer t2', 'mine'],
    ]);
    await expect(fetchStream('ws://gateway/ws', 'peers', { token: 'no', fetch })).rejects.toMatchObject({ reason: 'unauthorized' });
  });
});

describe('what happened', () => {
  const lost = async (fetch: () => Promise<Response>): Promise<StreamClient> => {
    const client = make({ rest: '/api', fetch });
    cleanup.push(client.subscribe('peers', {}));
    FakeSocket.last.drop();
    await settle();
    await settle();
    return client;
  };

  it('is found out by REST, where a browser does not say why', async () => {
    // If this fails: "cannot be reached" for a wrong token, a proxy without WebSocket and a dead gateway alike.
    expect((await lost(async () => new Response('{}', { status: 401 }))).status).toMatchObject({ reason: 'unauthorized' });
    expect((await lost(async () => new Response('{}', { status: 403 }))).status).toMatchObject({ reason: 'forbidden' });
    expect((await lost(async () => new Response('{"streams":[]}'))).status).toMatchObject({ reason: 'blocked' });
    expect((await lost(() => Promise.reject(new TypeError('Failed to fetch')))).status).toMatchObject({
      reason: 'unreachable',
      error: 'the gateway cannot be reached',
    });
  });

  it('is found out as well where no attempt follows', async () => {
    // If this fails: with `reconnect: false` a wrong token is "cannot be reached".
    const client = make({ reconnect: false, rest: '/api', fetch: async () => new Response('{}', { status: 401 }) });
    cleanup.push(client.subscribe('peers', {}));
    FakeSocket.last.drop();
    await settle();
    await settle();
    expect(client.status).toMatchObject({ state: 'disconnected', reason: 'unauthorized' });
  });

  it('is what the platform says, where it says it', () => {
    // If this fails: a script in Node.js says "cannot be reached" to a 401.
    const client = make();
    cleanup.push(client.subscribe('peers', {}));
    FakeSocket.last.drop(1006, '', 'Unexpected server response: 401');
    expect(client.status).toMatchObject({ reason: 'unauthorized' });
    client.retry();
    FakeSocket.last.drop(1006, '', 'connect ECONNREFUSED 127.0.0.1:1');
    expect(client.status).toMatchObject({ reason: 'unreachable', error: 'the gateway cannot be reached: connect ECONNREFUSED 127.0.0.1:1' });
  });

  it('is final where no WebSocket is, unless REST was named', async () => {
    // If this fails: Node.js 20 tries a thing for ever that it does not have.
    globalThis.WebSocket = undefined as unknown as typeof WebSocket;
    const client = make();
    cleanup.push(client.subscribe('peers', {}));
    expect(client.status).toMatchObject({ state: 'disconnected', reason: 'unsupported', retryAt: null });
    const polling = make({
      rest: 'http://gateway/api',
      fetch: async (url) => new Response(url.endsWith('/streams') ? '{"streams":[{"name":"peers","seq":1,"state":"live"}]}' : '{"data":{"total":2},"seq":1}'),
    });
    cleanup.push(polling.subscribe('peers', {}));
    await vi.advanceTimersByTimeAsync(100);
    expect(polling.status).toMatchObject({ state: 'polling', connected: true });
    expect(polling.view('peers').data).toEqual({ total: 2 });
  });
});

describe('the address of REST', () => {
  it('is that of the port beside, when a gateway has one for WebSocket alone', async () => {
    // If this fails: behind a proxy that blocks WebSocket nothing comes at ws://localhost:8080, the address of the README.
    const asked: string[] = [];
    const client = new StreamClient({
      url: 'ws://localhost:8080',
      random: () => 0.5,
      fetch: async (url) => {
        asked.push(url);
        if (!url.includes(':8000/')) {
          return new Response('', { status: 404 });
        }
        return new Response(url.endsWith('/streams') ? '{"streams":[{"name":"peers","seq":1,"state":"live"}]}' : '{"data":{"total":2},"seq":1}');
      },
    });
    cleanup.push(client.subscribe('peers', {}));
    for (let attempt = 0; attempt < 3; attempt += 1) {
      FakeSocket.last.drop();
      await vi.advanceTimersByTimeAsync(2000);
    }
    expect(client.status.state).toBe('polling');
    expect(client.view('peers').data).toEqual({ total: 2 });
    expect(asked.slice(0, 2)).toEqual(['http://localhost:8080/api/streams', 'http://localhost:8000/api/streams']);
  });
});

describe('call', () => {
  it('asks by JSON-RPC, every digit kept, and throws what the node says', async () => {
    // If this fails: a balance loses its last digits, or an error looks like an answer.
    const sent: [string, string][] = [];
    const answers = ['{"jsonrpc":"2.0","id":1,"result":18446744073709551615}', '{"id":2,"error":{"code":-32601,"message":"method not found"}}'];
    const client = make({
      fetch: async (url, init: { body: string }) => {
        sent.push([url, init.body]);
        const answer = answers.shift();
        return answer === undefined ? new Response('no', { status: 404 }) : new Response(answer);
      },
    });
    expect(await client.call('balance', [18446744073709551614n])).toBe(18446744073709551615n);
    expect(sent[0]?.[0]).toBe('http://gateway/rpc');
    expect(sent[0]?.[1]).toContain('"params":[18446744073709551614]');
    await expect(client.call('nope')).rejects.toMatchObject({ reason: 'rpc', code: -32601, message: 'nope: method not found' });
    const none = await client.call('any').catch((error: unknown) => error);
    expect(none).toBeInstanceOf(BlockcastError);
    expect(none).toMatchObject({ reason: 'unsupported', message: 'this gateway has no JSON-RPC at http://gateway/rpc (HTTP 404)' });
  });
});

describe('options', () => {
  it('of later callers that differ are reported, once; those that nobody gave before are taken', () => {
    // If this fails: a component's options do nothing, and nobody knows why.
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const client = sharedClient('ws://one', { reconnectInterval: 3000 });
    sharedClient('ws://one', { pingAfter: 7000 });
    expect(client.option('pingAfter')).toBe(7000);
    sharedClient('ws://one', { reconnectInterval: 3000, token: () => 'a' });
    sharedClient('ws://one', { token: () => 'b' });
    expect(warn).not.toHaveBeenCalled();
    sharedClient('ws://one', { reconnectInterval: 500 });
    sharedClient('ws://one', { reconnectInterval: 500 });
    // A server, which never connects, has a page for each user and says nothing.
    expect(warn).not.toHaveBeenCalled();
    cleanup.push(client.hold());
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/ws:\/\/one\/ has reconnectInterval: 3000; reconnectInterval: 500 of a later caller has no effect/)]]);

    // No secret goes to a console.
    const other = sharedClient('ws://two', { token: 'secret-one' });
    cleanup.push(other.subscribe('peers', {}));
    sharedClient('ws://two', { token: 'secret-two' });
    expect(String(warn.mock.calls.at(-1))).not.toContain('secret');
  });

  it('keeps a page of one’s own', () => {
    // If this fails: an app that is no browser cannot let go in the background.
    let hidden = false;
    let changed = (): void => {};
    const page: Page = { hidden: () => hidden, watch: (listener) => ((changed = listener), () => {}) };
    const client = make({ page, hiddenTimeout: 1000 });
    cleanup.push(client.subscribe('peers', {}));
    FakeSocket.last.greet();
    hidden = true;
    changed();
    vi.advanceTimersByTime(1100);
    expect(client.status.state).toBe('paused');
    hidden = false;
    changed();
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('sends headers where the platform can', () => {
    // If this fails: Node.js and React Native cannot send what a proxy asks for.
    class Ws extends FakeSocket {}
    const client = make({ webSocket: Ws, headers: { 'X-Of': 'mine' }, token: 'abc' });
    cleanup.push(client.subscribe('peers', {}));
    expect(FakeSocket.last.options).toEqual({ headers: { 'X-Of': 'mine' } });
    expect(FakeSocket.last.protocols).toEqual(['blockcast.v1.json', 'bearer.abc']);
  });
});

describe('shared clients', () => {
  it('that nobody uses are forgotten when they are many, and those in use are not', () => {
    // If this fails: a server that renders pages of many addresses grows until it dies.
    const used = sharedClient('ws://used');
    cleanup.push(used.subscribe('peers', {}));
    for (let index = 0; index < 1000; index += 1) {
      sharedClient(`ws://host-${index}`);
    }
    expect(sharedClient('ws://used')).toBe(used);
    const owner = globalThis as unknown as Record<symbol, { clients: Map<string, unknown> }>;
    expect(owner[Symbol.for('blockcast-web.clients')]?.clients.size).toBeLessThanOrEqual(102);
  });
});
