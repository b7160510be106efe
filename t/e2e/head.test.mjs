// The head of a real Ethereum node (anvil), with the preset as it is shipped, but polled once in ten minutes:
// what is shown is what the node's own notification or a hook's poke has brought. If this fails, a visitor
// sees blocks late, or none after the node was restarted.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { gateway } from '../lib/gateway.mjs';
import { call } from './lib/preset-engine.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const shipped = path.join(here, '../../conf/presets');
const binary = path.join(here, 'node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

const presets = fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-head-'));
process.on('exit', () => fs.rmSync(presets, { recursive: true, force: true }));
for (const file of fs.readdirSync(shipped)) {
    fs.writeFileSync(path.join(presets, file), fs.readFileSync(path.join(shipped, file), 'utf8')
        .replace(/^include "presets\/([^"]*)";/mg, `include "$1" {search: "${presets}"};`)
        .replace(/\bpresets\/(?=[a-z-]+\.jq)/g, file.endsWith('.conf') ? `${presets}/` : '$&'));
}

const rare = fs.readFileSync(path.join(presets, 'ethereum.conf'), 'utf8')
    .replace(/^ *blockcast_stale .*\n/mg, '')
    .replace(/blockcast_interval .*;/g, 'blockcast_interval 10m; blockcast_stale 30m;');

async function until(what, f) {
    const end = Date.now() + 60000;
    for (;;) {
        const value = await f();
        if (value) return value;
        if (Date.now() > end) throw new Error(`not within a minute: ${what}`);
        await sleep(20);
    }
}

// anvil that mines when it is told to; start() again is a new chain at the same port.
async function anvil(t) {
    const node = { port: 20000 + Math.floor(Math.random() * 12000) };
    const url = () => `http://127.0.0.1:${node.port}/`;
    node.rpc = async (method, ...params) => {
        const { result, error } = await call(url(), method, JSON.stringify(params), 20000);
        assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
        return JSON.parse(result);
    };
    node.start = async () => {
        node.child = spawn(binary, ['--no-mining', '--port', String(node.port), '--silent'], { stdio: 'ignore' });
        await until('anvil answers', async () => {
            const { result } = await call(url(), 'eth_chainId', '[]', 2000).catch(() => ({}));
            return result;
        });
    };
    node.kill = () => new Promise(resolve => {
        node.child.on('exit', resolve);
        node.child.kill('SIGKILL');
    });
    t.after(() => node.child.kill('SIGKILL'));
    await node.start();
    return node;
}

async function client(t, gw, streams) {
    const c = Object.fromEntries(streams.map(s => [s, []]));
    const ws = new WebSocket(`ws://127.0.0.1:${gw.port}/ws`);
    ws.on('message', data => {
        const m = JSON.parse(String(data));
        c[m.type]?.push(m.data);
    });
    await new Promise((resolve, reject) => { ws.on('open', resolve); ws.on('error', reject); });
    ws.send(JSON.stringify({ type: 'subscribe', streams }));
    t.after(() => ws.terminate());
    return c;
}

const gatewayOf = (t, node, head) => gateway(t, {
    workers: 2,
    http: `blockcast_zone main 32m;\nupstream anvil { server 127.0.0.1:${node.port} max_fails=0; keepalive 16; }\n${rare}`,
    server: `location /ws { blockcast_websocket; } location /api/ { blockcast_api; } location = /poke { blockcast_poke; }
        location = /_node { internal; blockcast_node max_reply=16m; ${head ? `blockcast_head ws://127.0.0.1:${node.port}; ` : ''}
            proxy_pass http://anvil/; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_connect_timeout 2s; }`,
});

const nodeOf = async gw => (await (await fetch(`http://127.0.0.1:${gw.port}/api/health`)).json()).nodes[0];
const numbers = c => c.blocks.flatMap(d => d.blocks).map(b => b.number);

test('each block of anvil is there because anvil says so, also after it was killed', async t => {
    const node = await anvil(t);
    const gw = await gatewayOf(t, node, true);

    await until('the head is connected', async () => (await nodeOf(gw)).head.state === 'connected');
    const c = await client(t, gw, ['chain', 'blocks', 'transactions']);
    await until('the first data', () => c.chain.length && c.blocks.length);

    for (let i = 1; i <= 20; i++) {
        await node.rpc('evm_mine');
        await until(`block ${i}`, () => c.chain.at(-1).height === i && numbers(c).at(-1) === i);
    }
    assert.deepEqual(numbers(c), Array.from({ length: 21 }, (_, i) => i), 'each block once, in order');

    // many at once: what is folded is caught up
    await node.rpc('anvil_mine', '0x32');
    await until('fifty more', () => numbers(c).at(-1) === 70);
    assert.deepEqual(numbers(c), Array.from({ length: 71 }, (_, i) => i), 'each block once, in order');

    const [from, to] = await node.rpc('eth_accounts');
    await node.rpc('eth_sendTransaction', { from, to, value: '0x1' });
    await node.rpc('evm_mine');
    await until('a transaction', () => c.transactions.flatMap(d => d.transactions).length === 1);

    await node.kill();
    await until('the head is lost', async () => (await nodeOf(gw)).head.state === 'lost');
    assert.match((await nodeOf(gw)).head.error, /closed the connection|cannot be reached/);

    await node.start();
    await until('connected again', async () => (await nodeOf(gw)).head.state === 'connected');
    await until('the new chain', () => c.chain.at(-1).height === 0);
    await node.rpc('evm_mine');
    await until('its first block', () => c.chain.at(-1).height === 1);
    assert.equal((await nodeOf(gw)).head.connects, 2);
});

test('a flood of pokes is not passed on, and the newest block is there', async t => {
    const node = await anvil(t);
    const gw = await gatewayOf(t, node, false);

    const c = await client(t, gw, ['chain', 'blocks']);
    await until('the first data', () => c.chain.length && c.blocks.length);

    const before = (await nodeOf(gw)).calls;
    const start = Date.now();
    let stop = false;
    let pokes = 0;
    const flood = async () => {
        while (!stop) {
            const r = await fetch(`http://127.0.0.1:${gw.port}/poke?stream=chain`, { method: 'POST' });
            assert.equal(r.status, 202);
            const { streams } = await r.json();
            assert.deepEqual(streams, [{ name: 'chain', poked: true }]);
            pokes++;
        }
    };
    const floods = Array.from({ length: 8 }, flood);
    for (let i = 1; i <= 10; i++) {
        await node.rpc('evm_mine');
        await until(`block ${i}`, () => c.chain.at(-1).height === i);
    }
    await sleep(1000);
    stop = true;
    await Promise.all(floods);
    await sleep(500);

    const seconds = (Date.now() - start) / 1000;
    const calls = (await nodeOf(gw)).calls - before;
    t.diagnostic(`${pokes} pokes in ${seconds.toFixed(1)} s: ${calls} calls`);
    // chain has up to 6 calls in a round, and 20 rounds in a second
    assert.ok(calls <= (seconds * 20 + 4) * 6, `${calls} calls in ${seconds} s`);
    assert.ok(numbers(c).length <= 2, 'the other stream was left alone');
});
