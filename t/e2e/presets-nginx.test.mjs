// The presets in a real nginx, from a node to a WebSocket client: the simulated node in both dialects,
// and anvil, a real Ethereum node.
//
// lane: waits

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { gateway } from '../lib/gateway.mjs';
import { call, elements } from './lib/preset-engine.mjs';
import { rawMembers } from '../../conf/simnode/world.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const shipped = path.join(here, '../../conf/presets');
const binary = path.join(here, 'node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

// The presets, with the paths of their files and of what they include made absolute: the folder of
// nginx.conf is another one here.
const presets = fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-presets-'));
process.on('exit', () => fs.rmSync(presets, { recursive: true, force: true }));
for (const file of fs.readdirSync(shipped)) {
    fs.writeFileSync(path.join(presets, file), fs.readFileSync(path.join(shipped, file), 'utf8')
        .replace(/^include "presets\/([^"]*)";/mg, `include "$1" {search: "${presets}"};`)
        .replace(/\bpresets\/(?=[a-z-]+\.jq)/g, file.endsWith('.conf') ? `${presets}/` : '$&'));
}

const withPreset = (t, name, options = {}) => gateway(t, {
    workers: 2,
    http: 'blockcast_zone main 32m;\n'
        + fs.readFileSync(path.join(presets, `${name}.conf`), 'utf8'),
    server: `location /ws { blockcast_websocket; } location /api/ { blockcast_api; } ${options.server ?? ''}`,
    ...(options.server ? {} : { node: { seed: 7, ...options.node } }),
});

// A client of some streams: every message as text, by stream. It comes back when it is cut, and asks
// the logs for what it missed.
async function client(t, gw, streams) {
    const c = { messages: Object.fromEntries(streams.map(s => [s, []])), status: {}, open: true, cuts: 0 };
    const last = {};
    const connect = () => new Promise((resolve, reject) => {
        const ws = new WebSocket(`ws://127.0.0.1:${gw.port}/ws`);
        c.ws = ws;
        ws.on('open', () => {
            for (const stream of streams) {
                ws.send(JSON.stringify({ type: 'subscribe', stream, since: last[stream] }));
            }
            resolve();
        });
        ws.on('message', data => {
            const text = String(data);
            const m = JSON.parse(text);
            if (c.messages[m.type]) {
                c.messages[m.type].push(text);
                last[m.type] = m.seq;
                assert.equal(m.gap, undefined, 'nothing was missed');
            } else if (m.type === 'status') {
                c.status[m.stream] = m;
            }
        });
        ws.on('error', reject);
        ws.on('close', () => {
            if (c.open) {
                c.cuts++;
                setTimeout(() => connect().catch(() => { }), 50);
            }
        });
    });
    t.after(() => { c.open = false; c.ws.terminate(); });
    await connect();
    return c;
}

// The entries of a log as texts.
const entries = (c, stream) => c.messages[stream].flatMap(text =>
    elements(rawMembers(rawMembers(text).get('data').text).get(stream).text));
const ids = (c, stream, key = 'id') => entries(c, stream).map(e => JSON.parse(e)[key]);

async function until(what, seconds, f) {
    for (const end = Date.now() + seconds * 1000; ; await sleep(100)) {
        if (await f()) {
            return;
        }
        assert.ok(Date.now() < end, `${what} within ${seconds} s`);
    }
}

const nodeCall = (gw, method, params) =>
    call(`http://127.0.0.1:${gw.nodePort}/`, method, JSON.stringify(params));

test('every stream of both presets must reach a client, with every field', async t => {
    for (const [name, dialect] of [['the-block-seed', 'seed'], ['the-block', 'real']]) {
        const gw = await withPreset(t, name, { node: { dialect } });
        const streams = ['network_metrics', 'markets_health', 'receipts', 'operations', 'peers', 'scheduler'];
        const c = await client(t, gw, streams);
        await until(`${name}: a message of each stream`, 10,
            () => streams.every(s => c.messages[s].length > 0));
        const data = s => JSON.parse(c.messages[s].at(-1)).data;
        assert.deepEqual(Object.keys(data('network_metrics')), ['network_strength', 'block_height',
            'finality_time', 'peer_count', 'tps', 'bandwidth_in', 'bandwidth_out', 'active_connections']);
        assert.equal(data('markets_health').total_markets, 4);
        assert.ok(data('peers').total > 10 && data('receipts').receipts.length > 0);
        await until('network_metrics move', 8, () => c.messages.network_metrics.length >= 3);
        const health = await (await fetch(`http://127.0.0.1:${gw.port}/api/streams`)).json();
        assert.ok(JSON.stringify(health).includes('"live"'));
        assert.deepEqual(Object.values(c.status).filter(s => s.error), []);
        const stats = await gw.node('GET', '/control/stats');
        // the design document's methods have no light.headers: that is asked once
        assert.equal(stats.errors, dialect === 'seed' ? 1 : 0, 'no call that the node does not have');
        assert.ok(Object.values(stats.max_in_flight).every(n => n === 1), JSON.stringify(stats.max_in_flight));
        c.open = false;
        await gw.stop();
    }
});

test('a burst of receipts must reach clients on every worker once, with every digit, across a reload', async t => {
    const gw = await withPreset(t, 'the-block-seed', { node: { dialect: 'seed' } });
    const clients = [];
    for (let i = 0; i < 6; i++) {
        clients.push(await client(t, gw, ['receipts']));
    }
    await until('the first receipts', 10, () => clients.every(c => ids(c, 'receipts').length > 0));
    await gw.node('POST', '/control/receipts', { n: 700 });
    await sleep(3500);
    assert.equal((await gw.do('reload', { gone: 15 })).ok, true);
    await gw.node('POST', '/control/receipts', { n: 300 });
    await sleep(1000);
    const { result } = await nodeCall(gw, 'receipt.audit', { limit: 5000 });
    const all = elements(rawMembers(result).get('receipts').text).reverse();
    const list = all.map(e => JSON.parse(e).id);
    await until('all receipts', 20, () => clients.every(c => ids(c, 'receipts').includes(list.at(-1))));
    const amount = text => /"amount":(\d+)/.exec(text)[1];
    for (const c of clients) {
        assert.ok(c.cuts >= 1, 'the reload cut it');
        const got = ids(c, 'receipts');
        const from = list.indexOf(got[0]);
        assert.ok(from >= 0 && list.length - from >= 1000);
        assert.deepEqual(got.slice(0, list.length - from), list.slice(from));
        assert.deepEqual(entries(c, 'receipts').slice(0, list.length - from).map(amount),
            all.slice(from).map(amount));
        c.open = false;
    }
    assert.ok(all.some(e => BigInt(amount(e)) > 2n ** 63n));
    await gw.stop();
});

test('the pages of the real node\'s energy receipts must all be read, and no call made in vain', async t => {
    const gw = await withPreset(t, 'the-block', { node: { dialect: 'real' } });
    const c = await client(t, gw, ['receipts']);
    await until('the first receipts', 10, () => ids(c, 'receipts').length > 0);
    await gw.node('POST', '/control/receipts', { n: 420, market: 'energy' });
    await gw.node('POST', '/control/receipts', { n: 150, market: 'compute' });
    const stats = await gw.node('GET', '/control/stats');
    const energy = () => entries(c, 'receipts').map(e => JSON.parse(e)).filter(e => e.market === 'energy');
    await until('all of them', 25, () => energy().length >= 420 && c.messages.receipts.length > 2
        && entries(c, 'receipts').filter(e => e.includes('"sequence"')).length >= 150);
    await sleep(3500);
    const got = ids(c, 'receipts');
    assert.equal(new Set(got).size, got.length, 'none twice');
    const { result } = await nodeCall(gw, 'energy.receipts', { page: 1, page_size: 250 });
    const known = new Set(energy().map(e => e.meter_reading_hash));
    for (const r of JSON.parse(result).receipts.slice(0, 150)) {
        assert.ok(known.has(r.meter_reading_hash), 'none missing');
    }
    const sequences = entries(c, 'receipts').map(e => JSON.parse(e).sequence).filter(s => s !== undefined);
    assert.deepEqual(sequences, sequences.map((_, i) => sequences[0] + i), 'in order, without a hole');
    assert.ok(sequences.at(-1) >= stats.settlements - 1);
    const calls = (await gw.node('GET', '/control/stats')).by_method;
    // two polls read two pages and the first one again
    assert.ok(calls['energy.receipts'] <= calls['settlement.audit'] + 9, JSON.stringify(calls));
    c.open = false;
    await gw.stop();
});

test('blocks and transactions of a real Ethereum node must reach a client once, none missing', async t => {
    const child = spawn(binary, ['--block-time', '1', '--port', '0', '--host', '127.0.0.1'],
        { cwd: os.tmpdir() });
    t.after(() => child.kill());
    const url = await new Promise((resolve, reject) => {
        let text = '';
        child.stdout.on('data', d => {
            text += d;
            const m = /Listening on (127\.0\.0\.1:\d+)/.exec(text);
            if (m) resolve(`http://${m[1]}/`);
        });
        child.on('error', reject);
    });
    const rpc = async (method, ...params) =>
        JSON.parse((await call(url, method, JSON.stringify(params))).result);
    const gw = await withPreset(t, 'ethereum', { server: `location = /_node {
        internal; blockcast_node max_reply=8m; proxy_pass ${url}; proxy_http_version 1.1;
        proxy_set_header Connection ""; proxy_set_header Accept-Encoding ""; }` });
    const c = await client(t, gw, ['chain', 'blocks', 'transactions']);
    await until('the first block', 10, () => c.messages.blocks.length > 0 && c.messages.chain.length > 0);

    const [from, to] = await rpc('eth_accounts');
    const sent = [];
    for (let i = 0; i < 12; i++) {
        for (let k = 0; k <= i % 3; k++) {
            sent.push(await rpc('eth_sendTransaction', { from, to, value: '0xde0b6b3a7640001' }));
        }
        if (i === 5) {
            assert.equal((await gw.do('reload', { gone: 15 })).ok, true);
        }
        await sleep(700);
    }
    await until('every transaction', 15, () => ids(c, 'transactions', 'hash').length >= sent.length);
    await sleep(2500);

    const blocks = entries(c, 'blocks').map(e => JSON.parse(e));
    const numbers = blocks.map(b => b.number);
    assert.ok(numbers.length >= 8, `${numbers.length} blocks`);
    assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i), 'in order, without a hole');
    for (const b of blocks) {
        assert.equal((await rpc('eth_getBlockByNumber', `0x${b.number.toString(16)}`, false)).hash, b.hash);
    }
    const transactions = entries(c, 'transactions').map(e => JSON.parse(e));
    assert.deepEqual(transactions.map(x => x.hash).sort(), sent.sort());
    assert.ok(transactions.every(x => x.status === 1 && x.gas_used === 21000
        && x.value === '1000000000000000001' && x.from === from && x.to === to));
    const chain = JSON.parse(c.messages.chain.at(-1)).data;
    assert.equal(chain.chain_id, 31337);
    assert.ok(chain.height >= numbers.at(-1) - 3 && chain.height <= numbers.at(-1) + 3);
    assert.equal(chain.peer_count, null, 'anvil does not have net_peerCount');
    assert.ok(c.cuts >= 1, 'the reload cut the client');
    c.open = false;
    await gw.stop();
});
