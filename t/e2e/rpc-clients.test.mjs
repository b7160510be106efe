// Chain libraries on blockcast_rpc, which take it for the node itself: the same script against anvil's own
// WebSocket and against /rpc, with the same results. If this fails, wallets and dapps do not work through
// the gateway.

import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import WebSocket from 'ws';
import { ethers } from 'ethers';
import { createPublicClient, webSocket as viemWs } from 'viem';
import { Web3 } from 'web3';
import { WsProvider } from '@polkadot/rpc-provider';
import { Client as RpcWebSockets } from 'rpc-websockets';
import jayson from 'jayson/promise/index.js';
import { PollingBlockTracker } from '@metamask/eth-block-tracker';
import { sleep, until, world } from './lib/rpc-world.mjs';

const key = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
const account = new ethers.Wallet(key);
// emits one log without data, whose only topic is the first word of the call's data
const emitter = '0x6860003560006000a10060005260096017f3';
const topic = n => ethers.zeroPadValue(ethers.toBeHex(n), 32);

let w;
let address;

before(async () => {
    w = await world();
    const nonce = await w.anvil.call('eth_getTransactionCount', [account.address, 'latest']);
    const hash = await send({ data: emitter, gasLimit: 200000n, nonce: Number(nonce) });
    ({ contractAddress: address } = await until('the contract',
        () => w.anvil.call('eth_getTransactionReceipt', [hash])));
});

after(async () => {
    assert.deepEqual(await w.stop(), []);
    // a library may keep a timer for a connection that it has been told to leave
    setTimeout(() => process.exit(), 2000).unref();
});

async function signed(tx) {
    const nonce = tx.nonce ?? Number(await w.anvil.call('eth_getTransactionCount', [account.address, 'pending']));
    return account.signTransaction({ chainId: 31337, type: 2, gasLimit: 100000n,
        maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n, ...tx, nonce });
}

const send = async tx => w.anvil.call('eth_sendRawTransaction', [await signed(tx)]);
const emit = n => send({ to: address, data: topic(n) });

// A plain WebSocket client that speaks JSON-RPC and keeps what comes.
async function raw(url, options = {}) {
    const ws = new WebSocket(url, options);
    await new Promise((resolve, reject) => { ws.on('open', resolve); ws.on('error', reject); });
    const c = { ws, texts: [], n: 0, closed: null };
    ws.on('message', data => c.texts.push(String(data)));
    ws.on('close', code => { c.closed = code; });
    c.all = () => c.texts.map(t => JSON.parse(t));
    c.call = async (method, params = []) => {
        const id = ++c.n;
        ws.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
        return until(method, () => c.all().find(m => m.id === id));
    };
    c.notes = id => c.all().filter(m => m.params?.subscription === id).map(m => m.params.result);
    return c;
}

// ------------------------------------------------------------------------- what each library is asked to do

const scripts = {
    async ethers(url) {
        const p = new ethers.WebSocketProvider(url);
        try {
            const heads = [];
            p.on('block', n => heads.push(n));
            await until('two blocks', () => heads.length > 1);
            const error = await p.call({ to: '0x0000000000000000000000000000000000000000', data: '0xfe', from: '0x01' })
                .catch(e => e.code ?? e.info?.error?.code);
            return {
                network: String((await p.getNetwork()).chainId),
                consecutive: heads[1] - heads[0],
                genesis: (await p.getBlock(0)).hash,
                code: await p.getCode(address),
                balance: String(await p.getBalance('0x00000000000000000000000000000000000000aa')),
                several: await Promise.all(Array.from({ length: 30 }, (_, i) => p.getStorage(address, i))),
                error: typeof error,
            };
        } finally {
            await p.destroy();
        }
    },

    async viem(url) {
        const client = createPublicClient({ transport: viemWs(url, { reconnect: false }) });
        const heads = [[], []];
        const errors = [];
        const stop = heads.map(list => client.watchBlocks({
            emitOnBegin: false, onBlock: b => list.push(b.number), onError: e => errors.push(String(e)),
        }));
        await until('blocks for both', () => heads.every(h => h.length > 1));
        stop[0]();
        const at = heads[1].length;
        await until('blocks for the other', () => heads[1].length > at + 1);
        stop[1]();
        const result = {
            errors,
            chain: await client.getChainId(),
            steps: String(heads[1][1] - heads[1][0]),
            code: await client.getCode({ address }),
            missing: await client.request({ method: 'eth_getBlockByHash', params: [topic(7), false] }),
            logs: (await client.getLogs({ address, fromBlock: 0n, toBlock: 1n })).length,
        };
        (await client.transport.getRpcClient()).close();
        return result;
    },

    async web3(url) {
        const web3 = new Web3(url);
        const subs = [await web3.eth.subscribe('newBlockHeaders'), await web3.eth.subscribe('newBlockHeaders')];
        const heads = [[], []];
        subs.forEach((s, i) => s.on('data', b => heads[i].push(b)));
        await until('blocks for both', () => heads.every(h => h.length > 1));
        await subs[0].unsubscribe();
        const at = heads[1].length;
        await until('blocks for the other', () => heads[1].length > at + 1);
        const result = {
            chain: String(await web3.eth.getChainId()),
            step: String(heads[1][1].number - heads[1][0].number),
            parent: heads[1][1].parentHash === heads[1][0].hash,
            fields: Object.keys(heads[1][0]).sort(),
            code: await web3.eth.getCode(address),
        };
        await subs[1].unsubscribe();
        web3.currentProvider.disconnect();
        return result;
    },

    async 'rpc-websockets'(url) {
        const c = new RpcWebSockets(url, { reconnect: false });
        await new Promise((resolve, reject) => { c.on('open', resolve); c.on('error', reject); });
        const heads = [];
        c.on('eth_subscription', p => heads.push(p));
        const id = await c.call('eth_subscribe', ['newHeads']);
        await until('a head', () => heads.length > 0);
        const result = {
            same: heads[0].subscription === id,
            fields: Object.keys(heads[0].result).sort(),
            chain: await c.call('eth_chainId', []),
            left: await c.call('eth_unsubscribe', [id]),
            wrong: await c.call('eth_getBalance', ['no address', 'latest']).catch(e => e.code),
        };
        c.close();
        return result;
    },

    async polkadot(url) {
        const p = new WsProvider(url, false);
        await p.connect();
        await p.isReady;
        const heads = [[], []];
        const ids = await Promise.all(heads.map(list => p.subscribe('eth_subscription', 'eth_subscribe',
            ['newHeads'], (e, r) => list.push(e ?? r.hash))));
        await until('heads for both', () => heads.every(h => h.length > 1));
        await p.unsubscribe('eth_subscription', 'eth_unsubscribe', ids[0]);
        const at = heads[1].length;
        await until('heads for the other', () => heads[1].length > at + 1);
        const result = { distinct: ids[0] !== ids[1], chain: await p.send('eth_chainId', []) };
        await p.disconnect();
        return result;
    },

    async jayson(url) {
        const ws = new WebSocket(url);
        await new Promise(resolve => { ws.on('open', resolve); });
        const client = jayson.Client.websocket({ ws });
        const one = await client.request('eth_chainId', []);
        const batch = await client.request([
            client.request('eth_getBalance', ['0x00000000000000000000000000000000000000aa', 'latest'], undefined, false),
            client.request('eth_nope', [], null, false),
            client.request('eth_getCode', [address, 'latest'], undefined, false),
        ]);
        ws.close();
        return { one: one.result, batch: batch.map(r => r.result ?? typeof r.error.code).sort() };
    },

    async 'eth-block-tracker'(url) {
        const c = await raw(url);
        const listeners = new Set();
        c.ws.on('message', d => {
            const m = JSON.parse(String(d));
            if (m.method) listeners.forEach(f => f(null, m));
        });
        const provider = {
            request: async ({ method, params }) => {
                const r = await c.call(method, params);
                if (r.error) throw Object.assign(new Error(r.error.message), { code: r.error.code });
                return r.result;
            },
            on(event, f) { listeners.add(f.wrapped = (_, m) => f({ method: m.method, params: m.params })); },
            removeListener(event, f) { listeners.delete(f.wrapped); },
            removeAllListeners() { listeners.clear(); },
        };
        const seen = [];
        const tracker = new PollingBlockTracker({ provider, pollingInterval: 200 });
        tracker.on('latest', n => seen.push(Number(n)));
        await until('two blocks', () => seen.length > 1);
        tracker.removeAllListeners();
        await tracker.destroy?.();
        c.ws.close();
        return { grows: seen[1] > seen[0] };
    },
};

for (const [name, script] of Object.entries(scripts)) {
    test(`${name} must find the same behind the gateway as at the node`, { timeout: 120_000 }, async () => {
        const own = await script(w.anvil.ws);
        const ours = await script(w.ws);
        assert.deepEqual(ours, own);
    });
}

// -------------------------------------------------------------------------------------------- byte for byte

test('a head must be the bytes of the node, also compressed, and nothing else may come', async () => {
    for (const perMessageDeflate of [false, true]) {
        const [own, ours] = [await raw(w.anvil.ws), await raw(w.ws, { perMessageDeflate })];
        const ids = [(await own.call('eth_subscribe', ['newHeads'])).result,
            (await ours.call('eth_subscribe', ['newHeads'])).result];
        assert.notEqual(ids[0], ids[1]);
        await until('heads', () => own.notes(ids[0]).length > 2 && ours.notes(ids[1]).length > 2);
        const texts = ours.texts.filter(t => t.includes('eth_subscription'));
        assert.equal(texts.length, ours.texts.length - 1, 'the answer and heads, no more');
        let same = 0;
        for (const text of texts) {
            const { params: { result: { hash } } } = JSON.parse(text);
            const theirs = own.texts.find(t => t.includes(`"result":{"hash":"${hash}"`));
            if (theirs) {
                assert.equal(text.replace(ids[1], ids[0]), theirs);
                same++;
            }
        }
        assert.ok(same > 1, `${same} heads compared`);
        own.ws.close();
        ours.ws.close();
    }
});

test('results and errors must be the bytes of the node, with the id of the client', async () => {
    const post = (url, body) => fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
        .then(r => r.text());
    const requests = ['"\\u0041 b"', '18446744073709551615', '1.50', 'null'].flatMap(id => [
        `{"id":${id},"jsonrpc":"2.0","method":"eth_getBlockByNumber","params":["0x0",true]}`,
        `{"jsonrpc":"2.0","method":"eth_getBalance","params":["nothing","latest"],"id":${id}}`,
        `{"jsonrpc":"2.0","method":"eth_call","params":[{"to":"${address}","data":"0xfe"},"latest"],"id":${id}}`,
    ]);
    for (const request of requests) {
        const id = /"id":("[^"]*"|[^,}]*)/.exec(request)[1];
        // the node itself turns some ids into others: what counts is behind it
        const own = (await post(w.anvil.url, request.replace(`"id":${id}`, '"id":7'))).replace('"id":7', `"id":${id}`);
        assert.equal(await post(w.http, request), own);
        const c = await raw(w.ws);
        c.ws.send(request);
        await until('the answer', () => c.texts.length > 0);
        assert.equal(c.texts[0], own);
        c.ws.close();
    }
});

// --------------------------------------------------------------------------------------------------- logs

test('logs must come by address and topics, and come back removed after a reorganisation', async () => {
    const filters = [{}, { address }, { address: [topic(1).slice(0, 42), address.toUpperCase().replace('0X', '0x')] },
        { topics: [topic(5)] }, { topics: [[topic(5), topic(6)]] }, { topics: [null] }, { topics: [null, null] },
        { address, topics: [topic(6)] }, { address: topic(1).slice(0, 42) }];
    const [own, ours] = [await raw(w.anvil.ws), await raw(w.ws)];
    const ids = [];
    for (const f of filters) {
        ids.push([(await own.call('eth_subscribe', ['logs', f])).result,
            (await ours.call('eth_subscribe', ['logs', f])).result]);
    }
    for (const n of [5, 6, 7]) await emit(n);
    const topics = list => list.map(l => l.topics[0]).sort();
    await until('all logs of the node', () => own.notes(ids[0][0]).length === 3);
    await until('all logs', () => ours.notes(ids[0][1]).length === 3);
    filters.forEach((f, i) => {
        assert.deepEqual(topics(ours.notes(ids[i][1])), topics(own.notes(ids[i][0])), JSON.stringify(f));
    });
    assert.deepEqual(ours.notes(ids[0][1]).map(l => JSON.stringify(l)).sort(),
        own.notes(ids[0][0]).map(l => JSON.stringify(l)).sort());

    const height = await w.anvil.call('eth_blockNumber');
    const depth = Number(height) - Number(ours.notes(ids[0][1])[0].blockNumber) + 1;
    await w.anvil.call('anvil_reorg', [depth, []]);
    await until('the logs as removed', () => ours.notes(ids[3][1]).some(l => l.removed));
    const gone = ours.notes(ids[3][1]).filter(l => l.removed);
    assert.deepEqual(gone.map(l => ({ ...l, removed: false })), ours.notes(ids[3][1]).filter(l => !l.removed).slice(0, 1));
    assert.equal((await ours.call('eth_unsubscribe', [ids[0][1]])).result, true);
    assert.equal((await ours.call('eth_subscribe', ['logs', { topics: 5 }])).error.code, -32602);
    own.ws.close();
    ours.ws.close();
});

test('the hashes of transactions that wait must come', async () => {
    const c = await raw(w.ws);
    const { result: id } = await c.call('eth_subscribe', ['newPendingTransactions']);
    await until('one of some', async () => {
        await emit(9);
        await sleep(300);
        return c.notes(id).length;
    });
    assert.match(c.notes(id)[0], /^0x[0-9a-f]{64}$/);
    c.ws.close();
});

// ---------------------------------------------------------------------------------------- what goes wrong

test('a reload in the middle: each library must go on by itself', { timeout: 120_000 }, async () => {
    const p = new ethers.WebSocketProvider(w.ws);
    p.on('error', () => {});
    p.websocket.onerror = () => {};
    const client = createPublicClient({ transport: viemWs(w.ws, { reconnect: { delay: 200, attempts: 50 } }) });
    const blocks = [];
    const errors = [];
    const stop = client.watchBlocks({ onBlock: b => blocks.push(Number(b.number)), onError: e => errors.push(e) });
    const dot = new WsProvider(w.ws, 200);
    await dot.isReady;
    const heads = [];
    await dot.subscribe('eth_subscription', 'eth_subscribe', ['newHeads'], (e, r) => heads.push(Number(r.number)));
    const rws = new RpcWebSockets(w.ws, { reconnect: true, reconnect_interval: 200, max_reconnects: 0 });
    const open = [];
    rws.on('open', () => open.push(1));
    await until('blocks', () => blocks.length && heads.length && open.length);

    const { ok } = await w.gw.do('reload', { gone: 30 });
    assert.ok(ok, 'the old workers are gone');

    const at = [blocks.length, heads.length];
    await until('heads for polkadot.js again', () => heads.length > at[1] + 1);
    await until('rpc-websockets again', () => open.length > 1);
    assert.equal(await rws.call('eth_chainId', []), '0x7a69');
    assert.equal(await client.getChainId(), 31337);
    rws.close();
    await dot.disconnect();
    stop();
    await p.destroy().catch(() => {});
    (await client.transport.getRpcClient()).close();
});

test('a reorganisation: the heads that replace others must come', async () => {
    const c = await raw(w.ws);
    const { result: id } = await c.call('eth_subscribe', ['newHeads']);
    await until('three heads', () => c.notes(id).length > 3);
    await w.anvil.call('anvil_reorg', [2, []]);
    await until('another block of the same number', () => {
        const list = c.notes(id);
        return list.some((a, i) => list.some((b, j) => i < j && a.number === b.number && a.hash !== b.hash));
    });
    c.ws.close();
});

test('a node that is gone must be told at once, and found again', { timeout: 120_000 }, async () => {
    const c = await raw(w.ws);
    const args = ['0x00000000000000000000000000000000000000aa', 'latest'];
    assert.equal((await c.call('eth_getBalance', args)).result, '0x0');
    await w.anvil.stop();
    const began = Date.now();
    const answers = await Promise.all(Array.from({ length: 50 }, () => c.call('eth_getBalance', args)));
    assert.ok(Date.now() - began < 20_000, `took ${Date.now() - began} ms`);
    answers.forEach(a => {
        assert.equal(a.error.code, -32000);
        assert.match(a.error.message, /no answer from the node: \w+/);
    });
    await w.anvil.start();
    await until('an answer', async () => (await c.call('eth_getBalance', args)).result === '0x0');
    c.ws.close();
});

// ------------------------------------------------------------------------------------- nodes made up here

// A node that answers after `delay` ms; answer(method, params) is the result.
async function made(t, answer, delay = 0) {
    const node = { now: 0, most: 0, asked: {}, gone: 0 };
    const server = http.createServer((req, res) => {
        let body = '';
        node.most = Math.max(node.most, ++node.now);
        res.on('close', () => {
            node.now--;
            if (!res.writableFinished) node.gone++;
        });
        req.on('data', d => { body += d; });
        req.on('end', () => {
            const { id, method, params } = JSON.parse(body);
            node.asked[method] = (node.asked[method] ?? 0) + 1;
            setTimeout(() => res.end(JSON.stringify({ jsonrpc: '2.0', id, result: answer(method, params) ?? null })),
                delay);
        });
    });
    await new Promise(resolve => { server.listen(0, '127.0.0.1', resolve); });
    t.after(() => { server.closeAllConnections(); server.close(); });
    node.url = `http://127.0.0.1:${server.address().port}`;
    return node;
}

test('one who asks much must not hold up the others, and may leave in the middle', { timeout: 120_000 }, async t => {
    const node = await made(t, (method, params) => `${method} ${params}`, 50);
    const g = await world({ url: node.url, workers: 1, preset: '', rpc: 'blockcast_rpc_allow any;' });
    const flood = await raw(g.ws);
    for (let i = 0; i < 400; i++) {
        flood.ws.send(JSON.stringify({ jsonrpc: '2.0', id: i, method: 'costly', params: [i] }));
    }
    const others = await Promise.all(Array.from({ length: 30 }, () => raw(g.ws)));
    await until('the first of them', () => flood.texts.length > 0);
    const answers = await Promise.all(others.map((c, i) => c.call('cheap', [i])));
    answers.forEach((a, i) => assert.equal(a.result, `cheap ${i}`));
    assert.ok(flood.texts.length < 300, `${flood.texts.length} of 400 were before`);
    assert.ok(node.most <= 16 + 30, `${node.most} calls at once`);

    const same = await Promise.all(others.map(c => c.call('same', [])));
    same.forEach(a => assert.equal(a.result, 'same '));
    assert.equal(node.asked.same, 1, 'asked once');
    const changing = await Promise.all(others.slice(0, 5).map(c => c.call('eth_sendRawTransaction', [])));
    changing.forEach(a => assert.equal(a.result, 'eth_sendRawTransaction '));
    assert.equal(node.asked.eth_sendRawTransaction, 5, 'what changes something is asked each time');

    flood.ws.terminate();
    await until('the end of its calls', () => node.now === 0);
    assert.ok(node.asked.costly < 400, `${node.asked.costly} of 400 were asked`);
    assert.equal((await others[0].call('cheap', ['x'])).result, 'cheap x');

    // over HTTP, too: the requests end in the middle of their calls
    const aborts = Array.from({ length: 20 }, (_, i) => {
        const c = new AbortController();
        fetch(g.http, { method: 'POST', signal: c.signal, body: `{"id":1,"method":"slow","params":[${i}]}` })
            .catch(() => {});
        return c;
    });
    await until('calls', () => node.asked.slow > 5);
    aborts.forEach(c => c.abort());
    await until('the end of them', () => node.now === 0);
    others.forEach(c => c.ws.close());
    assert.deepEqual(await g.stop(), []);
});

test('a node that hangs must cost a client its call, and others nothing', { timeout: 120_000 }, async t => {
    let hangs = true;
    const node = await made(t, () => 'x', 0);
    const server = http.createServer((req, res) => {
        if (hangs) return;
        req.resume();
        res.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"rate limited"}}');
    });
    await new Promise(resolve => { server.listen(0, '127.0.0.1', resolve); });
    t.after(() => { server.closeAllConnections(); server.close(); });
    const g = await world({ url: `http://127.0.0.1:${server.address().port}`, workers: 1, preset: '',
        rpc: 'blockcast_rpc_allow any; blockcast_rpc_limit timeout=1s waiting=20 calls=4;' });
    const c = await raw(g.ws);
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => c.call('m', [i])));
    assert.ok(answers.filter(a => a.error.code === -32005).length >= 30, 'no more than 20 wait');
    assert.ok(answers.filter(a => a.error.code === -32000).length >= 4, 'the others are told');
    const began = Date.now();
    assert.equal((await c.call('m', ['again'])).error.code, -32000);
    assert.ok(Date.now() - began < 15_000);
    hangs = false;
    await until('the error of the node', async () => (await c.call('m', [1])).error.message === 'rate limited');
    c.ws.close();
    assert.deepEqual(await g.stop(), []);
    assert.equal(node.now, 0);
});

test('substrate: polkadot.js must get heads, finalized heads and the runtime version', async t => {
    let n = 5;
    const head = i => ({ parentHash: `0x${i}`, number: `0x${i.toString(16)}`, digest: { logs: [] } });
    const node = await made(t, (method, params) => ({
        chain_getHeader: () => head(params.length ? n - 2 : n), chain_getFinalizedHead: () => `0xf${n}`,
        state_getRuntimeVersion: () => ({ specName: 'made', specVersion: 7 }), system_chain: () => 'Made',
    })[method]?.());
    const g = await world({ url: node.url, preset: 'substrate-rpc' });
    const p = new WsProvider(g.ws, false);
    await p.connect();
    await p.isReady;
    const seen = { chain_newHead: [], chain_finalizedHead: [], state_runtimeVersion: [] };
    const ids = [];
    for (const [type, method] of [['chain_newHead', 'chain_subscribeNewHeads'],
        ['chain_newHead', 'chain_subscribeNewHead'], ['chain_finalizedHead', 'chain_subscribeFinalizedHeads'],
        ['state_runtimeVersion', 'state_subscribeRuntimeVersion']]) {
        ids.push(await p.subscribe(type, method, [], (e, r) => seen[type].push(r)));
    }
    await until('the first of each', () => Object.values(seen).every(l => l.length));
    assert.equal(new Set(ids).size, 4);
    n = 6;
    await until('the next head, twice', () => seen.chain_newHead.filter(h => h.number === '0x6').length === 2);
    await until('the next finalized head', () => seen.chain_finalizedHead.some(h => h.number === '0x4'));
    assert.deepEqual(seen.state_runtimeVersion, [{ specName: 'made', specVersion: 7 }]);
    assert.equal(await p.send('system_chain', []), 'Made');
    assert.equal(await p.unsubscribe('chain_newHead', 'chain_unsubscribeNewHeads', ids[0]), true);
    await p.disconnect();
    assert.deepEqual(await g.stop(), []);
});

test('solana and cometbft: their ways to subscribe', async t => {
    let n = 100;
    const grows = setInterval(() => { n++; }, 1000);
    t.after(() => clearInterval(grows));
    const node = await made(t, (method, params) => ({
        getSlot: () => (params[0].commitment === 'finalized' ? n - 32 : n), getBlock: () => ({ parentSlot: n - 1 }),
        block: () => ({ block_id: { hash: `AB${n}` }, block: { header: { height: String(n) } } }),
    })[method]?.());
    let g = await world({ url: node.url, preset: 'solana-rpc' });
    let c = await raw(g.ws);
    const { result: id } = await c.call('slotSubscribe');
    assert.equal(typeof id, 'number');
    await until('two slots', () => c.notes(id).length > 1);
    const { slot } = c.notes(id)[0];
    assert.ok(slot > 100);
    assert.deepEqual(Object.keys(c.notes(id)[0]), ['parent', 'root', 'slot']);
    assert.equal((await c.call('slotUnsubscribe', [id])).result, true);
    c.ws.close();
    assert.deepEqual(await g.stop(), []);

    g = await world({ url: node.url, preset: 'cometbft-rpc' });
    c = await raw(g.ws);
    c.ws.send(`{"jsonrpc":"2.0","id":77,"method":"subscribe","params":{"query":"tm.event='NewBlock'"}}`);
    await until('the answer', () => c.texts.length);
    assert.equal(c.texts[0], '{"jsonrpc":"2.0","id":77,"result":{}}');
    await until('two blocks', () => c.all().filter(m => m.id === 77
        && Number(m.result.data?.value.block.header.height) > slot).length > 1);
    assert.deepEqual((await c.call('unsubscribe', { query: "tm.event='NewBlock'" })).result, {});
    c.ws.close();
    assert.deepEqual(await g.stop(), []);
});
