// Watched addresses of a real Bitcoin node with an index (bcoin) through the preset's stream with a key: if this
// fails, a wallet that writes its address as a QR code does sees nothing, or an old balance.
//
// needs: nodes
// lane: waits

import test from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { gateway } from '../lib/gateway.mjs';
import { text, until } from './lib/anvil.mjs';
import { bcoin } from './lib/real-node.mjs';

test('an address of a real node, in whatever form it is written', async t => {
    const node = await bcoin(t, { options: { noAuth: true, indexAddress: true, indexTX: true } });
    const [mine, other, nobody, old] = node.addresses;
    const gw = await gateway(t, {
        workers: 2,
        http: `blockcast_zone main 64m;\n${text('bitcoin.conf')}\n${text('bitcoin-bcoin-keys.inc')}`,
        server: `location /ws { blockcast_websocket; } location /api/ { blockcast_api; }
            location = /_node { internal; blockcast_node max_reply=8m batch=20; proxy_pass http://127.0.0.1:${node.port}/;
                proxy_http_version 1.1; proxy_set_header Connection ""; }
            location /_index/ { blockcast_node index; proxy_pass http://127.0.0.1:${node.port}/;
                proxy_http_version 1.1; proxy_set_header Connection ""; }`,
    });
    await node.mine(2, mine);

    const got = new Map();
    const errors = new Map();
    const seqs = new Map();
    const ws = new WebSocket(`ws://127.0.0.1:${gw.port}/ws`);
    t.after(() => ws.terminate());
    ws.on('message', m => {
        const { type, key, data, seq, message } = JSON.parse(m);
        if (type === 'error') errors.set(key, message);
        if (type !== 'address') return;
        assert.ok(seq > (seqs.get(key) ?? 0), `${key}: ${seqs.get(key)} -> ${seq}`);
        seqs.set(key, seq);
        got.set(key, data);
    });
    await new Promise(resolve => { ws.on('open', resolve); });
    const mixed = `${mine}X`;
    ws.send(JSON.stringify({ type: 'subscribe', stream: 'address',
        keys: [`BITCOIN:${mine.toUpperCase()}`, mine, `bitcoin:${other}`, nobody, old, mixed] }));

    const coins = 50e8;
    await until('the balances', () => got.size === 4, 15).catch(async e => {
        const { streams } = await fetch(`http://127.0.0.1:${gw.port}/api/streams`).then(r => r.json());
        const said = await fetch(`http://127.0.0.1:${node.port}/coin/address/${mine}`).then(r => r.text());
        throw new Error(`${e.message}: ${JSON.stringify([streams, [...got], [...errors], said])}`);
    });
    assert.deepEqual(got.get(mine), { balance: 2 * coins, coins: 2, pending: 0 });
    for (const address of [other, nobody, old]) assert.deepEqual(got.get(address), { balance: 0, coins: 0, pending: 0 });
    assert.match(errors.get(mixed), /is no address of stream address: bech32 is in small letters or in capital ones, not in both/);

    await node.mine(1, other);
    await until('a block that pays', () => got.get(other).coins === 1);
    await node.mine(3, old);
    await until('blocks that pay an address of base58', () => got.get(old).balance === 3 * coins);
    assert.deepEqual([mine, other, nobody].map(a => got.get(a).coins), [2, 1, 0]);

    const rest = await fetch(`http://127.0.0.1:${gw.port}/api/streams/address/${other.toUpperCase()}`).then(r => r.json());
    assert.deepEqual([rest.key, rest.data], [other, got.get(other)]);
    const wrong = await fetch(`http://127.0.0.1:${gw.port}/api/streams/address/${old.toLowerCase()}0`);
    assert.equal(wrong.status, 400);
});
