// The presets bitcoin, substrate, solana and cometbft against nodes that speak as these do: what breaks
// here is what a visitor of such a node's page would miss, get twice, or see wrong.

import test from 'node:test';
import assert from 'node:assert/strict';
import { jqMany, parseConf, preset } from './lib/preset-engine.mjs';
import { Bitcoin, Comet, Solana, Substrate } from './lib/dialects.mjs';

const PRESETS = ['bitcoin', 'substrate', 'solana', 'cometbft'];
const range = (a, b) => Array.from({ length: b - a }, (_, i) => a + i);

// All that comes in so many polls, or until nothing comes any more.
async function polls(stream, n) {
    const out = [];
    for (let i = 0, idle = 0; i < n && idle < 4; i++) {
        const { entries } = await stream.poll();
        out.push(...entries);
        idle = entries.length > 0 ? 0 : idle + 1;
    }
    return out;
}

// ------------------------------------------------------------------------------------- all of them

test('each preset must have the streams that a visitor wants', () => {
    const names = name => parseConf(name).map(s => s.name);
    assert.deepEqual(PRESETS.map(names), [
        ['chain', 'blocks', 'mempool', 'fees', 'peers'], ['chain', 'blocks', 'mempool', 'peers'],
        ['chain', 'blocks', 'fees', 'supply', 'peers'], ['chain', 'blocks', 'mempool', 'validators', 'peers'],
    ]);
    for (const name of PRESETS) {
        for (const s of parseConf(name)) {
            for (const c of s.calls) {
                assert.ok(c.params === undefined || JSON.parse(c.params), `${name} ${s.name} ${c.name}`);
                assert.ok(c.timeout, `${name} ${s.name} ${c.name} has a timeout`);
            }
        }
    }
});

test('replies of any other type must not break a program, nor become data', async () => {
    const odd = ['x', 5, null, true, [], {}, [1, null, 'x', [], {}], { number: 'x', blocks: 'x', value: 7, height: '5', hash: 5,
        sync_info: 'x', header: [], total: 'many', current: [null, 1], validators: [1], peers: 'x', block_metas: [1] },
    { number: '0x5', height: 5, hash: 'h', sync_info: { latest_block_height: '5' }, current: 1, peers: [1, {}], value: {} }];
    for (const name of PRESETS) {
        for (const s of parseConf(name)) {
            const inputs = odd.flatMap(a => odd.flatMap(b => [null, { number: 3, slot: 3, hash: 'h', hashes: ['h'] }].map(state =>
                JSON.stringify({ results: Object.fromEntries(s.calls.map((c, i) => [c.name, i % 2 ? b : a])), errors: {},
                    methods: {}, previous: null, state, last: null, time: 1 }))));
            for (const program of [s.program, ...s.calls.map(c => c.program).filter(Boolean)]) {
                (await jqMany(program, inputs)).forEach(({ outputs, error }, i) => {
                    assert.match(error ?? 'no ', /^(no |the node answers nothing: )/, `${name} ${s.name}: ${inputs[i]}`);
                    assert.ok(program !== s.program || error || outputs.length > 0, `${name} ${s.name}: ${inputs[i]}`);
                });
            }
        }
    }
});

test('a log of blocks must have each once, in order, after a pause and on a chain begun anew', async t => {
    for (const [name, Node, key, lag, first] of [['bitcoin', Bitcoin, 'number', 0, 0], ['substrate', Substrate, 'number', 2, 0],
        ['solana', Solana, 'slot', 3, 0], ['cometbft', Comet, 'number', 0, 1]]) {
        const node = await new Node().grow(50).listen(t);
        const { blocks: s } = preset(name, node.url);
        const numbers = async n => (await polls(s, n)).map(e => e[key]);
        assert.deepEqual(await numbers(2), [49 - lag], name);
        node.grow(3);
        assert.deepEqual(await numbers(1), range(50 - lag, 53 - lag), name);
        node.grow(1005);
        assert.deepEqual(await numbers(60), range(53 - lag, 1058 - lag), name);
        assert.deepEqual(s.notes, [], name);
        const texts = (await node.grow(1), await s.poll()).entries;
        assert.equal(texts.length, 1);
        for (const e of texts) {
            const b = node.blocks[e[key]];
            assert.equal(e.hash.replace('0x', '').toLowerCase(), b.hash);
            assert.equal(e.parent_hash.replace('0x', '').toLowerCase(), b.parent);
            assert.equal(e.timestamp, b.time);
        }

        node.grow(12000);
        const rest = await numbers(60);
        assert.equal(rest.at(-1), node.blocks.length - 1 - lag, name);
        assert.deepEqual(rest, range(rest[0], rest.at(-1) + 1), name);
        assert.ok(rest.length >= 900, `${name}: ${rest.length}`);
        const told = / (\d+) to (\d+) are not delivered: more than 10000 came since the last one$/.exec(s.notes.join());
        assert.deepEqual([told[1], told[2]].map(Number), [1059 - lag, rest[0] - 1], `${name}: ${s.notes}`);
        assert.deepEqual(s.gaps, [{ from: 1059 - lag, to: rest[0] - 1 }], `${name}: the gap`);

        const { run } = node;
        const last = rest.at(-1);
        node.run = function broken(method, params) {
            return /^(getblockhash|getBlock|chain_getBlock|blockchain)$/.test(method)
                ? { error: { code: -1, message: 'the disk is broken' } } : run.call(this, method, params);
        };
        node.grow(5);
        for (let i = 0; i < 6; i++) {
            assert.deepEqual((await s.poll()).entries, [], `${name}: nothing comes`);
        }
        assert.match(s.stale, new RegExp(`^no block after (slot )?${last} comes, the node is at (slot|block) ${last + 5}`), name);
        node.run = run;
        assert.deepEqual(await numbers(12), range(last + 1, last + 6), `${name}: and then it does`);
        assert.equal(s.stale, null);

        s.notes.length = 0;
        node.blocks.length = 0;
        node.grow(20, 'n');
        const anew = await numbers(5);
        assert.equal(anew.at(-1), 19 - lag, name);
        assert.ok(anew.length <= 20 && anew.every(n => n >= first), name);
        assert.equal(s.notes.length, 1, `${name}: ${s.notes}`);
        node.grow(4, 'n');
        assert.deepEqual(await numbers(2), range(20 - lag, 24 - lag), name);
        assert.ok(s.state.length < 16384);
    }
});

test('a log must go on after its last entry when its state is gone', async t => {
    for (const [name, Node, key, lag] of [['bitcoin', Bitcoin, 'number', 0], ['substrate', Substrate, 'number', 2],
        ['solana', Solana, 'slot', 3], ['cometbft', Comet, 'number', 0]]) {
        const node = await new Node().grow(50).listen(t);
        const { blocks: s } = preset(name, node.url);
        await s.poll();
        node.grow(5);
        s.state = 'null';
        assert.deepEqual((await polls(s, 2)).map(e => e[key]), range(50 - lag, 55 - lag), name);
    }
});

test('another chain must be noted', async t => {
    for (const [name, Node] of [['bitcoin', Bitcoin], ['substrate', Substrate], ['cometbft', Comet]]) {
        const node = await new Node().grow(50).listen(t);
        const { chain: s } = preset(name, node.url);
        await s.poll();
        await s.poll();
        assert.deepEqual(s.notes, []);
        node.o.chain = 'other';
        await s.poll();
        assert.match(s.notes[0], /^the node is of another chain: other after ./);
        node.blocks.length = 20;
        await s.poll();
        assert.match(s.notes[1], /^the chain is shorter than before: block \d+ after \d+$/);
    }
});

// ----------------------------------------------------------------------------------------- bitcoin

test('bitcoin: all figures must be the node\'s, of either version of JSON-RPC', async t => {
    for (const version of [27, 28]) {
        const node = await new Bitcoin({ version, auth: 'user:secret' }).grow(10).listen(t);
        const s = preset('bitcoin', node.url);
        assert.deepEqual((await s.chain.poll()).data, {
            height: 9, headers: 11, best_block_hash: node.top.hash, block_time: node.top.time, median_time: node.top.time - 3000,
            difficulty: 109782075598905.16, hashes_per_second: 7.5e20, chain: 'main', syncing: false,
            verification_progress: 0.9999984, pruned: false, size_on_disk: 700123456789, peer_count: 12, connections_in: 2,
            connections_out: 10, client: '/Satoshi:27.0.0/', relay_fee: 0.00001,
        });
        assert.deepEqual((await s.blocks.poll()).entries, [{
            number: 9, hash: node.top.hash, parent_hash: node.top.parent, timestamp: node.top.time, tx_count: 5,
            size: 1500009, weight: 3993000, difficulty: 109782075598905.16, version: 536870912, nonce: 4000000009, bits: '17028c61',
        }]);
        assert.deepEqual((await s.mempool.poll()).data, { size: 51234, bytes: 30123456, usage: 160123456, max_usage: 300000000,
            total_fee: 1.23456789, min_fee: 0.00001, loaded: true });
        assert.deepEqual((await s.fees.poll()).data, { in_2_blocks: 0.00012345, in_6_blocks: 0.00012345,
            in_24_blocks: 0.00012345, in_144_blocks: null, mempool_min: 0.00001, relay_min: 0.00001 });
        const { peers, total, inbound } = (await s.peers.poll()).data;
        assert.deepEqual([total, inbound], [2, 1]);
        assert.deepEqual(peers, [
            { id: 3, address: '203.0.113.7:8333', inbound: false, network: 'ipv4', client: '/Satoshi:26.0.0/', latency_ms: 42,
                height: 9, connected_since: 1794990000, bytes_sent: 123, bytes_received: 456 },
            { id: 4, address: '[2001:db8::1]:50123', inbound: true, network: 'ipv6', client: '', latency_ms: null, height: null,
                connected_since: 1794990001, bytes_sent: 1, bytes_received: 2 }]);
        node.lacks.add('getnetworkhashps').add('getnetworkinfo');
        const { data } = await s.chain.poll();
        assert.deepEqual([data.height, data.hashes_per_second, data.client], [9, null, null]);
    }
});

test('bitcoin: a reorganisation must deliver the blocks that replace others, and only these', async t => {
    for (const [depth, longer] of [[1, 1], [2, 0], [6, 3], [40, 2]]) {
        const node = await new Bitcoin().grow(10).listen(t);
        const { blocks: s } = preset('bitcoin', node.url);
        await s.poll();
        node.grow(100);
        await polls(s, 5);
        node.blocks.length -= depth;
        node.grow(depth + longer, 'r');
        const got = await polls(s, 5);
        assert.deepEqual(got.map(e => e.hash), node.blocks.slice(-depth - longer).map(b => b.hash), `${depth}`);
        assert.equal(s.notes.length > 0, depth > 12);
    }
});

// --------------------------------------------------------------------------------------- substrate

test('substrate: all figures must be the node\'s, storage decoded exactly', async t => {
    const node = await new Substrate().grow(300).listen(t);
    const s = preset('substrate', node.url);
    assert.deepEqual((await s.chain.poll()).data, {
        height: 299, finalized: 297, finalized_hash: `0x${node.blocks[297].hash}`, block_time: node.top.time, chain: 'Polkadot',
        client: 'Parity Polkadot', version: '1.16.1-835e0767fe8', runtime: 'polkadot 1003004', syncing: false,
        highest_block: 300, peer_count: 31, total_issuance: '15432109876543210987', token: 'DOT', decimals: 10, validators: 297,
        fee_multiplier: 1,
    });
    const { entries } = await s.blocks.poll();
    const b = node.blocks[297];
    assert.deepEqual([entries[0].extrinsics, entries[0].timestamp, entries.length], [b.txs + 1, b.time, 1]);
    assert.match(entries[0].state_root, /^0x[0-9a-f]{64}$/);
    assert.deepEqual((await s.mempool.poll()).data, { size: 2, bytes: 5 });
    assert.deepEqual((await s.peers.poll()).data, { peers: null, total: 31 });
    node.o.safe = false;
    assert.deepEqual((await s.peers.poll()).data.peers.map(p => [p.id, p.height]), [['12D3KooW', 299]]);
    node.lacks.add('state_getStorage');
    const { data } = await s.chain.poll();
    assert.deepEqual([data.height, data.block_time, data.total_issuance, data.validators], [299, null, null, null]);
    const program = parseConf('substrate')[0].program;
    const lists = [['0x00', 0], ['0x04aa', 1], ['0xfcaa', 63], ['0x0101aa', 64], ['0xfdff', 16383], ['0x02000100', 16384], ['0x', null], ['0x03', null], [5, null]];
    const out = await jqMany(program, lists.map(([validators]) => JSON.stringify({ results: { best: { number: '0x1' }, validators }, errors: {}, previous: null })));
    assert.deepEqual(out.map(o => JSON.parse(o.outputs[0]).validators), lists.map(l => l[1]));
});

// ------------------------------------------------------------------------------------------ solana

test('solana: all figures must be the node\'s, lamports exact', async t => {
    const node = await new Solana().grow(100).listen(t);
    const s = preset('solana', node.url);
    assert.deepEqual((await s.chain.poll()).data, {
        slot: 99, height: 99, finalized_slot: 96, block_time: node.blocks[96].time, epoch: 27, epoch_progress: 0.25,
        transaction_count: 412345678901, tps: 4094, syncing: false, health: 'ok', client: 'solana-core 2.0.15',
    });
    node.o.behind = 42;
    const { data } = await s.chain.poll();
    assert.deepEqual([data.syncing, data.health, data.slot], [true, 'Node is behind by 42 slots', 99]);
    assert.deepEqual((await s.fees.poll()).data, { slots: 150, min: 0, median: 7500, p90: 13500, max: 14900 });
    assert.deepEqual((await s.supply.poll()).data, { total: 598765432109876543, circulating: 478901234567890123,
        non_circulating: 119864197541986420, validators: 3, delinquent: 1, stake_sol: 390000000, delinquent_stake_sol: 42 });
    const peers = (await s.peers.poll()).data;
    assert.deepEqual([peers.total, peers.peers[0], peers.versions[0]], [4,
        { id: 'n0', address: '203.0.113.0:8001', version: '2.0.15' }, { version: '2.0.15', n: 2 }]);
});

test('solana: slots without a block are left out, none else, even many in a row', async t => {
    const node = await new Solana().grow(50).listen(t);
    const { blocks: s } = preset('solana', node.url);
    await s.poll();
    for (const n of [50, 53, 54, 60, ...range(70, 200)]) {
        node.skipped.add(n);
    }
    node.grow(200);
    assert.deepEqual((await polls(s, 12)).map(e => e.slot), range(47, 247).filter(n => !node.skipped.has(n)));
    assert.deepEqual(s.notes, []);
});

// ---------------------------------------------------------------------------------------- cometbft

test('cometbft: all figures must be the node\'s', async t => {
    const node = await new Comet().grow(100).listen(t);
    const s = preset('cometbft', node.url);
    assert.deepEqual((await s.chain.poll()).data, {
        height: 99, best_block_hash: node.top.hash.toUpperCase(), block_time: node.top.time, earliest_height: 1, syncing: false,
        chain: 'cosmoshub-4', moniker: 'node', client: 'cometbft 0.38.12', app: 'GaiaApp', app_version: 'v21.0.0', voting_power: 0,
        peer_count: 1,
    });
    const [block] = (await s.blocks.poll()).entries;
    assert.deepEqual([block.number, block.tx_count, block.size, block.proposer, block.app_hash], [99, 4, 20099, 'DD', 'FF']);
    assert.match(block.time, /\.123456789Z$/);
    assert.deepEqual((await s.mempool.poll()).data, { size: 82, bytes: 19974 });
    const v = (await s.validators.poll()).data;
    assert.deepEqual([v.total, v.validators.length, v.height, v.voting_power], [180, 180, 99, 180000000 + 4950 + 3160]);
    assert.deepEqual((await s.peers.poll()).data, { peers: [{ id: 'cd'.repeat(20), moniker: 'peer', address: '203.0.113.9',
        version: '0.37.4', outbound: true }], total: 1 });
});

test('cometbft: blocks that the node has thrown away are told', async t => {
    const node = await new Comet().grow(100).listen(t);
    const { blocks: s } = preset('cometbft', node.url);
    await s.poll();
    node.grow(100);
    node.o.earliest = 150;
    assert.deepEqual((await polls(s, 3)).map(e => e.number), range(150, 200));
    assert.deepEqual(s.notes, ['blocks 100 to 149 are not delivered: the node does not have them']);
    assert.deepEqual(s.gaps, [{ from: 100, to: 149 }]);
});
