// The presets of The Block: what reaches a user of a node, from the node's replies as recorded, from the
// simulated node in both dialects, and when calls fail or answer something else.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Node } from '../../conf/simnode.mjs';
import { jq, jqMany, parseConf, preset, tokens } from './lib/preset-engine.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const recorded = path.join(here, '../recorded');
const PRESETS = ['the-block', 'the-block-seed'];
const DIALECT = { 'the-block': 'real', 'the-block-seed': 'seed' };

// A node inside this process, with its time standing still unless the test moves it.
async function simnode(t, options) {
    const node = await new Node({ seed: 7, start: 1795000000, rateLimit: 1e6, energyLimit: 1e6, ...options })
        .listen();
    t.after(() => node.close());
    node.at = seconds => { node.frozen = seconds; node.world.advance(seconds); };
    node.at(20);
    node.fault = (method, fault, rest = {}) => { node.faults = [{ method, fault, ...rest }]; };
    return node;
}

const streamOf = (name, stream) => parseConf(name).find(s => s.name === stream);

// One run of a stream's program on made-up input: [data, state], or throws what the program says.
async function shape(name, stream, input) {
    const all = { results: {}, errors: {}, previous: null, state: null, last: null, time: 1000, ...input };
    const out = await jq(streamOf(name, stream).program, JSON.stringify(all));
    return out.map(text => JSON.parse(text));
}

const FIELDS = {
    network_metrics: ['network_strength', 'block_height', 'finality_time', 'peer_count', 'tps',
        'bandwidth_in', 'bandwidth_out', 'active_connections'],
    markets_health: ['overall_status', 'markets', 'healthy_markets', 'total_markets'],
    peers: ['peers', 'total'],
};

// ------------------------------------------------------------------------------------ configuration

test('a preset without its streams or with other intervals breaks what clients were promised', () => {
    for (const name of PRESETS) {
        const streams = parseConf(name);
        assert.deepEqual(streams.map(s => [s.name, s.interval, s.log && [s.log.field, s.log.key]]), [
            ['network_metrics', '2s', undefined], ['markets_health', '5s', undefined],
            ['receipts', '3s', ['receipts', 'id']], ['operations', '3s', ['operations', 'id']],
            ['peers', '10s', undefined], ['scheduler', '5s', undefined],
        ], name);
        for (const s of streams) {
            for (const c of s.calls) {
                assert.ok(c.params === undefined || JSON.parse(c.params), `${name} ${s.name} ${c.name}`);
                assert.ok(c.timeout, `${name} ${s.name} ${c.name} has a timeout`);
            }
        }
    }
    assert.deepEqual(parseConf('ethereum').map(s => [s.name, s.interval]),
        [['chain', '2s'], ['blocks', '1s'], ['transactions', '2s']]);
});

test('a program that jq does not take stops nginx at its start', async () => {
    for (const name of [...PRESETS, 'ethereum']) {
        for (const s of parseConf(name)) {
            for (const program of [s.program, ...s.calls.map(c => c.program).filter(Boolean)]) {
                const input = '{"results":{},"errors":{},"previous":null,"state":null,"last":null,"time":1}';
                await jq(program, input).catch(e => {
                    assert.doesNotMatch(e.message, /^$|syntax|compile|not defined/, `${name} ${s.name}`);
                });
            }
        }
    }
});

test('the reader of configurations must see nginx\'s tokens as nginx does', () => {
    assert.deepEqual(tokens('a "b c" \'{"x":1}\'; # ;\n e{f g=\'h;}'), [
        { word: 'a' }, { word: 'b c' }, { word: '{"x":1}' }, { sign: ';' },
        { word: 'e' }, { sign: '{' }, { word: 'f' }, { word: "g='h" }, { sign: ';' }, { sign: '}' },
    ]);
    for (const name of [...PRESETS, 'ethereum']) {
        assert.ok(parseConf(name).length >= 3);
    }
});

// ------------------------------------------------------------------------------------ the real node

test('on a fresh real node every stream must deliver what its recorded replies supply', async t => {
    const node = await simnode(t, { replay: recorded });
    const s = preset('the-block', node.url);
    assert.deepEqual((await s.network_metrics.poll()).data, {
        network_strength: 0, block_height: null, finality_time: null, peer_count: 0, tps: null,
        bandwidth_in: null, bandwidth_out: null, active_connections: 0,
    });
    assert.deepEqual((await s.markets_health.poll()).data, {
        overall_status: 'down',
        markets: {
            compute: { status: 'idle', active_jobs: 0, total_providers: 0 },
            storage: { status: 'idle', total_stored: 0, total_providers: 3 },
            energy: { status: 'idle', total_credits: 0, active_traders: 0 },
            ads: { status: 'idle', active_campaigns: 0, total_impressions: null },
        },
        healthy_markets: 0, total_markets: 4,
    });
    assert.deepEqual((await s.peers.poll()).data, { peers: [], total: 0 });
    assert.deepEqual((await s.receipts.poll()).entries, []);
    assert.deepEqual((await s.operations.poll()).entries, []);
    assert.deepEqual((await s.scheduler.poll()).data, {
        pending_operations: 0, avg_wait_time_ms: null, ops_per_block: null, ops_per_second: null,
        active_jobs: 0, success: 0, queued_high: 0, queued_normal: 0, queued_low: 0, preemptions: 0,
        effective_price: null, utilization: {},
    });
});

test('a preset that asks the real node for methods it lacks gets errors for ever', async t => {
    const node = await simnode(t, { dialect: 'real' });
    for (const [name, s] of Object.entries(preset('the-block', node.url))) {
        await s.poll();
        await s.poll();
        assert.equal(node.stats.errors, 0, name);
    }
});

test('no figure of the real node may be another than the node\'s', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const ask = async method => JSON.parse(node.reply({ headers: {}, socket: {} }, method, {}, '1')).result;
    const s = preset('the-block', node.url);
    const first = (await s.network_metrics.poll(5000)).data;
    const stats = await ask('net.peer_stats_all');
    assert.equal(first.block_height, (await ask('light.latest_header')).height);
    assert.equal(first.peer_count, stats.length);
    assert.equal(first.active_connections, (await ask('net.overlay_status')).active_peers);
    assert.equal(first.network_strength, Math.floor(Math.min(stats.length / 50 * 30, 30) * 100 / 30));
    assert.deepEqual([first.tps, first.finality_time, first.bandwidth_in, first.bandwidth_out],
        [null, null, null, null]);

    node.at(24);
    const before = new Map(stats.map(p => [p.peer_id, p.metrics.bytes_sent]));
    const sent = (await ask('net.peer_stats_all')).filter(p => before.has(p.peer_id))
        .reduce((sum, p) => sum + p.metrics.bytes_sent - before.get(p.peer_id), 0);
    assert.equal((await s.network_metrics.poll(5004)).data.bandwidth_out, Math.floor(sent / 4));

    const markets = (await s.markets_health.poll()).data.markets;
    const energy = await ask('energy.market_state');
    assert.equal(markets.compute.active_jobs, (await ask('compute_market.scheduler_stats')).active_jobs);
    assert.equal(markets.energy.total_credits, energy.credits.reduce((a, c) => a + c.amount_kwh, 0));
    assert.equal(markets.energy.active_traders,
        new Set(energy.receipts.flatMap(r => [r.buyer, r.seller])).size);
    assert.equal(markets.storage.total_stored,
        (await ask('storage.manifests')).manifests.reduce((a, m) => a + m.total_len, 0));
    assert.equal(markets.storage.total_providers,
        new Set((await ask('storage.discover_providers')).providers.map(p => p.provider)).size);
    assert.equal(markets.ads.active_campaigns, (await ask('ad_market.inventory')).campaigns.length);

    const { peers, total } = (await s.peers.poll()).data;
    const now = await ask('net.peer_stats_all');
    assert.equal(total, now.length);
    assert.deepEqual(peers, now.map(p => ({
        id: p.peer_id, address: null, latency_ms: p.metrics.last_handshake_ms || null, is_validator: null,
    })));
    assert.ok(peers.some(p => p.latency_ms === null) && peers.some(p => p.latency_ms > 0));
});

test('receipts of the real node must be those of its ledger and of its energy market', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const s = preset('the-block', node.url);
    const { entries } = await s.receipts.poll();
    const settlements = entries.filter(e => e.market === 'compute');
    assert.ok(settlements.length > 50);
    assert.deepEqual(settlements.map(e => [e.sequence, e.timestamp, e.memo]),
        node.world.audit.slice(-100).map(r => [r.sequence, r.timestamp, r.memo]));
    const one = node.world.audit.at(-1);
    assert.deepEqual(settlements.at(-1), {
        id: `settlement-${one.sequence}-${one.timestamp}`, market: 'compute', block_height: null,
        timestamp: one.timestamp, provider: one.entity, consumer: null, amount: Number(one.delta),
        balance: Number(one.balance), memo: one.memo, sequence: one.sequence,
    });
    const anchor = settlements.find(e => e.memo === 'anchor');
    assert.ok(anchor.provider === null && /^[0-9a-f]{64}$/.test(anchor.anchor));

    const energy = entries.filter(e => e.market === 'energy');
    // of the page's oldest block it may have a part
    const whole = node.world.energyPage(0, 50);
    const page = whole.filter(r => r.block_settled !== whole.at(-1).block_settled);
    assert.ok(energy.length >= 45);
    assert.equal(energy.length, page.length);
    assert.deepEqual(energy.map(e => e.meter_reading_hash).sort(),
        page.map(r => r.meter_reading_hash).sort());
    assert.ok(energy.every((e, i) => i === 0 || e.block_height >= energy[i - 1].block_height));
    const last = energy.at(-1);
    const source = page.find(r => r.meter_reading_hash === last.meter_reading_hash);
    assert.deepEqual([last.block_height, last.timestamp, last.provider, last.consumer, last.amount],
        [source.block_settled, null, source.seller, source.buyer, Number(source.price_paid)]);
    assert.equal(new Set(entries.map(e => e.id)).size, entries.length);
});

// Follows a stream while things happen; returns every entry in the order delivered.
async function follow(stream, polls, before = () => { }) {
    const out = [];
    for (let i = 0; i < polls; i++) {
        await before(i);
        out.push(...(await stream.poll()).entries);
    }
    return out;
}

const hashes = list => list.map(e => e.meter_reading_hash);

// The same values in any order; says how many are missing and too many instead of listing thousands.
function same(actual, expected, message = '') {
    const missing = expected.filter(x => !actual.includes(x)).length;
    const strange = actual.filter(x => !expected.includes(x)).length;
    assert.deepEqual([missing, strange, actual.length], [0, 0, expected.length],
        `${message} (missing, strange, number)`);
}

test('more energy receipts between two polls than a page holds must all arrive, once, in order', async t => {
    for (const burst of [10, 49, 50, 51, 130, 250, 251, 300, 700, 1300]) {
        const node = await simnode(t, { dialect: 'real' });
        const s = preset('the-block', node.url).receipts;
        await s.poll();
        const known = node.world.energy.length;
        const entries = await follow(s, Math.ceil(burst / 100) + 3, i => {
            if (i === 0) {
                node.world.inject(burst, 'energy');
            }
            node.at(21 + i);
        });
        const energy = entries.filter(e => e.market === 'energy');
        const expected = node.world.energy.slice(known).map(r => node.world.energyReceipt(r));
        assert.ok(expected.length >= burst);
        assert.equal(new Set(hashes(energy)).size, energy.length, `${burst}: none twice`);
        same(hashes(energy), hashes(expected), `${burst}: none missing`);
        assert.ok(energy.every((e, i) => i === 0 || e.block_height >= energy[i - 1].block_height),
            `${burst}: oldest first`);
        // nothing is asked for once everything is delivered
        assert.equal(s.asked.length, 2, `${burst}: ${JSON.stringify(s.asked)}`);
    }
});

test('receipts that settle while the pages are read must not be lost or sent twice', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const s = preset('the-block', node.url).receipts;
    await s.poll();
    const known = node.world.energy.length;
    const reply = node.reply.bind(node);
    let asked = 0;
    let polls = 0;
    node.reply = (req, method, ...rest) => {
        const text = reply(req, method, ...rest);
        if (method === 'energy.receipts' && polls < 5) {
            asked++;
            node.world.inject(20, 'energy');            // between this page and the next
        }
        return text;
    };
    node.world.inject(400, 'energy');
    const energy = (await follow(s, 20, i => { polls = i; node.at(20 + i); }))
        .filter(e => e.market === 'energy');
    const expected = node.world.energy.slice(known).map(r => node.world.energyReceipt(r));
    assert.ok(asked > 6);
    same(hashes(energy), hashes(expected));
    assert.equal(new Set(energy.map(e => e.id)).size, energy.length);
});

test('a node that serves smaller pages than asked for must not lose receipts', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const page = node.methods.get('energy.receipts');
    node.methods.set('energy.receipts', call =>
        page({ ...call, p: { ...call.p, page_size: Math.min(call.p.page_size ?? 25, 25) } }));
    const s = preset('the-block', node.url).receipts;
    await s.poll();
    const known = node.world.energy.length;
    node.world.inject(320, 'energy');
    const energy = (await follow(s, 40, i => node.at(21 + i))).filter(e => e.market === 'energy');
    same(hashes(energy), hashes(node.world.energy.slice(known).map(r => node.world.energyReceipt(r))));
});

test('should a node list the oldest receipt first, the new ones must arrive all the same', async t => {
    for (const most of [250, 25]) {
        const node = await simnode(t, { dialect: 'real' });
        node.methods.set('energy.receipts', ({ w, p }) => {
            const size = Math.min(p.page_size ?? 25, most);
            return {
                page: p.page, page_size: size, total: w.energy.length, status: 'ok',
                receipts: w.energy.slice(p.page * size, (p.page + 1) * size).map(r => w.energyReceipt(r)),
            };
        });
        const s = preset('the-block', node.url).receipts;
        const first = (await follow(s, 5)).filter(e => e.market === 'energy');
        assert.ok(first.length > 0 && first.length <= 50);
        assert.equal(first.at(-1).meter_reading_hash,
            node.world.energyReceipt(node.world.energy.at(-1)).meter_reading_hash, 'begins with the newest');
        const known = node.world.energy.length;
        node.world.inject(400, 'energy');
        const energy = (await follow(s, 25, i => {
            node.at(21 + i);
            if (i === 2) node.world.inject(30, 'energy');
        })).filter(e => e.market === 'energy');
        assert.deepEqual(hashes(energy),
            hashes(node.world.energy.slice(known).map(r => node.world.energyReceipt(r))));
    }
});

test('two energy receipts that are alike are two receipts', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const receipt = n => ({
        buyer: 'b', seller: 's', kwh_delivered: 5, price_paid: 10, block_settled: n, treasury_fee: 1,
        meter_reading_hash: 'ab'.repeat(32), slash_applied: 0,
    });
    let list = [receipt(9), receipt(9), receipt(8)];
    node.methods.set('energy.receipts', ({ p }) => ({
        page: p.page, page_size: p.page_size, total: list.length, status: 'ok',
        receipts: list.slice(p.page * p.page_size, (p.page + 1) * p.page_size),
    }));
    node.methods.set('settlement.audit', () => []);
    const s = preset('the-block', node.url).receipts;
    const ids = async () => (await s.poll()).entries.map(e => e.id);
    // the second one of a block has its place in that at its end, whether it is like another or not
    const id = n => `energy-${n}-abababababababab-b-5`;
    assert.deepEqual(await ids(), [id(8), id(9), `${id(9)}-2`]);
    assert.deepEqual(await ids(), []);
    list = [receipt(9), receipt(9), receipt(9), receipt(8)];
    assert.deepEqual(await ids(), [`${id(9)}-3`]);
    list = [receipt(11), receipt(9), receipt(9), receipt(9), receipt(8)];
    assert.deepEqual(await ids(), [id(11)]);
});

const oneBlock = JSON.parse(fs.readFileSync(path.join(here, 'lib/energy.receipts.one-block.json'), 'utf8')
    .replace(/(price_paid": )(\d+)/g, '$1"$2"'));          // as a double holds them here

test('hundreds of receipts of one block, many alike, must all arrive once, while new ones come', async t => {
    assert.equal(oneBlock.length, 433);
    // how many there are already, how many come with each poll, blocks after it
    for (const [first, more, later] of [[0, 433, 0], [433, 0, 0], [433, 40, 0], [1, 30, 0], [49, 10, 5], [120, 3, 40],
        [433, 0, 300], [433, 25, 25]]) {
        for (const most of [250, 100]) {
            const node = await simnode(t, { dialect: 'real' });
            const blocks = [[], oneBlock.slice(0, first)].filter(b => b.length > 0);
            let top = 4;
            const add = (list, height) => (blocks.length > 0 && blocks.at(-1)[0]?.block_settled === height
                ? blocks.at(-1).push(...list) : blocks.push([...list]));
            const like = (n, height) => Array.from({ length: n }, (_, i) => ({ ...oneBlock[i % 7], block_settled: height }));
            node.methods.set('settlement.audit', () => []);
            let between = 0;
            node.methods.set('energy.receipts', ({ p }) => {
                if (between > 0) {                              // one more between two calls
                    between--;
                    add(like(1, top), top);
                }
                const size = Math.min(p.page_size, most);
                const list = [...blocks].reverse().flat();
                return { page: p.page, page_size: size, total: list.length, status: 'ok',
                    receipts: list.slice(p.page * size, (p.page + 1) * size) };
            });
            const s = preset('the-block', node.url).receipts;
            const got = [];
            const poll = async () => got.push(...(await s.poll()).entries);
            await poll();
            for (let i = 0; i < 6; i++) {
                add(like(more, top), top);
                between = 3;
                await poll();
            }
            if (later > 0) {
                top++;
                add(like(later, top), top);
                between = 1;
                await poll();
                top++;
                add(like(1, top), top);
            }
            for (let i = 0; i < 30; i++) await poll();
            const what = `${[first, more, later, most]}`;
            assert.deepEqual(got.map(e => e.block_height), blocks.flat().map(r => r.block_settled), what);
            assert.deepEqual(got.map(e => [e.consumer, e.kwh_delivered]),
                blocks.flat().map(r => [r.buyer, r.kwh_delivered]), what);
            assert.equal(new Set(got.map(e => e.id)).size, got.length, what);
            assert.equal(s.asked.length, 2, `nothing is asked for in vain: ${what} ${JSON.stringify(s.asked)}`);
            assert.deepEqual(s.notes, [], what);
        }
    }
});

test('settlements of a burst must all arrive, and a ledger that begins anew must not silence them', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const s = preset('the-block', node.url).receipts;
    const sequences = async () => (await s.poll()).entries.filter(e => e.market === 'compute')
        .map(e => e.sequence);
    await sequences();
    const from = node.world.sequence;
    node.world.inject(200, 'compute');
    const range = (a, b) => Array.from({ length: b - a }, (_, i) => a + i);
    assert.deepEqual(await sequences(), range(from, node.world.sequence));
    assert.deepEqual(await sequences(), []);

    node.world.newChain(20, 5);                         // a shorter ledger
    node.world.inject(10, 'compute');
    node.at(20);
    assert.deepEqual(await sequences(), range(0, node.world.sequence));

    // a ledger begun anew that is already longer than the old one was
    node.world.newChain(400, 5);
    node.at(1400);
    node.world.inject(60, 'compute');
    const got = await sequences();
    assert.equal(got.at(-1), node.world.sequence - 1);
    assert.equal(got.length, 256);
});

test('on a chain begun anew the energy receipts go on', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const s = preset('the-block', node.url).receipts;
    await s.poll();
    node.world.newChain(20, 5);
    node.at(20);
    node.world.inject(30, 'energy');
    const first = (await s.poll()).entries.filter(e => e.market === 'energy');
    assert.equal(first.length, node.world.energy.length);
    node.world.inject(5, 'energy');
    assert.equal((await s.poll()).entries.length, 5);
});

test('an operation must be the receipt of the same id', async t => {
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        const s = preset(name, node.url);
        const receipts = (await s.receipts.poll()).entries;
        const operations = (await s.operations.poll()).entries;
        assert.deepEqual(operations.map(o => o.id), receipts.map(r => r.id));
        operations.forEach((o, i) => {
            const r = receipts[i];
            assert.deepEqual(Object.keys(o).sort(), ['amount', 'block_height', 'consumer', 'details', 'id',
                'market', 'provider', 'status', 'timestamp', 'type']);
            assert.deepEqual([o.type, o.market, o.amount, o.provider, o.consumer, o.timestamp, o.block_height],
                [r.market, r.market, r.amount, r.provider, r.consumer, r.timestamp, r.block_height]);
        });
    }
});

// ------------------------------------------------------------------------------- the seed's dialect

test('with the design document\'s methods every field must be the node\'s', async t => {
    const node = await simnode(t, { dialect: 'seed' });
    const ask = async method => JSON.parse(node.reply({ headers: {}, socket: {} }, method, {}, '1')).result;
    const s = preset('the-block-seed', node.url);
    const m = (await s.network_metrics.poll()).data;
    const { peers } = await ask('net.peers');
    const stats = await ask('net.stats');
    const header = await ask('light.latest_header');
    assert.deepEqual(Object.keys(m), FIELDS.network_metrics);
    assert.deepEqual(m, {
        network_strength: Math.floor(Math.min(peers.length / 50 * 30, 30)
            + Math.min(stats.tps / 1000 * 40, 40) + Math.max(30 - header.finality_time / 10, 0)),
        block_height: header.number, finality_time: header.finality_time, peer_count: peers.length,
        ...stats,
    });
    const h = (await s.markets_health.poll()).data;
    const compute = await ask('compute_market.stats');
    const storage = await ask('storage.stats');
    assert.deepEqual(h.markets.compute,
        { status: 'healthy', active_jobs: compute.active_jobs, total_providers: compute.providers });
    assert.deepEqual(h.markets.storage,
        { status: 'healthy', total_stored: storage.total_stored, total_providers: storage.providers });
    assert.deepEqual([h.overall_status, h.healthy_markets, h.total_markets], ['healthy', 4, 4]);
    assert.deepEqual((await s.peers.poll()).data,
        { peers: peers.map(p => ({ ...p })), total: peers.length });
    assert.deepEqual((await s.scheduler.poll()).data, await ask('scheduler.stats'));
    const { entries } = await s.receipts.poll();
    const audit = (await ask('receipt.audit')).receipts.slice(0, 50).reverse();
    assert.deepEqual(entries, audit);
});

test('the network strength must follow its formula, unknown inputs left out', async () => {
    const strength = async (peers, tps, finality) => {
        const results = {};
        if (peers !== null) results.peers = { peers: Array(peers).fill({ id: 'x' }) };
        if (tps !== null) results.stats = { tps };
        if (finality !== null) results.header = { finality_time: finality };
        return (await shape('the-block-seed', 'network_metrics', { results }))[0].network_strength;
    };
    for (const [peers, tps, finality, expected] of [
        [0, 0, 0, 30], [50, 1000, 0, 100], [500, 99999, 0, 100], [25, 500, 100, 55], [0, 0, 9999, 0],
        [50, null, null, 100], [25, null, null, 50], [null, 500, null, 50], [null, null, 150, 50],
        [50, 1000, null, 100], [25, 0, null, 21], [12, 433, 37.5, 50], [null, 1, null, 0],
        [0, 0, -50, 35],
    ]) {
        assert.equal(await strength(peers, tps, finality), Math.min(expected, 100),
            `${peers} ${tps} ${finality}`);
    }
    await assert.rejects(strength(null, null, null), /no network figure/);
});

test('the overall health must count healthy markets only', async () => {
    const overall = async (...main) => {
        const [jobs, stored, credits, campaigns] = main;
        const results = {
            compute: { active_jobs: jobs }, storage: { total_stored: stored },
            energy: { total_credits: credits }, ads: { active_campaigns: campaigns },
        };
        const [d] = await shape('the-block-seed', 'markets_health', { results });
        return [d.overall_status, d.healthy_markets, Object.values(d.markets).map(m => m.status).join()];
    };
    assert.deepEqual(await overall(1, 1, 1, 1), ['healthy', 4, 'healthy,healthy,healthy,healthy']);
    assert.deepEqual(await overall(0, 1, 1, 1), ['healthy', 3, 'idle,healthy,healthy,healthy']);
    assert.deepEqual(await overall(0, 1, 0, 1), ['degraded', 2, 'idle,healthy,idle,healthy']);
    assert.deepEqual(await overall(0, 0, 0, 1), ['degraded', 1, 'idle,idle,idle,healthy']);
    assert.deepEqual(await overall(0, 0, 0, 0), ['down', 0, 'idle,idle,idle,idle']);
    assert.deepEqual(await overall(1, 1, 1, null), ['healthy', 3, 'healthy,healthy,healthy,unavailable']);
});

test('more receipts between two polls than are asked for at once must all arrive, once, in order', async t => {
    for (const burst of [49, 50, 51, 499, 500, 501, 1200, 2900]) {
        const node = await simnode(t, { dialect: 'seed' });
        const s = preset('the-block-seed', node.url).receipts;
        await s.poll();
        const known = node.world.receipts.length;
        const entries = await follow(s, Math.ceil(burst / 500) + 2, i => {
            if (i === 0) {
                node.world.inject(burst);
            }
            node.at(21 + i);
        });
        assert.deepEqual(entries.map(e => e.id),
            node.world.receipts.slice(known).map(r => node.world.receipt(r).id), `${burst}`);
        assert.equal(s.asked.length, 1, 'one call once everything is delivered');
    }
});

test('receipts must not be lost when the call for more of them fails', async t => {
    for (const bad of [null, 'telemetry disabled', { receipts: 7 }]) {
        const node = await simnode(t, { dialect: 'seed' });
        const s = preset('the-block-seed', node.url).receipts;
        const audit = node.methods.get('receipt.audit');
        await s.poll();
        const known = node.world.receipts.length;
        node.world.inject(120);
        node.methods.set('receipt.audit', call => (call.p.limit > 50 ? bad : audit(call)));
        await assert.rejects(s.poll(), /no receipts/);
        node.methods.set('receipt.audit', audit);
        assert.deepEqual((await s.poll()).entries.map(e => e.id),
            node.world.receipts.slice(known).map(r => node.world.receipt(r).id));
    }
    // a node that takes no such limit will never send them
    const receipts = Array.from({ length: 50 }, (_, i) => ({ id: `r${i}`, market: 'ads' }));
    const [data] = await shape('the-block-seed', 'receipts', {
        results: { recent: { receipts } }, state: { ids: ['old'] },
        errors: { more: { code: -32602, message: 'limit' } },
    });
    assert.equal(data.receipts.length, 50);
});

test('receipts of a chain begun anew must arrive, and a receipt taken back must not repeat the rest', async t => {
    const node = await simnode(t, { dialect: 'seed' });
    const s = preset('the-block-seed', node.url).receipts;
    await s.poll();
    node.world.newChain(20, 5);
    node.at(20);
    node.world.inject(20);
    assert.equal((await s.poll()).entries.length, node.world.receipts.length);
    node.world.receipts.pop();                      // the newest one was taken back
    node.world.inject(2);
    const text = (await s.poll()).text;
    assert.equal(JSON.parse(text).receipts.length, 2);
    node.world.newChain(20, 0);
    assert.deepEqual((await s.poll()).entries, [], 'an empty chain');
});

test('the market of a receipt must have the name that markets_health gives it', async () => {
    const receipts = ['Compute', 'ad', 'ads', 'AD', 'storage', null, 7].map((market, i) => ({ id: `r${i}`, market }));
    const [data] = await shape('the-block-seed', 'receipts', { results: { recent: { receipts } } });
    assert.deepEqual(data.receipts.map(r => r.market).reverse(),
        ['compute', 'ads', 'ads', 'ads', 'storage', null, null]);
    const [odd] = await shape('the-block-seed', 'receipts', {
        results: { recent: { receipts: [{ market: 'ads', block_height: 5, timestamp: 9 }, 'x', null] } },
    });
    assert.deepEqual(odd.receipts.map(r => r.id), ['ads-5-9-null-null'], 'one without an id gets one');
});

// --------------------------------------------------------------------------------- amounts, failures

test('amounts above 2^53 must keep every digit on their way', async t => {
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        const s = preset(name, node.url);
        await s.receipts.poll();
        await s.operations.poll();
        node.world.inject(200, 'energy');
        for (const stream of [s.receipts, s.operations]) {
            const texts = (await stream.poll()).texts;
            const amounts = texts.map(x => BigInt(/"amount":(-?\d+)[,}]/.exec(x)[1]));
            const big = amounts.filter(a => a > 2n ** 53n);
            assert.ok(big.length > 2, name);
            assert.ok(big.includes(18446744073709551615n) || big.includes(9007199254740993n), name);
            const known = new Set(node.world.receipts.map(r => node.world.receipt(r).amount));
            for (const x of texts.filter(y => !y.includes('"compute"'))) {
                assert.ok(known.has(BigInt(/"amount":(-?\d+)[,}]/.exec(x)[1])), x);
            }
        }
    }
    const node = await simnode(t, { dialect: 'seed' });
    node.fixed.set('energy.market_state',
        { result: '{"total_credits":18446744073709551615,"active_traders":9007199254740993}' });
    const { text } = await preset('the-block-seed', node.url).markets_health.poll();
    assert.match(text, /"energy":\{"status":"healthy","total_credits":18446744073709551615,"active_traders":9007199254740993\}/);
});

const figures = data => Object.fromEntries(
    Object.entries(data).filter(([k]) => k !== 'network_strength'));

test('a call that fails in any way must leave the fields of the others alone', async t => {
    const supplies = {
        'the-block-seed': {
            'net.peers': ['peer_count'], 'net.stats': ['tps', 'bandwidth_in', 'bandwidth_out', 'active_connections'],
            'light.latest_header': ['block_height', 'finality_time'],
        },
        'the-block': {
            'light.latest_header': ['block_height'], 'net.peer_stats_all': ['bandwidth_out'],
            'net.overlay_status': ['active_connections'],
        },
    };
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        const s = preset(name, node.url).network_metrics;
        await s.poll(10);
        node.at(22);
        const state = s.state;
        const good = (await s.poll(12)).data;
        s.state = state.replace(/"next":[\d.]+/, '"next":0');
        await s.poll(12);
        for (const [i, [method, fields]] of Object.entries(supplies[name]).entries()) {
            for (const fault of [...(i === 0 ? ['hang'] : []), 'unknown', 'drop', 'rate_limited', 'not_json', 'truncate',
                'wrong_id', 'other_type', 'unavailable', 'null', 'http_500']) {
                node.fault(method, fault);
                s.state = state;
                const { data } = await s.poll(12);
                const expected = { ...good };
                for (const f of fields) {
                    expected[f] = null;
                }
                // it stays what it was
                if (fields.includes('block_height')) {
                    expected.block_height = good.block_height;
                }
                assert.deepEqual(figures(data), figures(expected), `${method} ${fault}`);
                assert.ok(data.network_strength === null || data.network_strength >= 0);
            }
        }
    }
});

test('while the chain mines or is empty, the other figures must go on', async t => {
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        const s = preset(name, node.url).network_metrics;
        node.world.mining = true;
        const begun = Date.now();
        const { data } = await s.poll();
        assert.ok(Date.now() - begun < 1900, 'within the interval');
        assert.equal(data.block_height, null);
        assert.ok(data.peer_count > 0 && data.active_connections > 0);
        node.world.mining = false;
        node.world.newChain(20, 0);
        node.world.empty = true;
        assert.ok((await s.poll()).data.peer_count > 0);
    }
});

test('looking at a fresh node must not stop it from ever mining', async t => {
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: 'both' });
        node.world.newChain(20, 0);
        node.world.empty = true;
        const streams = preset(name, node.url);
        for (let i = 0; i < 4; i++) {
            for (const s of Object.values(streams)) {
                await s.poll(1000 + 20 * i).catch(() => { });
            }
        }
        assert.equal(node.stats.by_method['light.latest_header'], undefined, name);
        assert.equal(node.stats.by_method['consensus.difficulty'], undefined, name);
        assert.ok(node.stats.by_method['light.headers'] > 0, name);
        assert.equal(node.world.poisoned, false);
        node.world.empty = false;                       // it mines
        node.at(28);
        const { data } = await streams.network_metrics.poll(1090);
        assert.ok(data.block_height >= 3, `${name}: ${data.block_height}`);
    }
});

test('the header must be asked rarely, never while it hangs, and a sentence must say so', async t => {
    const node = await simnode(t, { dialect: 'real' });
    const { network_metrics: s, peers } = preset('the-block', node.url);
    const asked = () => (node.stats.by_method['light.headers'] ?? 0) + (node.stats.by_method['light.latest_header'] ?? 0);
    const height = (await s.poll(1000)).data.block_height;
    for (let time = 1002; time < 1060; time += 2) {
        assert.equal((await s.poll(time)).data.block_height, height, 'it stays');
    }
    assert.equal(asked(), 4, 'twice in a minute');
    assert.deepEqual(s.notes, []);

    node.world.mining = true;
    node.world.hold = true;
    const before = asked();
    for (let time = 1060; time < 1120; time += 2) {
        const { data } = await s.poll(time);
        assert.equal(data.block_height, height);
        assert.ok(data.peer_count > 0);
        await peers.poll(time);
    }
    assert.equal(asked(), before + 1, 'once');
    assert.equal(new Set(s.notes).size, 1, `${[...new Set(s.notes)]}`);
    assert.match(s.notes[0], /^the node does not tell its header \(.*\), as while it mines: block_height is of 00:17:10 UTC, and asked again at 00:18:40 UTC$/);
    for (let time = 1120; time < 1700; time += 10) {
        await s.poll(time);
    }
    assert.equal(asked(), before + 4, 'and more and more rarely');

    node.world.mining = false;
    node.at(40);
    node.world.newChain(40, 3);                         // and the chain is shorter
    node.at(41);
    s.notes.length = 0;
    const { data } = await s.poll(3000);
    assert.ok(data.block_height < height && data.block_height !== null);
    assert.deepEqual(s.notes, [`the chain is shorter than before: block ${data.block_height} after ${height}`]);
    node.world.newChain(50, 0);
    node.world.empty = true;
    assert.equal((await s.poll(3060)).data.block_height, null);
    assert.match(s.notes[1], /^the chain is shorter than before: no block after \d+$/);
});

test('the last good data must have the height when the node goes away call by call', async t => {
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        const { network_metrics: s } = preset(name, node.url);
        const { data: { block_height: height } } = await s.poll(1000);
        node.faults = ['light.headers', 'light.latest_header'].map(method => ({ method, fault: 'drop' }));
        assert.equal((await s.poll(1031)).data.block_height, height, name);
        assert.match(s.notes.join(), name === 'the-block' ? /^the node does not tell its header/ : /^$/);
        node.faults = [{ method: '*', fault: 'drop' }];
        await assert.rejects(s.poll(1033));
        assert.equal(JSON.parse(s.previous).block_height, height);
        node.faults = [];
        assert.ok((await s.poll(2000)).data.block_height >= height);
    }
});

test('a market whose call fails is unavailable and says why, the others stay', async t => {
    const main = {
        'the-block-seed': { compute: 'compute_market.stats', storage: 'storage.stats',
            energy: 'energy.market_state', ads: 'ad_market.stats' },
        'the-block': { compute: 'compute_market.scheduler_stats', storage: 'storage.manifests',
            energy: 'energy.market_state', ads: 'ad_market.inventory' },
    };
    const says = {
        unknown: /method not found/, other_type: /telemetry disabled/, unavailable: /unavailable/,
        null: /no result/, rate_limited: /429/,
    };
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        const s = preset(name, node.url).markets_health;
        const good = (await s.poll()).data;
        assert.equal(good.healthy_markets, 4);
        for (const [market, method] of Object.entries(main[name])) {
            for (const [fault, pattern] of Object.entries(says)) {
                node.fault(method, fault);
                const { data } = await s.poll();
                const m = data.markets[market];
                assert.equal(m.status, 'unavailable', `${method} ${fault}`);
                assert.match(m.error, pattern);
                assert.equal(m[Object.keys(good.markets[market])[1]], null, 'no figure, and no zero');
                assert.deepEqual([data.overall_status, data.healthy_markets], ['healthy', 3]);
                for (const other of Object.keys(good.markets).filter(x => x !== market)) {
                    assert.deepEqual(data.markets[other], good.markets[other]);
                }
            }
        }
        node.fault('*', 'unknown');
        await assert.rejects(s.poll(), /^Error: no market answers: compute: method not found/);
    }
    const node = await simnode(t, { dialect: 'real', token: 's3cret' });
    const { data } = await preset('the-block', node.url).markets_health.poll();
    assert.equal(data.markets.energy.error, 'unauthorized');
});

test('a stream of which no call answers must fail with the node\'s words, not with empty data', async t => {
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        for (const [stream, s] of Object.entries(preset(name, node.url))) {
            await s.poll();
            const { previous, state } = s;
            for (const [fault, words] of [['unknown', /method not found/], ['drop', /socket hang up|ECONNRESET/],
                ['other_type', /./], ['null', /./], ['unavailable', /./]]) {
                node.fault('*', fault);
                await assert.rejects(s.poll(), e => {
                    assert.match(e.message, /^no |^no$/, `${name} ${stream} ${fault}: ${e.message}`);
                    assert.match(e.message, words, `${name} ${stream} ${fault}: ${e.message}`);
                    return true;
                });
                assert.deepEqual([s.previous, s.state], [previous, state], 'what was known stays');
            }
            node.faults = [];
            await s.poll();
        }
    }
});

test('results of any other type must not break a program', async () => {
    const odd = ['telemetry disabled', { status: 'unavailable' }, null, [], {}, 5, true, '', [1, null, 'x', []],
        { peers: 'x', receipts: 7, providers: {}, campaigns: null, manifests: [1], credits: ['x'], total: 'x' },
        { tps: 'many', number: [], finality_time: {}, height: 'x', active_jobs: 'x', total_stored: [],
            receipts: [1, null], peers: [null, 'x', { latency_ms: 'x' }], credits: [{}], total: -5,
            active_peers: '7', providers: [{ provider: 3 }, 1] },
        [{ peer_id: 5, metrics: 'x' }, { peer_id: 'a', metrics: { bytes_sent: 'x', last_handshake_ms: [] } }],
        { queued_high: 3, pending_operations: null, avg_wait_time_ms: 'x', active_jobs: [] },
        [{ sequence: 'x' }, { sequence: 1 }, { sequence: 2, memo: 5, entity: {}, timestamp: 'x' }]];
    const states = [null, {}, {
        time: 990, bytes: { a: 1 }, ids: ['q'], audit: { sequence: 1, timestamp: 5 },
        energy: { block: 1, seen: 1, top: 1, at_top: 1, count: 1, keys: ['x'], page_size: null },
    }];
    for (const name of PRESETS) {
        for (const s of parseConf(name)) {
            const inputs = new Set();
            for (const value of odd) {
                for (const rest of odd) {
                    for (const c of s.calls) {
                        for (const state of states) {
                            const results = Object.fromEntries(
                                s.calls.map(x => [x.name, x === c ? value : rest]));
                            inputs.add(JSON.stringify(
                                { results, errors: {}, previous: null, state, last: null, time: 1000 }));
                        }
                    }
                }
            }
            const list = [...inputs];
            for (const program of [s.program, ...s.calls.map(c => c.program).filter(Boolean)]) {
                const answers = await jqMany(program, list);
                assert.equal(answers.length, list.length);
                let good = 0;
                answers.forEach(({ outputs, error }, i) => {
                    if (error !== undefined) {
                        assert.match(error, /^no [a-z ]+: ./, `${name} ${s.name}: ${list[i]}`);
                    } else if (program === s.program) {
                        good++;
                        const data = JSON.parse(outputs[0]);
                        assert.deepEqual(Object.keys(data).slice(0, 8), FIELDS[s.name]
                            ?? (s.log ? ['receipts', 'operations'] : Object.keys(data).slice(0, 8)));
                    }
                });
                assert.ok(good > 0 || program !== s.program, `${name} ${s.name} works with some of them`);
            }
        }
    }
});

test('bandwidth must not jump when peers come and go, or after a pause', async () => {
    const run = async (state, time, bytes) => (await shape('the-block', 'network_metrics', {
        state, time, results: {
            peers: Object.entries(bytes).map(([id, n]) => ({ peer_id: id, metrics: { bytes_sent: n } })),
        },
    }));
    const [first, state] = await run(null, 100, { a: 1000, b: 5000 });
    assert.equal(first.bandwidth_out, null);
    assert.deepEqual([state.time, state.bytes], [100, { a: 1000, b: 5000 }]);
    assert.equal((await run(state, 102, { a: 3000, b: 5000 }))[0].bandwidth_out, 1000);
    assert.equal((await run(state, 102, { a: 3000, c: 999999999 }))[0].bandwidth_out, 1000, 'a new peer');
    assert.equal((await run(state, 102, { a: 10, b: 5200 }))[0].bandwidth_out, 100, 'a counter set back');
    assert.equal((await run(state, 102, {}))[0].bandwidth_out, 0);
    assert.equal((await run(state, 500, { a: 9000 }))[0].bandwidth_out, null, 'after a pause');
    const [held, kept1] = await shape('the-block', 'network_metrics', {
        state, time: 103, errors: { header: { code: null, message: 'no reply within 1000 ms' } },
        results: { peers: [{ peer_id: 'a', metrics: { bytes_sent: 3000 } }] },
    });
    assert.deepEqual([held.bandwidth_out, kept1.time], [1000, 102], 'a header that hung for a second');
    const [, kept] = await shape('the-block', 'network_metrics', { state, time: 102, results: { overlay: { active_peers: 1 } } });
    assert.deepEqual([kept.time, kept.bytes], [state.time, state.bytes], 'a failed call keeps the counters');
});

test('the scheduler of a node with either dialect must be told in one form', async t => {
    const node = await simnode(t, { dialect: 'seed' });
    const s = preset('the-block', node.url).scheduler;
    const { data } = await s.poll();
    assert.deepEqual(Object.keys(data),
        ['pending_operations', 'avg_wait_time_ms', 'ops_per_block', 'ops_per_second']);
    assert.deepEqual(s.asked.map(([m]) => m), ['compute_market.scheduler_stats', 'scheduler.stats']);
});

test('both presets must work on a node that has all methods', async t => {
    const node = await simnode(t, { dialect: 'both' });
    for (const name of PRESETS) {
        for (const s of Object.values(preset(name, node.url))) {
            await s.poll();
        }
    }
    assert.equal(node.stats.errors, 0);
});

test('what a poll sends must fit the space that the preset sets aside for it', async t => {
    const bytes = size => parseInt(size, 10) * { k: 1024, m: 1024 * 1024 }[size.at(-1)];
    for (const name of PRESETS) {
        const node = await simnode(t, { dialect: DIALECT[name] });
        for (const [stream, s] of Object.entries(preset(name, node.url))) {
            await s.poll();
            node.world.inject(2900);
            const { texts, text } = await s.poll();
            const size = (texts ? texts.join() : text).length;
            assert.ok(size < 0.7 * bytes(s.stream.max_size), `${name} ${stream}: ${size}`);
            for (let i = 0; i < 12; i++) {
                assert.ok(s.state.length < 16384, `${name} ${stream}: a state of ${s.state.length}`);
                await s.poll();
            }
        }
    }
});

test('the counters of as many peers as the node is asked for must fit the state', async () => {
    const peers = Array.from({ length: 500 }, (_, i) => ({
        peer_id: `${i}`.padStart(64, 'a'), metrics: { bytes_sent: 9e12 + i, last_handshake_ms: 7 },
    }));
    const [, state] = await shape('the-block', 'network_metrics', { results: { peers } });
    assert.equal(Object.keys(state.bytes).length, 500);
    assert.ok(JSON.stringify(state).length < 16384, `${JSON.stringify(state).length}`);
    const [data] = await shape('the-block', 'peers', { results: { peers } });
    assert.equal(data.total, 500);
    assert.ok(JSON.stringify(data).length < 200000);
});
