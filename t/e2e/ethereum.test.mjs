// The ethereum preset: against a chain made up here, that reorganises, hides receipts and lacks methods
// on command, and against a real node (anvil).

import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { call, jq, jqMany, parseConf, preset } from './lib/preset-engine.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const binary = path.join(here, 'node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const hex = n => `0x${BigInt(n).toString(16)}`;

// A chain of made-up blocks; `branch` tells the blocks of one history from those of another.
class Chain {
    constructor() {
        this.blocks = [];
        this.lacks = new Set();             // methods that fail with .error
        this.error = { code: -32601, message: 'Method not found' };
        this.hidden = new Set();            // transactions whose receipt is not there yet
        this.methods = [];
    }

    block(branch, txs = 0) {
        const number = this.blocks.length;
        const hash = `0xb${branch}${number}`;
        const transactions = Array.from({ length: txs }, (_, i) => ({
            hash: `0xt${branch}${number}-${i}`, transactionIndex: hex(i), from: '0xf', to: i % 2 ? null : '0xa',
            value: hex(10n ** 18n * BigInt(number) + BigInt(i)), nonce: hex(i), type: '0x2',
            gasPrice: '0x5', blockHash: hash, blockNumber: hex(number),
        }));
        this.blocks.push({
            number: hex(number), hash, parentHash: this.blocks.at(-1)?.hash ?? '0x0',
            timestamp: hex(1000 + number), miner: '0xm', gasUsed: hex(21000 * txs), gasLimit: '0x1c9c380',
            baseFeePerGas: '0x7', transactions,
        });
        return this;
    }

    grow(n, branch = 'a', txs = 0) {
        for (let i = 0; i < n; i++) this.block(branch, txs);
        return this;
    }

    receipt(tx) {
        return {
            transactionHash: tx.hash, blockHash: tx.blockHash, status: tx.hash.endsWith('-1') ? '0x0' : '0x1',
            gasUsed: '0x5208', effectiveGasPrice: '0x9', contractAddress: tx.to ? null : '0xc',
        };
    }

    answer(method, p) {
        const find = (list, full) => list && { ...list, transactions: full ? list.transactions
            : list.transactions.map(t => t.hash) };
        switch (method) {
        case 'eth_getBlockByNumber':
            return find(p[0] === 'latest' ? this.blocks.at(-1) : this.blocks[Number(p[0])], p[1]) ?? null;
        case 'eth_blockNumber': return hex(this.blocks.length - 1);
        case 'eth_getBlockReceipts': {
            const b = this.blocks.find(x => x.hash === p[0]);
            return b ? b.transactions.filter(t => !this.hidden.has(t.hash)).map(t => this.receipt(t)) : null;
        }
        case 'eth_getTransactionReceipt': {
            const t = this.blocks.flatMap(b => b.transactions).find(x => x.hash === p[0]);
            return t && !this.hidden.has(t.hash) ? this.receipt(t) : null;
        }
        case 'eth_gasPrice': return '0xffffffffffffffffff';
        case 'eth_syncing': return false;
        case 'eth_chainId': return '0x7a69';
        case 'web3_clientVersion': return 'made/up';
        default: return undefined;
        }
    }

    async listen(t) {
        const server = http.createServer((req, res) => {
            let body = '';
            req.on('data', d => { body += d; });
            req.on('end', () => {
                const { method, params, id } = JSON.parse(body);
                this.methods.push(method);
                const result = this.lacks.has(method) ? undefined : this.answer(method, params ?? []);
                res.end(JSON.stringify({ jsonrpc: '2.0', id, ...(result === undefined
                    ? { error: this.error } : { result }) }));
            });
        });
        await new Promise(resolve => { server.listen(0, '127.0.0.1', resolve); });
        t.after(() => { server.closeAllConnections(); server.close(); });
        return preset('ethereum', `http://127.0.0.1:${server.address().port}`);
    }
}

const numbers = r => r.entries.map(e => e.number);
const txs = r => r.entries.map(e => e.hash);
const range = (a, b) => Array.from({ length: b - a }, (_, i) => a + i);

// ------------------------------------------------------------------------------------------ quantities

test('a quantity must be exact: a number below 2^53, else all its digits', async () => {
    const { program } = parseConf('ethereum').find(s => s.name === 'chain');
    const quantities = [0n, 1n, 9n, 10n, 15n, 16n, 9999999n, 10000000n, 99999999999999n, 100000000000000n,
        2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 10n ** 18n, 10n ** 21n + 7n, 2n ** 64n - 1n,
        1000000000000000000001n, 2n ** 256n - 1n, 123456789012345678901234567890n];
    for (let bits = 1n; bits < 256n; bits += 3n) {
        quantities.push(2n ** bits, 2n ** bits - 1n, 10n ** (bits / 4n), 10n ** (bits / 4n) - 1n);
    }
    const results = await jqMany(program, quantities.map(n => JSON.stringify(
        { results: { gas_price: hex(n), block: { number: '0X' } }, errors: {}, time: 1 })));
    quantities.forEach((n, i) => {
        const { gas_price: got, height } = JSON.parse(results[i].outputs[0]);
        assert.equal(got, n < 2n ** 53n ? Number(n) : String(n));
        assert.equal(height, null);
    });
    // the last ones: more than 256 bits are no quantity, and cost no time
    for (const odd of ['12', '', '0x', '0xzz', 'x', 5, null, {}, [], true, '0x-1', '0x1:', '0x1@', hex(2n ** 256n),
        `0x${'1'.repeat(100000)}`, `0x${'1'.repeat(1000000)}`]) {
        const [text] = await jq(program, JSON.stringify(
            { results: { gas_price: odd, syncing: false }, errors: {}, time: 1 }));
        assert.equal(JSON.parse(text).gas_price, null, JSON.stringify(odd));
    }
});

// ----------------------------------------------------------------------------------------------- chain

test('the chain stream must say what the node says, and null for what it does not', async t => {
    const chain = new Chain().grow(5);
    const { chain: s } = await chain.listen(t);
    const expected = {
        height: 4, gas_price: '4722366482869645213695', base_fee: 7, finalized: null, peer_count: null,
        syncing: false, chain_id: 31337, client: 'made/up', gas_used: 0, gas_limit: 30000000, tx_count: 0,
        block_time: 1004, block_interval: null,
    };
    const { data } = await s.poll(1000);
    assert.deepEqual(data, expected);
    for (const word of parseConf('ethereum')[0].history) {
        assert.ok(word.slice(1) in data, `the history of ${word} is of a member of the data`);
    }
    chain.methods.length = 0;
    assert.deepEqual((await s.poll(1002)).data, expected, 'chain_id and client are remembered');
    assert.deepEqual(chain.methods.sort(),
        ['eth_gasPrice', 'eth_getBlockByNumber', 'eth_syncing', 'net_peerCount']);
    chain.methods.length = 0;
    for (const time of [1004, 1006, 1008, 1010]) {
        await s.poll(time);
    }
    assert.equal(chain.methods.filter(m => m === 'eth_chainId').length, 1, 'and asked again after 10 s');

    chain.blocks.at(-1).timestamp = hex(1000);
    await s.poll(1020);
    chain.grow(2, 'a', 3);
    const grown = { ...expected, height: 6, gas_used: 63000, tx_count: 3, block_time: 1006, block_interval: 3 };
    assert.deepEqual((await s.poll(1024)).data, grown, '6 s for two blocks');
    assert.deepEqual((await s.poll(1026)).data, grown, 'as long as there is no other');
    chain.blocks.length = 5;
    assert.equal((await s.poll(1028)).data.block_interval, null, 'none when the chain is shorter');
    chain.blocks.at(-1).timestamp = hex(1004);
    assert.deepEqual((await s.poll(1030)).data, expected);

    chain.lacks.add('eth_getBlockByNumber');
    assert.deepEqual((await s.poll(1062)).data, { ...expected, base_fee: null, gas_used: null,
        gas_limit: null, tx_count: null, block_time: null }, 'height from eth_blockNumber');
    const syncing = await jq(parseConf('ethereum')[0].program, JSON.stringify({
        results: { syncing: { currentBlock: '0x10', highestBlock: '0x20', x: 1 } }, errors: {}, time: 1 }));
    assert.deepEqual(JSON.parse(syncing[0]).syncing, { current_block: 16, highest_block: 32 });
    for (const m of ['eth_blockNumber', 'eth_gasPrice', 'eth_syncing', 'eth_chainId', 'web3_clientVersion']) {
        chain.lacks.add(m);
    }
    await assert.rejects(s.poll(1200), /the node answers nothing: .*block: Method not found/);
});

test('a node that comes back as another chain must be told as what it is at once', async t => {
    const restarts = [
        chain => { chain.blocks.length = 0; chain.grow(3, 'n'); },              // shorter
        chain => { chain.blocks.length = 0; chain.grow(10, 'n'); },             // as long as before
        chain => { chain.blocks.length = 0; chain.grow(11, 'n'); },             // one block longer
    ];
    for (const restart of restarts) {
        const chain = new Chain().grow(10);
        const answer = chain.answer.bind(chain);
        const { chain: s } = await chain.listen(t);
        await s.poll(1000);
        await s.poll(1002);
        restart(chain);
        chain.answer = (m, p) => ({ eth_chainId: '0x1', web3_clientVersion: 'other/1' }[m] ?? answer(m, p));
        const { data } = await s.poll(1004);
        assert.deepEqual([data.chain_id, data.client], [1, 'other/1']);
        assert.match(s.notes.join(), /chain id 1 after 31337; the node is another one: other\/1 after made\/up/);
    }
    // longer, after it was away
    const chain = new Chain().grow(10);
    const answer = chain.answer.bind(chain);
    const { chain: s, blocks } = await chain.listen(t);
    await s.poll(1000);
    await blocks.poll();
    chain.blocks.length = 0;
    chain.grow(50, 'n');
    chain.answer = (m, p) => (m === 'eth_chainId' ? '0x1' : answer(m, p));
    assert.equal((await s.poll(1009)).data.chain_id, 1);
    await blocks.poll();
    assert.match(blocks.notes.join(), /^none of the 1 blocks delivered last is on the node's chain any more/);
});

// ---------------------------------------------------------------------------------------------- blocks

test('every block must be delivered once and in order, from the newest one on', async t => {
    const chain = new Chain().grow(10, 'a', 2);
    const { blocks: s } = await chain.listen(t);
    const first = await s.poll();
    assert.deepEqual(first.entries, [{
        number: 9, hash: '0xba9', parent_hash: '0xba8', timestamp: 1009, miner: '0xm', gas_used: 42000,
        gas_limit: 30000000, base_fee: 7, tx_count: 2,
    }]);
    assert.deepEqual(numbers(await s.poll()), []);
    chain.grow(1);
    assert.deepEqual(numbers(await s.poll()), [10]);
    assert.equal(s.asked.length, 1, 'one call when there is one new block');
    chain.grow(3);
    assert.deepEqual(numbers(await s.poll()), [11, 12, 13]);
});

test('after being away the stream must catch up without a hole, a bounded number in each poll', async t => {
    const chain = new Chain().grow(10);
    const { blocks: s } = await chain.listen(t);
    await s.poll();
    chain.grow(70);
    const got = [];
    for (const most of [25, 25, 20]) {
        const n = numbers(await s.poll());
        assert.equal(n.length, most);
        got.push(...n);
    }
    assert.deepEqual(got, range(10, 80));
});

// Polls until there is nothing new any more.
async function all(s, max = 400) {
    const out = [];
    for (let i = 0; i < max; i++) {
        const { entries } = await s.poll();
        if (entries.length === 0) break;
        out.push(...entries);
    }
    return out;
}

test('a thousand blocks at once, and many more while nobody listened, must not be skipped in silence', async t => {
    const chain = new Chain().grow(10, 'a', 1);
    const { blocks: s, transactions: x } = await chain.listen(t);
    await s.poll();
    await x.poll();
    chain.grow(1005, 'a', 1);
    assert.deepEqual((await all(s)).map(e => e.number), range(10, 1015));
    assert.deepEqual((await all(x)).map(e => e.block_number), range(10, 1015));
    chain.grow(4000);
    assert.deepEqual((await all(s)).map(e => e.number), range(1015, 5015));
    assert.deepEqual([s.notes, x.notes], [[], []]);

    chain.grow(10001, 'a');
    chain.grow(1, 'a', 1);
    const told = /^blocks 5015 to (\d+) are not delivered: more than 10000 came since the last one$/;
    const rest = await all(s);
    assert.equal(s.notes.length, 1);
    assert.equal(rest[0].number, Number(told.exec(s.notes[0])[1]) + 1, s.notes[0]);
    assert.equal(rest[0].number, 15017 - 1000);
    assert.deepEqual(s.gaps, [{ from: 5015, to: 14016 }], 'the gap');
    assert.deepEqual(rest.map(e => e.number), range(rest[0].number, 15017));
    for (let i = 0; i < 60; i++) {          // blocks without a transaction
        const { entries } = await x.poll();
        if (entries.length > 0) {
            assert.deepEqual(entries.map(e => e.block_number), [15016]);
        }
    }
    assert.equal(x.notes.length, 1);
    assert.match(x.notes[0], /^blocks 1015 to \d+ are not delivered/);
    assert.deepEqual(x.gaps.map(g => g.from), [1015]);
    assert.equal(JSON.parse(x.state).number, 15016);
});

test('a deep reorganisation must deliver all blocks that replace others, and say so', async t => {
    for (const [depth, longer] of [[12, 0], [13, 2], [30, 1], [30, -3], [64, 5], [100, 0], [240, 30]]) {
        const chain = new Chain().grow(20);
        const { blocks: s, transactions: x } = await chain.listen(t);
        await s.poll();
        await x.poll();
        chain.grow(300, 'a', 1);
        await all(s);
        await all(x);
        chain.blocks.length -= depth;
        chain.grow(depth + longer, 'r', 1);
        const expected = chain.blocks.filter(b => b.hash.startsWith('0xbr')).map(b => b.hash);
        const got = [];
        const gotx = [];
        for (let i = 0; i < 25; i++) {
            got.push(...(await s.poll()).entries.map(e => e.hash));
            gotx.push(...(await x.poll()).entries.map(e => e.block_hash));
        }
        assert.deepEqual(got, expected, `depth ${depth}, ${longer} longer`);
        assert.deepEqual(gotx, expected, `depth ${depth}, ${longer} longer`);
        assert.ok(s.notes.length > 0 === depth > 12 && s.notes.length < 3, `${depth}: ${s.notes}`);
        chain.grow(3, 'c');
        assert.deepEqual(numbers(await s.poll()), range(chain.blocks.length - 3, chain.blocks.length));
        assert.ok(s.state.length < 16384 && x.state.length < 16384);
    }
});

test('a reorganisation deeper than what is remembered must be told', async t => {
    const chain = new Chain().grow(20);
    const { blocks: s } = await chain.listen(t);
    await s.poll();
    chain.grow(600);
    await all(s);
    chain.blocks.length = 40;
    chain.grow(590, 'r');
    const got = (await all(s)).map(e => e.hash);
    assert.deepEqual(got, chain.blocks.slice(-got.length).map(b => b.hash), 'in order, without a hole');
    assert.ok(got.length >= 256, `${got.length}`);
    assert.match(s.notes.join('; '), /^none of the 256 blocks delivered last is on the node's chain any more: /);
});

test('blocks that do not name the one before as their parent must not stop the logs', async t => {
    const chain = new Chain().grow(20);
    const { blocks: s, transactions: x } = await chain.listen(t);
    await s.poll();
    await x.poll();
    const zeros = `0x${'0'.repeat(64)}`;
    for (const [polls, blocks] of [[4, 1], [2, 5], [2, 60]]) {
        const from = chain.blocks.length;
        chain.grow(blocks, 'a', 1);
        chain.blocks[from].parentHash = zeros;
        if (blocks > 1) chain.blocks[from + 3].parentHash = null;
        const got = [];
        const gotx = [];
        for (let i = 0; i < polls + 3; i++) {
            got.push(...numbers(await s.poll()));
            gotx.push(...(await x.poll()).entries.map(e => e.block_number));
        }
        assert.deepEqual(got, range(from, from + blocks));
        assert.deepEqual(gotx, range(from, from + blocks));
    }
    assert.deepEqual(s.notes, ['block 20 does not name block 19 as its parent: it is delivered all the same, '
        + 'as the node has that one still']);
    chain.grow(30);
    await all(s);
    // a reorganisation is seen all the same
    chain.blocks.length -= 40;
    chain.grow(45, 'r');
    const after = [];
    for (let i = 0; i < 6; i++) {
        after.push(...(await s.poll()).entries.map(e => e.hash));
    }
    assert.deepEqual(after, chain.blocks.slice(-45).map(b => b.hash));
});

test('rounds without a block must not stop the logs', async t => {
    for (const how of [null, undefined]) {              // null, or an error
        const chain = new Chain().grow(20);
        chain.error = { code: 12, message: 'requested epoch was a null round' };
        const answer = chain.answer.bind(chain);
        const gone = new Set();
        chain.answer = (m, p) => (gone.has(Number(p[0])) ? how : answer(m, p));
        const { blocks: s } = await chain.listen(t);
        await s.poll();
        chain.grow(2);
        for (const holes of [1, 1, 3]) {
            const before = chain.blocks.at(-1).hash;
            for (let i = 0; i < holes; i++) {
                gone.add(chain.blocks.length);
                chain.grow(1);
            }
            chain.grow(3);
            chain.blocks.at(-3).parentHash = before;
        }
        const got = [];
        for (let i = 0; i < 25; i++) {
            got.push(...numbers(await s.poll()));
        }
        assert.deepEqual(got, range(20, chain.blocks.length).filter(n => !gone.has(n)), `${how}`);
        assert.deepEqual(s.notes.filter(n => n.includes('not delivered')), []);
    }
});

test('blocks that the node never tells must be left out after some polls, with a note', async t => {
    const chain = new Chain().grow(20);
    const answer = chain.answer.bind(chain);
    chain.answer = (m, p) => ([22, 23].includes(Number(p[0])) ? undefined : answer(m, p));
    const { blocks: s } = await chain.listen(t);
    await s.poll();
    chain.grow(10);
    const got = [];
    for (let i = 0; i < 14; i++) {
        got.push(...numbers(await s.poll()));
    }
    assert.deepEqual(got, [20, 21, ...range(24, 30)]);
    assert.match(s.notes.at(-1), /^blocks 22 to 23 are not delivered: the node did not tell them in \d+ polls$/);
    assert.ok(s.notes.some(n => /^no block after 21 can be delivered/.test(n)), 'it says that it waits');
    assert.deepEqual(s.gaps, [{ from: 22, to: 23 }]);
    assert.equal(s.stale, null, 'it goes on');
});

test('a reorganisation must deliver the blocks that replace others, and only these', async t => {
    for (const depth of [1, 2, 5, 11]) {
        for (const longer of [-1, 0, 1, 3]) {
            const chain = new Chain().grow(20);
            const { blocks: s } = await chain.listen(t);
            await s.poll();
            chain.grow(10);
            await s.poll();
            chain.blocks.length -= depth;
            chain.grow(Math.max(depth + longer, 0), 'r');
            const expected = chain.blocks.filter(b => b.hash.startsWith('0xbr')).map(b => b.hash);
            const got = [];
            for (let i = 0; i < 3; i++) {
                got.push(...(await s.poll()).entries.map(e => e.hash));
            }
            assert.deepEqual(got, expected, `depth ${depth}, ${longer} longer`);
            chain.grow(12, 'c');
            const then = [];
            for (let i = 0; i < 2; i++) {
                then.push(...(await s.poll()).entries.map(e => e.hash));
            }
            assert.deepEqual(then, chain.blocks.slice(-12).map(b => b.hash), 'and goes on');
        }
    }
});

test('a chain begun anew must not silence the stream', async t => {
    const chain = new Chain().grow(500);
    const { blocks: s } = await chain.listen(t);
    await s.poll();
    chain.blocks.length = 0;
    chain.grow(4, 'n');
    assert.deepEqual((await s.poll()).entries.map(e => e.hash), ['0xbn0', '0xbn1', '0xbn2', '0xbn3']);
    chain.grow(2, 'n');
    assert.deepEqual(numbers(await s.poll()), [4, 5]);
});

test('blocks that fail to arrive must be asked for again, not skipped', async t => {
    const chain = new Chain().grow(10);
    const { blocks: s } = await chain.listen(t);
    await s.poll();
    chain.grow(5);
    const answer = chain.answer.bind(chain);
    chain.answer = (m, p) => (p[0] === '0xc' ? null : answer(m, p));
    assert.deepEqual(numbers(await s.poll()), [10, 11], 'up to the missing one');
    chain.answer = (m, p) => (p[0] === 'latest' ? answer(m, p) : undefined);
    assert.deepEqual(numbers(await s.poll()), []);
    chain.answer = answer;
    assert.deepEqual(numbers(await s.poll()), [12, 13, 14]);
    chain.answer = () => undefined;
    await assert.rejects(s.poll(), /no newest block: head: Method not found/);
    chain.answer = answer;
    chain.grow(1);
    assert.deepEqual(numbers(await s.poll()), [15]);
});

test('without its state the stream must go on after the last entry of its log', async t => {
    const chain = new Chain().grow(10, 'a', 1);
    const { blocks: s, transactions: x } = await chain.listen(t);
    await s.poll();
    await x.poll();
    chain.grow(3, 'a', 1);
    s.state = 'null';
    x.state = 'null';
    assert.deepEqual(numbers(await s.poll()), [10, 11, 12]);
    assert.deepEqual(txs(await x.poll()), ['0xta10-0', '0xta11-0', '0xta12-0']);
});

// ---------------------------------------------------------------------------------------- transactions

test('every transaction must be delivered once, with its receipt, however the node tells it', async t => {
    for (const lacks of [[], ['eth_getBlockReceipts'], ['eth_getBlockReceipts', 'eth_getTransactionReceipt']]) {
        const chain = new Chain().grow(5, 'a', 2);
        lacks.forEach(m => chain.lacks.add(m));
        const { transactions: s } = await chain.listen(t);
        const first = await s.poll();
        const known = lacks.length < 2;
        assert.deepEqual(first.entries, [0, 1].map(i => ({
            hash: `0xta4-${i}`, block_number: 4, block_hash: '0xba4', index: i, timestamp: 1004, from: '0xf',
            to: i ? null : '0xa', value: `400000000000000000${i}`, method: null, nonce: i, type: 2,
            gas_price: known ? 9 : 5, gas_used: known ? 21000 : null, status: known ? 1 - i : null,
            contract_address: known && i ? '0xc' : null,
        })));
        chain.grow(1);
        assert.deepEqual(txs(await s.poll()), []);
        chain.grow(3, 'a', 2);
        assert.deepEqual(txs(await s.poll()),
            ['0xta6-0', '0xta6-1', '0xta7-0', '0xta7-1', '0xta8-0', '0xta8-1']);
        assert.deepEqual(txs(await s.poll()), []);
    }
});

test('however a node says that it lacks eth_getBlockReceipts, each one\'s receipt is asked for', async t => {
    for (const [code, message, polls] of [[-32700, 'The method eth_getBlockReceipts does not exist', 1],
        [-32004, 'Method eth_getBlockReceipts is not supported', 1], [-32602, 'invalid argument', 1],
        [-32000, 'unknown', 2], [5, 'anything', 2], [null, 'no reply', 2]]) {
        const chain = new Chain().grow(5);
        const { transactions: s } = await chain.listen(t);
        await s.poll();
        chain.lacks.add('eth_getBlockReceipts');
        chain.error = { code, message };
        chain.grow(3, 'a', 2);
        const got = [];
        for (let i = 0; i < polls; i++) {
            got.push(...(await s.poll()).entries);
        }
        assert.deepEqual(got.map(e => [e.hash, e.status, e.gas_used]), range(5, 8).flatMap(n => [
            [`0xta${n}-0`, 1, 21000], [`0xta${n}-1`, 0, 21000]]), `${code}`);
        // and when that fails, too, the transactions come without
        chain.lacks.add('eth_getTransactionReceipt');
        chain.grow(6, 'a', 2);
        const then = [];
        for (let i = 0; i < 7; i++) {
            then.push(...(await s.poll()).entries);
        }
        assert.deepEqual(then.map(e => e.status), Array(12).fill(null), `${code}`);
        chain.lacks.clear();
        chain.grow(1, 'a', 2);
        assert.deepEqual((await s.poll()).entries.map(e => e.status), [1, 0], 'and with them when they are there');
    }
});

test('blocks with more transactions than one poll delivers must not lose any', async t => {
    for (const lacks of [[], ['eth_getBlockReceipts']]) {
        const chain = new Chain().grow(3);
        lacks.forEach(m => chain.lacks.add(m));
        const { transactions: s } = await chain.listen(t);
        await s.poll();
        chain.grow(1, "a", 1350).grow(1).grow(1, "a", 10).grow(6, "a", 45);
        const got = [];
        for (let i = 0; i < 26; i++) {
            const some = txs(await s.poll());
            assert.ok(some.length <= (lacks.length ? 100 : 1000), `${some.length} in a poll`);
            got.push(...some);
        }
        assert.deepEqual(got, chain.blocks.slice(3).flatMap(b => b.transactions.map(x => x.hash)));
    }
});

test('the first block\'s transactions must not be lost when they are more than one poll delivers', async t => {
    const chain = new Chain().grow(3).grow(1, 'a', 800);
    const { transactions: s } = await chain.listen(t);
    const got = txs(await s.poll());
    chain.grow(1, 'a', 5);
    for (let i = 0; i < 4; i++) {
        got.push(...txs(await s.poll()));
    }
    assert.deepEqual(got, chain.blocks.slice(3).flatMap(b => b.transactions.map(x => x.hash)));
});

test('a receipt that is late must be waited for, but not for ever', async t => {
    const chain = new Chain().grow(3);
    const { transactions: s } = await chain.listen(t);
    await s.poll();
    chain.grow(1, 'a', 3);
    chain.hidden.add('0xta3-1');
    assert.deepEqual(txs(await s.poll()), ['0xta3-0']);
    assert.deepEqual(txs(await s.poll()), []);
    chain.hidden.clear();
    const late = await s.poll();
    assert.deepEqual(late.entries.map(e => [e.hash, e.status]), [['0xta3-1', 0], ['0xta3-2', 1]]);
    chain.grow(1, 'a', 2);
    chain.hidden.add('0xta4-0');
    const got = [];
    for (let i = 0; i < 9; i++) {
        got.push(...(await s.poll()).entries.map(e => [e.hash, e.status]));
    }
    assert.deepEqual(got, [['0xta4-0', null], ['0xta4-1', 0]]);
});

test('a reorganisation must deliver the transactions that are new in it', async t => {
    const chain = new Chain().grow(10, 'a', 1);
    const { transactions: s } = await chain.listen(t);
    await s.poll();
    chain.grow(2, 'a', 1);
    await s.poll();
    chain.blocks.length -= 2;
    chain.grow(3, 'r', 1);
    assert.deepEqual(txs(await s.poll()), ['0xtr10-0', '0xtr11-0', '0xtr12-0']);
});

test('a program must not break on replies of another type', async () => {
    const odd = [null, 5, 'x', [], {}, [null, 5, 'x', { hash: 5 }, { hash: '0x1', number: '0x1' }],
        { hash: 'h', number: 'n', transactions: 'x' }, { hash: '0x1', number: '0x1', transactions: [1, null] }];
    const known = { number: 0, hash: '0x0', hashes: ['0x0'] };
    for (const s of parseConf('ethereum')) {
        for (const program of [s.program, ...s.calls.map(c => c.program).filter(Boolean)]) {
            const inputs = odd.flatMap(a => odd.flatMap(b => [null, known].map(state => JSON.stringify({
                results: Object.fromEntries(s.calls.map((c, i) => [c.name, i ? b : a])),
                errors: {}, previous: null, last: null, time: 1, state,
            }))));
            (await jqMany(program, inputs)).forEach(({ error }, i) => {
                assert.match(error ?? 'no newest block: -', /^(no newest block|the node answers nothing): ./,
                    `${s.name} ${inputs[i]}`);
            });
        }
    }
});

// ------------------------------------------------------------------------------------------- real node

// A real node: a block each second.
async function anvil(t) {
    const child = spawn(binary, ['--block-time', '1', '--port', '0', '--host', '127.0.0.1']);
    t.after(() => child.kill());
    const url = await new Promise((resolve, reject) => {
        let text = '';
        child.stdout.on('data', d => {
            text += d;
            const m = /Listening on (127\.0\.0\.1:\d+)/.exec(text);
            if (m) resolve(`http://${m[1]}`);
        });
        child.on('error', reject);
        child.on('exit', code => reject(new Error(`anvil ended with ${code}: ${text}`)));
    });
    const rpc = async (method, ...params) => {
        const { result, error } = await call(url, method, JSON.stringify(params));
        assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
        return JSON.parse(result);
    };
    const [from, to] = await rpc('eth_accounts');
    return { url, rpc, from, to, send: more => rpc('eth_sendTransaction', { from, to, value: '0x1', ...more }) };
}

const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

test('blocks and transactions of a real node must all arrive, once, as the node has them', async t => {
    const node = await anvil(t);
    const s = preset('ethereum', node.url);
    const blocks = [];
    const transactions = [];
    const sent = [];
    const step = async () => {
        blocks.push(...(await s.blocks.poll()).entries);
        transactions.push(...(await s.transactions.poll()).entries);
    };
    await step();
    for (let i = 0; i < 12; i++) {
        for (let k = 0; k < i % 4; k++) {
            sent.push(await node.send({ value: hex(10n ** 18n + BigInt(i)) }));
        }
        if (i === 5) {
            sent.push(await node.send({ to: undefined, data: '0x6001600055', gas: '0x20000' }));
            sent.push(await node.send({ to: undefined, data: '0xfe', gas: '0x20000' }));
            await sleep(4000);                          // several blocks in one poll
        }
        await sleep(450);
        await step();
    }
    await sleep(2200);                                  // the last ones are mined, too
    const last = Number(await node.rpc('eth_blockNumber'));
    await step();
    await step();

    assert.ok(blocks.length >= 9, `${blocks.length} blocks`);
    assert.deepEqual(blocks.map(b => b.number), range(blocks[0].number, blocks.at(-1).number + 1));
    assert.ok(blocks.at(-1).number >= last);
    for (const b of blocks) {
        const is = await node.rpc('eth_getBlockByNumber', hex(b.number), false);
        assert.deepEqual(b, {
            number: Number(is.number), hash: is.hash, parent_hash: is.parentHash,
            timestamp: Number(is.timestamp), miner: is.miner, gas_used: Number(is.gasUsed),
            gas_limit: Number(is.gasLimit), base_fee: Number(is.baseFeePerGas),
            tx_count: is.transactions.length,
        });
    }
    assert.equal(transactions.length, sent.length);
    assert.deepEqual(transactions.map(x => x.hash).sort(), sent.sort());
    assert.deepEqual(transactions.map(x => x.status).sort(), [0, ...Array(sent.length - 1).fill(1)]);
    for (const x of transactions) {
        const tx = await node.rpc('eth_getTransactionByHash', x.hash);
        const r = await node.rpc('eth_getTransactionReceipt', x.hash);
        const value = BigInt(tx.value);
        assert.deepEqual(x, {
            hash: tx.hash, block_number: Number(r.blockNumber), block_hash: r.blockHash,
            index: Number(r.transactionIndex), timestamp: x.timestamp, from: tx.from, to: tx.to,
            value: value < 2n ** 53n ? Number(value) : String(value), nonce: Number(tx.nonce),
            method: tx.to === null || tx.input.length < 10 ? null : tx.input.slice(0, 10),
            type: Number(tx.type), gas_price: Number(r.effectiveGasPrice), gas_used: Number(r.gasUsed),
            status: Number(r.status), contract_address: r.contractAddress,
        });
    }
    const { data } = await s.chain.poll();
    assert.equal(data.chain_id, 31337);
    assert.match(data.client, /^anvil\//);
    assert.ok(data.height >= last && data.gas_price > 0 && data.base_fee >= 0);
    assert.deepEqual([data.peer_count, data.syncing], [null, false], 'anvil has no net_peerCount');
});

test('a reorganisation of a real node must bring the blocks that replace others', async t => {
    const node = await anvil(t);
    const { blocks: s } = preset('ethereum', node.url);
    await s.poll();
    await node.rpc('anvil_mine', hex(8));
    const before = (await s.poll()).entries;
    assert.ok(before.length >= 8);
    await node.rpc('anvil_reorg', 3, []);
    const after = (await s.poll()).entries;
    assert.ok(after.length >= 3, `${after.length} after the reorganisation`);
    for (const b of after) {
        assert.equal((await node.rpc('eth_getBlockByNumber', hex(b.number), false)).hash, b.hash);
        assert.ok(!before.some(x => x.hash === b.hash));
    }
    await node.rpc('anvil_mine', hex(40));
    const more = [...(await s.poll()).entries, ...(await s.poll()).entries];
    assert.deepEqual(numbers({ entries: more }), range(after.at(-1).number + 1, more.at(-1).number + 1));
    assert.ok(more.length >= 40);
});

test('whatever a chain does, every block of it must arrive once, after its parent', async t => {
    let x = Number(process.env.BLOCKCAST_SEED ?? 20261128);
    const random = n => { x = (Math.imul(x, 1103515245) + 12345) >>> 0; return Math.floor(x / 2 ** 32 * n); };
    for (let run = 0; run < 3; run++) {
        const chain = new Chain().grow(30, 'a', 1);
        const { blocks: s, transactions: tx } = await chain.listen(t);
        const answer = chain.answer.bind(chain);
        const got = [];
        const gotx = [];
        const poll = async () => {
            got.push(...(await s.poll().catch(() => ({ entries: [] }))).entries);
            gotx.push(...(await tx.poll().catch(() => ({ entries: [] }))).entries);
        };
        await poll();
        for (let i = 0; i < 60; i++) {
            const what = random(10);
            if (what < 3) {
                const depth = Math.max(Math.min([1, 3, 15, 60][random(4)], chain.blocks.length - 31), 0);
                chain.blocks.length -= depth;
                chain.grow(random(depth + 4), `r${i}x`, 1);
            } else if (what < 9) {
                chain.grow(random(random(5) ? 4 : 80), `g${i}x`, 1);
            }
            // now and then a call fails, or the chain changes within a poll
            const bad = random(4) === 0;
            chain.answer = (m, p) => {
                if (bad && random(8) === 0) return undefined;
                if (random(400) === 0 && chain.blocks.length > 33) {
                    chain.blocks.length -= 2;
                    chain.grow(3, `w${i}x${random(1e6)}`, 1);
                }
                return answer(m, p);
            };
            await poll();
        }
        chain.answer = answer;
        for (let i = 0; i < 60; i++) {
            await poll();
        }
        const seen = new Map(got.map((b, i) => [b.hash, i]));
        assert.equal(seen.size, got.length, 'none twice');
        const first = chain.blocks.findIndex(b => seen.has(b.hash));
        assert.ok(first <= 31, `${first}`);
        for (const b of chain.blocks.slice(first + 1)) {
            assert.ok(seen.has(b.hash), `${b.hash} ${s.notes}`);
            assert.ok(!seen.has(b.parentHash) || seen.get(b.parentHash) < seen.get(b.hash), `${b.hash} before ${b.parentHash} ${seen.get(b.hash)} ${seen.get(b.parentHash)}: ${got.map(g => g.hash).slice(seen.get(b.hash) - 8, seen.get(b.parentHash) + 2)} ${s.notes}`);
        }
        const sent = new Set(gotx.map(e => e.hash));
        assert.equal(sent.size, gotx.length, 'no transaction twice');
        for (const b of chain.blocks.slice(31)) {
            assert.ok(sent.has(b.transactions[0].hash), `${b.hash} ${tx.notes}`);
        }
        assert.deepEqual([...s.notes, ...tx.notes].filter(n => /not delivered|does not name/.test(n)), []);
    }
});
