// Subprotocols, with real clients that know nothing of this server: `ws`, `cborg`, `ethers`, `eventsource`.
// If this fails, a chain library or a CBOR client cannot be pointed at the gateway.

import test, { before, after, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import * as cborg from 'cborg';
import EventSource from 'eventsource';
import { ethers } from 'ethers';
import { gateway } from '../lib/gateway.mjs';

let gw;
const clients = [];
const cleanup = () => clients.splice(0).forEach(c => (c.terminate ?? c.close).call(c));

before(async () => {
    gw = await gateway(null, {
        workers: 2,
        node: { dialect: 'seed' },
        http: `
            blockcast_zone main 8m;
            blockcast_stream big { blockcast_interval 100ms; blockcast_call c test.big; }
            blockcast_stream receipts {
                blockcast_interval 100ms;
                blockcast_call c receipt.audit 'params={"limit":50}';
                blockcast_jq '{receipts: (.results.c.receipts | reverse
                    | map(. + {id: (.id // "\\(.market)-\\(.block_height)-\\(.timestamp)-\\(.provider)")}))}';
                blockcast_log receipts key=id;
            }`,
        server: `
            location /ws { blockcast_websocket; }
            location /chain { blockcast_websocket; blockcast_protocol jsonrpc; }
            location /events { blockcast_sse; }
            location /api/ { blockcast_api; }`,
    });
    await set('{"n":1}');
});

afterEach(cleanup);
after(() => gw?.stop());

const set = text => fetch(`http://127.0.0.1:${gw.nodePort}/control/set`, {
    method: 'POST', body: `{"method":"test.big","result":${text}}`,
}).then(r => assert.equal(r.status, 200));

// A client that keeps what comes and lets one wait for it.
function client(protocols, { path = '/ws', ...options } = {}) {
    const ws = new WebSocket(`ws://127.0.0.1:${gw.port}${path}`, protocols, options);
    const c = { ws, all: [], waiting: [] };
    clients.push(ws);
    ws.on('message', (data, binary) => {
        c.all.push({ data, binary });
        c.waiting.splice(0).forEach(f => f());
    });
    c.open = new Promise((resolve, reject) => { ws.on('open', resolve); ws.on('error', reject); });
    c.next = async (what, f) => {
        const end = Date.now() + 10_000;
        for (let i = 0; ; i++) {
            while (i >= c.all.length) {
                assert.ok(Date.now() < end, `${what} came`);
                await new Promise(resolve => { c.waiting.push(resolve); setTimeout(resolve, 200); });
            }
            const m = f(c.all[i]);
            if (m) {
                c.all.splice(0, i + 1);
                return m;
            }
        }
    };
    return c;
}

const json = c => (what, f) => c.next(what, ({ data }) => {
    const m = JSON.parse(data);
    return f(m) && m;
});
// bignums (tag 2), which cborg leaves to its user
const tags = [];
tags[2] = bytes => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const cbor = c => (what, f) => c.next(what, ({ data, binary }) => {
    assert.ok(binary, 'CBOR comes in binary frames');
    const m = cborg.decode(data, { allowBigInt: true, tags });
    return f(m) && m;
});

test('the client\'s order decides, what is not known is not echoed', async () => {
    for (const [asked, got] of [
        [['blockcast.v1.json'], 'blockcast.v1.json'], [['blockcast.v1.cbor'], 'blockcast.v1.cbor'], [['jsonrpc'], 'jsonrpc'],
        [['blockcast.v1.cbor', 'blockcast.v1.json'], 'blockcast.v1.cbor'],
        [['blockcast.v1.json', 'blockcast.v1.cbor'], 'blockcast.v1.json'],
        [['graphql-ws', 'jsonrpc', 'blockcast.v1.json'], 'jsonrpc'], [[], ''],
    ]) {
        const c = client(asked);
        await c.open;
        assert.equal(c.ws.protocol, got, `${asked}`);
        c.ws.terminate();
    }
    // ws itself refuses a server that answers none of what it asked for; a server must not invent one
    for (const asked of [['graphql-ws'], ['BLOCKCAST.V1.JSON'], ['blockcast.v1'], ['blockcast.v1.jsonx', 'mqtt']]) {
        const c = client(asked);
        await assert.rejects(c.open, /Server sent no subprotocol/, `${asked}`);
    }
});

test('the JSON messages under their name', async () => {
    const c = client(['blockcast.v1.json']);
    const next = json(c);
    assert.equal((await next('welcome', m => m.type === 'welcome')).protocol, 1);
    c.ws.send('{"type":"subscribe","stream":"big"}');
    assert.deepEqual((await next('data', m => m.type === 'big')).data, { n: 1 });
    c.ws.send(cborg.encode({ type: 'ping' }));
    assert.equal((await next('error', m => m.type === 'error')).code, 'invalid_json');
    c.ws.terminate();
});

test('CBOR carries the same messages, both ways, integers exactly', async () => {
    for (const perMessageDeflate of [false, true]) {
        const c = client(['blockcast.v1.cbor'], { perMessageDeflate });
        const other = client(['blockcast.v1.json']);
        const next = cbor(c);
        const nextOther = json(other);
        const welcome = await next('welcome', m => m.type === 'welcome');
        assert.deepEqual(welcome.available_streams, ['big', 'receipts']);
        assert.deepEqual(Object.keys(welcome), ['type', 'message', 'timestamp', 'available_streams', 'epoch', 'protocol']);

        c.ws.send(cborg.encode({ type: 'subscribe', stream: 'big', id: 18446744073709551615n }));
        assert.equal((await next('subscribed', m => m.type === 'subscribed')).id, 18446744073709551615n);
        await other.open;
        other.ws.send('{"type":"subscribe","stream":"big"}');
        await next('data', m => m.type === 'big');

        const rows = Array.from({ length: 50 }, (_, i) => `{"name":"row ${i}","even":${i % 2 === 0}}`);
        await set(`{"u64":18446744073709551615,"i64":-9223372036854775808,"big":340282366920938463463374607431768211455,`
            + `"float":0.1,"e":1e300,"zero":0,"no":null,"text":"\\u00e9\\ud83d\\ude00 \\"","rows":[${rows}],"deflate":${perMessageDeflate}}`);
        const m = await next('the change', d => d.type === 'big' && d.data.deflate === perMessageDeflate);
        assert.equal(m.data.u64, 18446744073709551615n);
        assert.equal(m.data.i64, -9223372036854775808n);
        assert.equal(m.data.float, 0.1);
        assert.equal(m.data.e, 1e300);
        assert.equal(m.data.text, 'é😀 "');
        assert.equal(m.data.big, 340282366920938463463374607431768211455n);

        // but for what JSON.parse() cannot hold, the same
        const { u64, i64, big, ...rest } = m.data;
        const text = await nextOther('the same as JSON', d => d.type === 'big' && d.seq === m.seq);
        const { u64: u, i64: i, big: b, ...same } = text.data;
        assert.deepEqual(rest, same);
        assert.deepEqual(Object.keys(m), Object.keys(text));
        assert.deepEqual([m.timestamp, m.seq], [text.timestamp, text.seq]);

        c.ws.send(cborg.encode({ type: 'subscribe', stream: 'receipts' }));
        const page = await next('the log', d => d.type === 'receipts');
        assert.equal(page.data.count, page.data.receipts.length);
        c.ws.send(cborg.encode({ type: 'unsubscribe', stream: 'big' }));
        await next('unsubscribed', d => d.type === 'unsubscribed');

        c.ws.send(cborg.encode({ type: 'subscribe', stream: 'nosuch', id: 'x' }));
        const error = await next('an error', d => d.type === 'error');
        assert.equal(error.code, 'unknown_stream');
        assert.equal(error.id, 'x');
        for (const bad of ['ff', 'a1', 'a16474797065', '820102', 'fb7ff0000000000000', 'a10102', 'f5f5']) {
            c.ws.send(Buffer.from(bad, 'hex'));
            assert.match((await next('an error', d => d.type === 'error')).code, /invalid_cbor|invalid_json|unknown_type/, bad);
        }
        c.ws.send('{"type":"ping","id":1}');
        assert.equal((await next('pong', d => d.type === 'pong')).id, 1, 'JSON in a text frame is understood');
        c.ws.terminate();
        other.ws.terminate();
    }
});

test('JSON-RPC: calls, notifications, errors with their codes', async () => {
    const c = client(['jsonrpc']);
    const next = json(c);
    await c.open;
    const call = async request => {
        c.ws.send(typeof request === 'string' ? request : JSON.stringify(request));
        return next('an answer', m => 'id' in m);
    };
    const rpc = (method, params, id = 7) => call({ jsonrpc: '2.0', id, method, params });

    const id = (await rpc('subscribe', ['big'])).result;
    assert.match(id, /^0x[0-9a-f]+$/);
    const n = await next('a notification', m => m.method);
    assert.equal(n.jsonrpc, '2.0');
    assert.equal(n.method, 'eth_subscription');
    assert.equal(n.params.subscription, id);
    assert.equal(n.params.result.type, 'big');
    assert.equal('id' in n, false);
    const { seq } = n.params.result;
    await set('{"n":2}');
    const n2 = await next('the next', m => m.method);
    assert.equal(n2.params.result.seq, seq + 1);
    assert.deepEqual(n2.params.result.data, { n: 2 });

    assert.equal((await rpc('eth_subscribe', ['big'])).result, id, 'the same again');
    const log = (await rpc('eth_subscribe', ['receipts', { since: 0 }])).result;
    const entries = await next('the log', m => m.params?.subscription === log && m.params.result.data);
    assert.equal(entries.params.result.type, 'receipts');
    assert.deepEqual((await rpc('streams')).result, ['big', 'receipts']);
    assert.equal((await rpc('ping')).result, 'pong');
    assert.match((await rpc('web3_clientVersion')).result, /^blockcast\//);
    assert.equal((await rpc('eth_unsubscribe', [log])).result, true);
    assert.equal((await rpc('unsubscribe', [log])).result, false);
    assert.equal((await rpc('unsubscribe', { subscription: id })).result, true);
    assert.equal((await rpc('unsubscribe', ['0xffffffffffffffffffff'])).result, false);
    assert.equal((await rpc('unsubscribe', [''])).result, false);
    assert.equal((await rpc('blockcast_subscribe', { stream: 'big' })).result, id, 'by name');

    for (const [request, code, back] of [
        ['{', -32700, null], ['"text"', -32600, null], ['7', -32600, null], ['[]', -32600, null],
        ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, null], ['{"id":1,"method":"ping"}', -32600, 1],
        ['{"jsonrpc":"1.0","id":"a","method":"ping"}', -32600, 'a'], ['{"jsonrpc":"2.0","id":2}', -32600, 2],
        ['{"jsonrpc":"2.0","id":3,"method":7}', -32600, 3],
        ['{"jsonrpc":"2.0","id":4,"method":"eth_call","params":[]}', -32601, 4],
        ['{"jsonrpc":"2.0","id":5,"method":"subscribe"}', -32602, 5],
        ['{"jsonrpc":"2.0","id":6,"method":"subscribe","params":[]}', -32602, 6],
        ['{"jsonrpc":"2.0","id":7,"method":"subscribe","params":["nosuch"]}', -32602, 7],
        ['{"jsonrpc":"2.0","id":8,"method":"subscribe","params":["receipts",{"since":-1}]}', -32602, 8],
        ['{"jsonrpc":"2.0","id":9,"method":"unsubscribe","params":[1]}', -32602, 9],
        ['{"jsonrpc":"2.0","id":18446744073709551615,"method":"no"}', -32601, 18446744073709551615],
    ]) {
        const m = await call(request);
        assert.equal(m.error?.code, code, request);
        assert.equal(m.id, back, request);
        assert.equal(m.jsonrpc, '2.0');
        assert.ok(m.error.message.length > 5);
    }
    c.ws.send(Buffer.from('a0', 'hex'));
    assert.equal((await next('an error', m => m.error)).error.code, -32700, 'a binary frame is no request');

    // a notification has no answer
    c.ws.send('{"jsonrpc":"2.0","method":"subscribe","params":["receipts"]}');
    c.ws.send('{"jsonrpc":"2.0","method":"nosuch"}');
    assert.equal((await rpc('ping', [], 'after')).id, 'after');
    await next('what it subscribed', m => m.params?.subscription === log);
    c.ws.terminate();
});

test('ethers, a chain library', async () => {
    // as it is, it names no subprotocol: blockcast_protocol says what is spoken then
    for (const url of [() => `ws://127.0.0.1:${gw.port}/chain`, () => () => new WebSocket(`ws://127.0.0.1:${gw.port}/ws`, 'jsonrpc')]) {
        const network = ethers.Network.from(1);
        const provider = new ethers.WebSocketProvider(url(), network, { staticNetwork: network });
        const got = [];
        let wake = () => { };
        const subscriber = new ethers.SocketSubscriber(provider, ['big']);
        subscriber._emit = async (_, message) => { got.push(message); wake(); };
        subscriber.start();
        const until = async f => {
            for (const end = Date.now() + 10_000; !f();) {
                assert.ok(Date.now() < end, `messages come: ${JSON.stringify(got)}`);
                await new Promise(resolve => { wake = resolve; setTimeout(resolve, 100); });
            }
        };
        await until(() => got.length > 0);
        assert.equal(got[0].type, 'big');
        const mark = Math.floor(Math.random() * 1e9);
        await set(`{"mark":${mark}}`);
        await until(() => got.some(m => m.data.mark === mark));
        assert.match(await provider.send('web3_clientVersion', []), /^blockcast/);
        await assert.rejects(provider.send('eth_subscribe', ['nosuch']), e => /unknown stream/.test(JSON.stringify(e.error ?? e.message)));
        subscriber.stop();
        await provider.destroy();
    }
});

test('EventSource resumes a log by itself when its connection is cut', async () => {
    const source = new EventSource(`http://127.0.0.1:${gw.port}/events?streams=receipts`);
    clients.push(source);
    const ids = [];
    let errors = 0;
    const until = async (what, f, s = 20) => {
        for (const end = Date.now() + s * 1000; !f(); await new Promise(r => { setTimeout(r, 50); })) {
            assert.ok(Date.now() < end, `${what}, after ${ids.length} receipts, ${errors} errors`);
        }
    };
    source.onmessage = e => {
        const m = JSON.parse(e.data);
        if (m.type === 'receipts') {
            assert.equal(m.gap, undefined);
            ids.push(...m.data.receipts.map(r => r.id));
        }
    };
    source.onerror = () => { errors++; };
    await until('a first page', () => ids.length > 0);
    const before = ids.length;
    await gw.do('reload', { gone: 15 });
    await gw.node('POST', '/control/receipts', { n: 30 });
    await until('it came back', () => errors > 0 && ids.length >= before + 30);
    source.close();
    assert.equal(new Set(ids).size, ids.length, 'none comes twice');
    const rest = await fetch(`http://127.0.0.1:${gw.port}/api/receipts?limit=${ids.length}`).then(r => r.json());
    const kept = new Set(ids);
    const newest = rest.receipts.findIndex(r => r.id === ids.at(-1));
    const oldest = rest.receipts.findIndex(r => r.id === ids[0]);
    const missing = rest.receipts.slice(newest, oldest < 0 ? undefined : oldest + 1).filter(r => !kept.has(r.id));
    assert.deepEqual(missing, [], 'none is missing');
});
