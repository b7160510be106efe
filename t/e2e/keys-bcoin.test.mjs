// Watched addresses of a real Bitcoin node with an index (bcoin) through the preset's stream with a key: if this
// fails, a wallet that writes its address as a QR code does sees nothing, or an old balance.
//
// needs: nodes

import test from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { gateway } from '../lib/gateway.mjs';
import { call } from './lib/preset-engine.mjs';
import { text, until } from './lib/anvil.mjs';

const nodes = path.join(path.dirname(fileURLToPath(import.meta.url)), 'nodes');

async function bcoin(t) {
    // as in real-nodes.test.mjs: its native modules are not built
    const child = spawn(process.execPath, ['-e', `
        const Module = require('module');
        const load = Module._load;
        Module._load = function (name, ...rest) { return name === 'leveldown' ? function () { } : load.call(this, name, ...rest); };
        const { Address, FullNode } = require(${JSON.stringify(path.join(nodes, 'node_modules/bcoin'))});
        (async () => {
            const net = require('net').createServer().listen(0, '127.0.0.1');
            await new Promise(resolve => net.on('listening', resolve));
            const { port } = net.address();
            await new Promise(resolve => net.close(resolve));
            const node = new FullNode({ network: 'regtest', memory: true, workers: false, listen: false, logLevel: 'none',
                httpHost: '127.0.0.1', httpPort: port, noAuth: true, indexAddress: true, indexTX: true });
            await node.open();
            const bech32 = [7, 8, 9].map(n => Address.fromWitnessPubkeyhash(Buffer.alloc(20, n)).toString('regtest'));
            console.log(JSON.stringify([...bech32, Address.fromPubkeyhash(Buffer.alloc(20, 10)).toString('regtest')]) + ' port ' + port);
        })().catch(e => { console.error(e); process.exit(1); });`],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_BACKEND: 'js' } });
    t.after(() => child.kill('SIGKILL'));
    const [addresses, port] = await new Promise((resolve, reject) => {
        let said = '';
        for (const out of [child.stdout, child.stderr]) {
            out.on('data', d => {
                said += d;
                const m = /(\[.*\]) port (\d+)/.exec(said);
                if (m) resolve([JSON.parse(m[1]), Number(m[2])]);
            });
        }
        child.on('exit', code => reject(new Error(`the node ended with ${code}: ${said}`)));
    });
    const rpc = async (method, ...params) => {
        const { result, error } = await call(`http://127.0.0.1:${port}/`, method, JSON.stringify(params), 20000);
        assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
        return JSON.parse(result);
    };
    return { addresses, port, mine: (n, address) => rpc('generatetoaddress', n, address) };
}

test('an address of a real node, in whatever form it is written', async t => {
    const node = await bcoin(t);
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
