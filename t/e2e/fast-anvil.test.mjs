// Four blocks a second of 250 transactions each, mined by a real Ethereum node (anvil), through the preset, and
// then fifty of them at once. If this fails, somebody who follows a fast chain misses transactions, gets them
// twice, or falls behind without being told.
//
// BLOCKCAST_LONG=1 (t/run --long) goes on for a minute.

import test from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { gateway } from '../lib/gateway.mjs';
import { anvil, hex, sleep, text, until } from './lib/anvil.mjs';

const TX = 250;
const SECONDS = process.env.BLOCKCAST_LONG ? 60 : 6;
const BURST = 50;

test('each transaction of a fast chain arrives once, in order', async t => {
    const node = await anvil(t);
    const gw = await gateway(t, {
        workers: 2,
        http: `blockcast_zone main 128m;\n${text('ethereum.conf')
            .replace(/(blockcast_log +transactions key=hash) keep=2000 size=2m/, '$1 keep=20000 size=16m')}`,
        server: `location /ws { blockcast_websocket; } location /api/ { blockcast_api; }
            location = /_node { internal; blockcast_node max_reply=8m; proxy_pass http://127.0.0.1:${node.port}/;
            proxy_http_version 1.1; proxy_set_header Connection ""; }`,
    });
    const got = [];
    const wrong = [];
    const ages = [];
    const mined = new Map();
    const ws = new WebSocket(`ws://127.0.0.1:${gw.port}/ws`);
    t.after(() => ws.terminate());
    ws.on('open', () => ws.send(JSON.stringify({ type: 'subscribe', stream: 'transactions' })));
    ws.on('message', m => {
        const { type, data, lost } = JSON.parse(m);
        if (type === 'note' || type === 'error' || lost || data?.lost) wrong.push(String(m).slice(0, 300));
        if (type !== 'transactions') return;
        for (const { hash, gap } of data.transactions) {
            if (gap || !hash) wrong.push(JSON.stringify(data).slice(0, 300));
            got.push(hash);
            if (mined.has(hash)) ages.push(Date.now() - mined.get(hash));
        }
    });
    const health = async () => (await (await fetch(`http://127.0.0.1:${gw.port}/api/health`)).json())
        .streams.find(s => s.name === 'transactions');

    const expected = [];
    let sent = 0;
    const send = async () => {
        const hashes = await node.batch(Array.from({ length: TX }, (_, i) => ['eth_sendTransaction', {
            from: node.accounts[i % 10], to: `0x${(0xabc0000 + i).toString(16).padStart(40, '0')}`,
            value: hex(i + 1), gas: '0x5208', nonce: hex(sent + Math.floor(i / 10)),
        }]));
        sent += TX / 10;
        await node.rpc('anvil_mine');
        for (const h of hashes) mined.set(h, Date.now());
    };
    const blocks = async (from, to) => {
        for (let n = from; n <= to; n++) {
            expected.push(...(await node.rpc('eth_getBlockByNumber', hex(n), false)).transactions);
        }
    };
    await node.rpc('anvil_mine');
    await send();
    await until('the first block', () => got.length >= TX);
    const first = Number(await node.rpc('eth_blockNumber'));

    const begun = Date.now();
    let n = 0;
    for (; n < SECONDS * 4; n++) {
        await send();
        const late = begun + (n + 1) * 250 - Date.now();
        if (late > 0) await sleep(late);
    }
    const rate = n * TX / ((Date.now() - begun) / 1000);
    await until('all of them', () => got.length >= (n + 1) * TX, 30);
    const sorted = ages.slice(TX).sort((a, b) => a - b);
    t.diagnostic(`${rate.toFixed(0)} transactions a second; from the block to the client p50 ${
        sorted[Math.floor(sorted.length / 2)]} ms, the last one ${sorted.at(-1)} ms`);

    for (let i = 0; i < BURST; i++) await send();
    await until('the burst', () => got.length >= (n + 1 + BURST) * TX, 60);
    await until('nothing lags', async () => !((await health()).lag > 0));

    await blocks(first, first + n + BURST);
    assert.equal(got.length, expected.length);
    assert.deepEqual(got, expected, 'in the order of the chain');
    assert.deepEqual(wrong, []);
});
