// The presets with real nodes of other makers than anvil: Hardhat and Ganache for ethereum, bcoin for
// bitcoin. If this fails, a visitor of such a node misses blocks or sees no receipt.
//
// needs: nodes
// lane: waits
// limit: 900

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { preset } from './lib/preset-engine.mjs';
import { bcoin, nodes, start } from './lib/real-node.mjs';

const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });
const range = (a, b) => Array.from({ length: b - a }, (_, i) => a + i);
const hex = n => `0x${n.toString(16)}`;

const makers = {
    async hardhat(t) {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-hardhat-'));
        t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
        fs.writeFileSync(path.join(folder, 'package.json'), '{"private":true}');
        fs.writeFileSync(path.join(folder, 'hardhat.config.js'), 'module.exports = { solidity: "0.8.24" };\n');
        fs.symlinkSync(path.join(nodes, 'node_modules'), path.join(folder, 'node_modules'));
        const node = await start(t, ['node_modules/hardhat/internal/cli/bootstrap.js', 'node', '--hostname', '127.0.0.1',
            '--port', '0'], /server at http:\/\/127\.0\.0\.1:(\d+)/, { cwd: folder,
            env: { ...process.env, HOME: folder, HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true' } });
        return { ...node, mine: n => node.rpc('hardhat_mine', hex(n)), one: () => node.rpc('evm_mine') };
    },
    async ganache(t) {
        const node = await start(t, ['-e', `
            const server = require(${JSON.stringify(path.join(nodes, 'node_modules/ganache'))}).server({ logging: { quiet: true } });
            server.listen(0, '127.0.0.1', e => { if (e) throw e; console.log('port ' + server.address().port); });`],
        /port (\d+)/);
        return { ...node, mine: n => node.rpc('evm_mine', { blocks: n }), one: () => node.rpc('evm_mine') };
    },
};

for (const [name, make] of Object.entries(makers)) {
    test(`${name}: blocks and transactions must all arrive, once, with their receipts`, async t => {
        const node = await make(t);
        const s = preset('ethereum', node.url);
        const blocks = [];
        const transactions = [];
        const step = async () => {
            blocks.push(...(await s.blocks.poll()).entries);
            transactions.push(...(await s.transactions.poll()).entries);
        };
        await step();
        const [from, to] = await node.rpc('eth_accounts');
        const sent = [];
        const send = async () => sent.push(await node.rpc('eth_sendTransaction', { from, to, value: '0x1' }));
        for (let i = 0; i < 4; i++) {
            await send();
            if (i % 2) await send();
            await step();
        }
        await node.mine(300);                       // Hardhat makes these when they are asked for
        await node.one();
        await send();
        await step();
        await send();
        for (let i = 0; i < 25; i++) {
            await step();
        }
        const last = Number(await node.rpc('eth_blockNumber'));
        assert.deepEqual(blocks.map(b => b.number), range(blocks[0].number, last + 1), s.blocks.notes.join());
        for (const b of [blocks.at(-1), blocks.at(-5), blocks[3]]) {
            assert.equal((await node.rpc('eth_getBlockByNumber', hex(b.number), false)).hash, b.hash);
        }
        assert.deepEqual(transactions.map(x => x.hash), sent, s.transactions.notes.join());
        assert.deepEqual(transactions.map(x => [x.status, x.gas_used]), sent.map(() => [1, 21000]));
        const { data } = await s.chain.poll();
        assert.equal(data.height, last);
        assert.match(data.client, new RegExp(name, 'i'));
        assert.ok(data.chain_id > 0 && data.gas_price > 0);
    });
}

test('bcoin: the streams of bitcoin must have what the node tells', async t => {
    const node = await bcoin(t, { options: { apiKey: 'secret' }, auth: 'x:secret@' });
    const s = preset('bitcoin', node.url);
    const [address] = node.addresses;
    await node.rpc('generatetoaddress', 3, address);
    const first = (await s.blocks.poll()).entries;
    assert.deepEqual(first.map(b => b.number), [3]);
    await node.rpc('generatetoaddress', 40, address);
    const blocks = [];
    for (let i = 0; i < 3; i++) {
        blocks.push(...(await s.blocks.poll()).entries);
        await sleep(10);
    }
    assert.deepEqual(blocks.map(b => b.number), range(4, 44));
    for (const b of [blocks[0], blocks.at(-1)]) {
        assert.equal(await node.rpc('getblockhash', b.number), b.hash);
        assert.deepEqual([b.tx_count, typeof b.timestamp, b.size > 100], [1, 'number', true]);
    }
    const { data } = await s.chain.poll();
    assert.deepEqual([data.height, data.chain, data.peer_count], [43, 'regtest', 0]);
    assert.match(data.client, /bcoin/);
    assert.equal((await s.mempool.poll()).data.size, 0);
    assert.deepEqual((await s.peers.poll()).data, { peers: [], total: 0, inbound: 0 });
    assert.equal((await s.fees.poll()).data.in_6_blocks, null, 'it has not seen enough');
});
