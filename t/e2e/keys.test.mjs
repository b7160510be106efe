// Watched accounts of a real Ethereum node (anvil) through the presets' streams with a key: if this fails, a
// visitor sees an old balance, somebody else's, or the node is asked more often than it has to be.

import test from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { gateway } from '../lib/gateway.mjs';
import { anvil, hex, quantity, sleep, text, until } from './lib/anvil.mjs';

const through = (t, node, more = '') => gateway(t, {
    workers: 2,
    http: `blockcast_zone main 64m;\n${text('ethereum.conf')}\n${text('ethereum-keys.inc')}`,
    server: `location /ws { blockcast_websocket; blockcast_message_rate 1000; } location /api/ { blockcast_api; }
        location = /_node { internal; blockcast_node max_reply=8m batch=100 ${more}; proxy_pass http://127.0.0.1:${node.port}/;
        proxy_http_version 1.1; proxy_set_header Connection ""; }`,
});

// A client that watches some keys and comes back when it is sent away.
class Client {
    constructor(port, stream, keys) {
        Object.assign(this, { port, stream, keys, got: new Map(), seqs: new Map(), wrong: [], ends: 0 });
        this.connect();
    }

    connect() {
        this.ws = new WebSocket(`ws://127.0.0.1:${this.port}/ws`);
        const fresh = new Set(this.keys);
        this.ws.on('open', () => this.ws.send(JSON.stringify(
            { type: 'subscribe', stream: this.stream, keys: this.keys })));
        this.ws.on('error', () => {});
        this.ws.on('close', () => { this.ends++; if (!this.over) setTimeout(() => this.connect(), 100); });
        this.ws.on('message', m => {
            const { type, key, data, seq, message } = JSON.parse(m);
            if (type === 'error') this.wrong.push(message);
            if (type !== this.stream) return;
            const before = this.seqs.get(key) ?? 0;
            // what a client has it gets again only when it comes back
            if (fresh.has(key) ? seq < before : seq !== before + 1) this.wrong.push(`${key}: ${before} -> ${seq}`);
            if (!fresh.has(key) && JSON.stringify(this.got.get(key)) === JSON.stringify(data)) {
                this.wrong.push(`${key}: the same twice`);
            }
            fresh.delete(key);
            this.seqs.set(key, seq);
            this.got.set(key, data);
        });
    }

    end() {
        this.over = true;
        this.ws.terminate();
    }
}

const WATCHED = Number(process.env.BLOCKCAST_WATCHED ?? 2000);

test('each change of each watched account arrives once, and the node is asked once for each and block', async t => {
    const node = await anvil(t);
    const gw = await through(t, node);
    const accounts = Array.from({ length: WATCHED }, (_, i) => `0x${(0xabc000000000n + BigInt(i)).toString(16).padStart(40, '0')}`);
    const clients = [];
    for (let i = 0; i < WATCHED; i += 100) clients.push(new Client(gw.port, 'balance', accounts.slice(i, i + 100)));
    // a second one for some: it costs the node nothing
    clients.push(new Client(gw.port, 'balance', accounts.slice(0, 100).map(a => a.toUpperCase().replace('X', 'x'))));
    clients.at(-1).keys = accounts.slice(0, 100);
    t.after(() => clients.forEach(c => c.end()));

    const all = () => clients.every(c => c.keys.every(k => c.got.has(k)));
    await until('the first data of all', all);
    assert.deepEqual(clients[3].got.get(clients[3].keys[7]), { balance: 0, nonce: 0 });

    let x = Number(process.env.BLOCKCAST_SEED ?? 22);
    const random = n => { x = (Math.imul(x, 1103515245) + 12345) >>> 0; return Math.floor(x / 2 ** 32 * n); };
    const sent = new Map(accounts.map(a => [a, 0n]));
    const mine = async n => {
        const changed = new Set();
        for (let i = 0; i < n; i++) {
            const to = accounts[random(WATCHED)];
            const value = BigInt(random(1e9)) + 1n;
            await node.rpc('eth_sendTransaction', { from: node.accounts[random(8)], to, value: hex(value), gas: '0x5208' });
            sent.set(to, sent.get(to) + value);
            changed.add(to);
        }
        await node.rpc('anvil_mine');
        return changed;
    };
    const right = () => clients.every(c => c.keys.every(k => c.got.get(k).balance === quantity(sent.get(k))));

    // undisturbed: the node is asked for each account once a block, and not between two
    await until('no poll under way', async () => {
        const n = node.counted.eth_getBalance.length;
        await sleep(1500);
        return n === node.counted.eth_getBalance.length;
    });
    for (let round = 0; round < 3; round++) {
        const before = clients.map(c => new Map(c.seqs));
        node.counted.eth_getBalance = [];
        const changed = await mine(60);
        await until('what a block changed', right);
        await sleep(1200);
        const asked = node.counted.eth_getBalance;
        assert.equal(new Set(asked).size, WATCHED, 'each account is asked for');
        assert.equal(asked.length, WATCHED, 'once');
        clients.forEach((c, i) => c.keys.forEach(k => assert.equal(
            c.seqs.get(k), before[i].get(k) + (changed.has(k) ? 1 : 0), `${k}: a message for each change`)));
    }

    // disturbed: a worker is killed, all of them are, the configuration is read again
    for (const what of ['worker', 'workers', 'reload']) {
        const ends = clients.reduce((n, c) => n + c.ends, 0);
        await mine(40);
        if (what === 'reload') {
            await gw.do('signal', { name: 'HUP' });
        } else {
            const { workers: pids } = await gw.do('workers');
            for (const pid of what === 'worker' ? pids.slice(0, 1) : pids) process.kill(pid, 'SIGKILL');
        }
        if (what !== 'worker') {
            await until(`the clients come back (${what})`, () => clients.reduce((n, c) => n + c.ends, 0) > ends);
        }
        await mine(40);
        // before the interval of 60 s, which is not what it is polled for
        await until(`what was changed meanwhile (${what})`, right, 50 * (process.env.BLOCKCAST_SANITIZE ? 3 : 1));
    }
    clients.forEach(c => assert.deepEqual(c.wrong, []));

    const balances = await node.batch(accounts.map(a => ['eth_getBalance', a, 'latest']));
    accounts.forEach((a, i) => assert.equal(quantity(balances[i]), quantity(sent.get(a))));

    clients.forEach(c => c.end());
    await gw.do('allow', { pattern: 'exited on signal 9' });
});

test('a transaction is unknown, pending, mined and then confirmed', async t => {
    const node = await anvil(t);
    const gw = await through(t, node);
    const [from, to] = node.accounts;
    await node.rpc('anvil_mine');
    const hash = await node.rpc('eth_sendTransaction', { from, to, value: '0x5', gas: '0x5208' });
    const none = `0x${'1'.repeat(64)}`;
    const client = new Client(gw.port, 'transaction', [hash, none]);
    t.after(() => client.end());

    await until('the first state', () => client.got.has(hash) && client.got.has(none));
    assert.deepEqual([client.got.get(hash).state, client.got.get(hash).confirmations], ['pending', 0]);
    assert.equal(client.got.get(none).state, 'unknown');
    await node.rpc('anvil_mine');
    await until('it is mined', () => client.got.get(hash).state === 'mined');
    const { block, value, gas_used } = client.got.get(hash);
    assert.deepEqual([block, value, gas_used, client.got.get(hash).confirmations], [2, 5, 21000, 1]);
    await node.rpc('anvil_mine', hex(3));
    await until('it is confirmed', () => client.got.get(hash).confirmations === 4);
    const r = await fetch(`http://127.0.0.1:${gw.port}/api/streams/transaction/${hash.toUpperCase().replace('X', 'x')}`);
    assert.equal((await r.json()).data.confirmations, 4, 'REST has the same');
    assert.deepEqual(client.wrong, []);
    client.end();
});

test('a budget of calls is kept, and every change is there in the end', async t => {
    const node = await anvil(t);
    const gw = await through(t, node, 'rate=100');
    const accounts = Array.from({ length: 200 }, (_, i) => `0x${(0xdef000000000n + BigInt(i)).toString(16).padStart(40, '0')}`);
    const clients = [new Client(gw.port, 'balance', accounts.slice(0, 100)), new Client(gw.port, 'balance', accounts.slice(100))];
    t.after(() => clients.forEach(c => c.end()));
    await until('the first data of all', () => clients.every(c => c.got.size === 100));
    const calls = () => Object.values(node.counted).reduce((n, c) => n + c.length, 0);
    const sent = new Map(accounts.map(a => [a, 0]));
    const before = calls();
    const began = Date.now();
    for (let i = 0; i < 8; i++) {
        const to = accounts[i * 23];
        await node.rpc('eth_sendTransaction', { from: node.accounts[0], to, value: '0x7', gas: '0x5208' });
        await node.rpc('anvil_mine');
        sent.set(to, sent.get(to) + 7);
        await sleep(1000);
    }
    const rate = (calls() - before) / (Date.now() - began) * 1000;
    // 100 a second, and what one call for 50 accounts may be ahead
    assert.ok(rate < 125, `${rate} calls a second`);
    await until('the last change of each', () => clients.every(c => c.keys.every(k => c.got.get(k).balance === sent.get(k))));
    clients.forEach(c => assert.deepEqual(c.wrong, []));
    clients.forEach(c => c.end());
});
