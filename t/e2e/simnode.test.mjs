// The simulated node: every test, benchmark and the newcomer's first page stand on it, so it must
// behave as the real node was measured to behave.

import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { rawMembers, toJson } from '../../conf/simnode/world.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const program = path.join(here, '../../conf/simnode.mjs');
const recorded = path.join(here, '../recorded');

// Starts a simulated node on a free port, stops it when the test ends.
async function start(t, ...args) {
    const child = spawn(process.execPath, [program, '--port', '0', ...args]);
    t.after(() => child.kill());
    const line = await new Promise((resolve, reject) => {
        child.stdout.once('data', d => resolve(String(d)));
        child.once('exit', code => reject(new Error(`exit ${code}`)));
    });
    const port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(line)[1]);
    return {
        child, port, line,
        post: (body, options) => post(port, body, options),
        call: async (method, params, options) =>
            JSON.parse((await post(port, { jsonrpc: '2.0', id: 1, method, params }, options)).text),
        control: async (what, body) => {
            const reply = await post(port, body ?? {}, { path: `/control/${what}` });
            assert.equal(reply.status, 200, reply.text);
        },
        clearFaults: () => post(port, {}, { path: '/control/fault', method: 'DELETE' }),
        stats: async () => JSON.parse(
            (await post(port, '', { path: '/control/stats', method: 'GET' })).text),
    };
}

function post(port, body, { headers = {}, path: p = '/', method = 'POST', agent = false } = {}) {
    return new Promise((resolve, reject) => {
        const req = http.request({ port, host: '127.0.0.1', method, path: p, headers, agent }, res => {
            let text = '';
            res.setEncoding('utf8');
            res.on('data', d => { text += d; });
            res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text }));
            res.on('error', reject);
            res.on('aborted', () => reject(Object.assign(new Error('truncated'), { text })));
        });
        req.on('error', reject);
        req.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
}

const FROZEN = ['--seed', '7', '--start', '1795000000'];

test('without it listening and saying where, conf/run starts nginx against nothing', async t => {
    const node = await start(t);
    assert.match(node.line, /^simulated node \(both, seed 1\) listens on http:\/\/127\.0\.0\.1:\d+\n$/);
    node.child.kill('SIGTERM');
    const code = await new Promise(resolve => { node.child.once('exit', resolve); });
    assert.equal(code, 0);
});

test('a mistyped option would silently simulate something else', async () => {
    for (const [args, message] of [
        [['--dialect', 'x'], '--dialect must be seed, real or both, not x'],
        [['--prot', '1'], 'unknown option --prot'],
        [['--port'], '--port has a bad value'],
        [['--replay', '/nonexistent'], 'there is no folder /nonexistent'],
    ]) {
        const child = spawn(process.execPath, [program, ...args]);
        let text = '';
        child.stderr.on('data', d => { text += d; });
        const code = await new Promise(resolve => { child.once('close', resolve); });
        assert.equal(code, 1);
        assert.ok(text.includes(message), text);
    }
});

test('replies of another form than the node\'s would be parsed by luck', async t => {
    const node = await start(t);
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const reply = await node.post('{"jsonrpc":"2.0","id":1,"method":"consensus.difficulty"}', { agent });
    assert.equal(reply.status, 200);
    assert.match(reply.text, /^\{"id":1,"jsonrpc":"2\.0","result":\{"difficulty":\d+\}\}$/);
    assert.equal(reply.headers['content-type'], 'application/json');
    assert.equal(reply.headers['keep-alive'], 'timeout=90');
    assert.equal((await node.post('{"id":2,"method":"no.such"}')).text,
        '{"error":{"code":-32601,"message":"method not found"},"id":2,"jsonrpc":"2.0"}');
});

test('an id that comes back changed would be taken for another call\'s reply', async t => {
    const node = await start(t);
    for (const id of ['18446744073709551615', '"a\\"b}"', 'null', '1.50', '{"x":[1,2]}']) {
        const { text } = await node.post(`{"method":"whoami", "id" : ${id} ,"params":{"id":7}}`);
        assert.equal(text, `{"id":${id},"jsonrpc":"2.0","result":{"address":"","handle":null}}`);
    }
});

test('params of any kind that the node takes must be taken, a batch and garbage refused', async t => {
    const node = await start(t);
    for (const params of [{}, [], undefined]) {
        assert.deepEqual((await node.call('mesh.peers', params)).result, { peers: [] });
    }
    for (const body of ['[{"jsonrpc":"2.0","id":1,"method":"whoami"}]', 'hello', '', '{"id":1,']) {
        assert.equal((await node.post(body)).text,
            '{"error":{"code":-32700,"message":"parse error"},"id":null,"jsonrpc":"2.0"}');
    }
});

test('a Host that the real node refuses must be refused, or a broken proxy setup passes', async t => {
    const node = await start(t);
    const body = '{"id":1,"method":"whoami"}';
    for (const host of ['localhost', 'localhost:1', '127.0.0.1', '127.0.0.1:9933', 'LOCALHOST']) {
        assert.equal((await node.post(body, { headers: { host } })).status, 200, host);
    }
    for (const host of ['node', 'example.com:9933', '127.0.0.2', 'localhost.evil']) {
        const reply = await node.post(body, { headers: { host } });
        assert.deepEqual([reply.status, reply.text], [403, ''], host);
    }
    assert.equal((await node.stats()).refused_host, 4);
});

test('above 100 requests a second the node bans: a poller that asks too much must be seen', async t => {
    const node = await start(t, '--ban', '1');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const replies = [];
    for (let i = 0; i < 130; i++) {
        replies.push(await node.post('{"id":5,"method":"whoami"}', { agent }));
    }
    const first = replies.findIndex(r => r.status === 429);
    assert.ok(first >= 100 && first < 129, `first refusal was number ${first}`);
    assert.equal(replies[first].text,
        '{"error":{"code":-32001,"message":"rate limited"},"id":null,"jsonrpc":"2.0"}');
    assert.equal(replies[first].headers.connection, 'close');
    for (const r of replies.slice(first + 1)) {
        assert.equal(r.status, 429);
        assert.equal(r.text, '{"error":{"code":-32002,"message":"banned"},"id":null,"jsonrpc":"2.0"}');
    }
    assert.equal((await node.stats()).by_method.whoami, first, 'the control path is not banned');
    await new Promise(resolve => { setTimeout(resolve, 1100); });
    assert.equal((await node.post('{"id":5,"method":"whoami"}')).status, 200, 'the ban ends');
});

test('the energy methods\' own limit is told in a 200, where a poller may overlook it', async t => {
    const node = await start(t, '--energy-limit', '2');
    const codes = [];
    for (let i = 0; i < 4; i++) {
        const r = await node.post('{"id":9,"method":"energy.receipts","params":{}}');
        assert.equal(r.status, 200);
        codes.push(JSON.parse(r.text).error?.code ?? 0);
    }
    assert.deepEqual(codes, [0, 0, -32001, -32002]);
    assert.ok((await node.call('mempool.stats')).result, 'other methods go on');
});

test('without the token the energy methods must refuse, or a lost header is not noticed', async t => {
    const node = await start(t, '--token', 's3cret');
    assert.deepEqual((await node.call('energy.market_state')).error,
        { code: -33009, message: 'unauthorized' });
    assert.deepEqual((await node.call('energy.receipts', {},
        { headers: { authorization: 'Bearer wrong' } })).error.code, -33009);
    assert.ok((await node.call('energy.receipts', {},
        { headers: { authorization: 'Bearer s3cret' } })).result.receipts);
    assert.ok((await node.call('mempool.stats')).result);
});

test('the real dialect must have the real node\'s methods and no other', async t => {
    const node = await start(t, '--dialect', 'real', '--energy-limit', '99');
    const codes = {};
    for (const file of fs.readdirSync(recorded)) {
        const method = file.replace(/\.json$/, '');
        const was = JSON.parse(fs.readFileSync(path.join(recorded, file), 'utf8'));
        const is = await node.call(method, {});
        codes[method] = is.error?.code;
        assert.equal(is.error?.code, was.error?.code, method);
        if (was.result !== undefined) {
            assert.equal(Array.isArray(is.result), Array.isArray(was.result), method);
            assert.equal(typeof is.result, typeof was.result, method);
        }
    }
    assert.equal(Object.keys(codes).length, 42);
    for (const method of ['light.latest_header', 'light.headers']) {
        assert.ok((await node.call(method, {})).result, method);
    }
    const headers = (await node.call('light.headers', { start: 0, limit: 3 })).result;
    assert.deepEqual(headers.map(h => Object.keys(h)), Array(3).fill(['difficulty', 'hash', 'height']));
});

test('the seed dialect must have the methods and fields that the design document names', async t => {
    const node = await start(t, '--dialect', 'seed');
    const fields = {
        'net.stats': ['active_connections', 'bandwidth_in', 'bandwidth_out', 'tps'],
        'light.latest_header': ['finality_time', 'number'],
        'compute_market.stats': ['active_jobs', 'providers'],
        'storage.stats': ['providers', 'total_stored'],
        'energy.market_state': ['active_traders', 'total_credits'],
        'ad_market.stats': ['active_campaigns', 'total_impressions'],
        'scheduler.stats': ['avg_wait_time_ms', 'ops_per_block', 'ops_per_second', 'pending_operations'],
    };
    for (const [method, names] of Object.entries(fields)) {
        assert.deepEqual(Object.keys((await node.call(method, {})).result), names, method);
    }
    const { peers } = (await node.call('net.peers')).result;
    assert.ok(peers.length > 10);
    assert.deepEqual(Object.keys(peers[0]), ['address', 'id', 'is_validator', 'latency_ms']);
    assert.equal((await node.call('net.peer_stats_all')).error.code, -32601);

    const { receipts } = (await node.call('receipt.audit', { limit: 10 })).result;
    assert.equal(receipts.length, 10);
    for (let i = 1; i < 10; i++) {
        assert.ok(receipts[i - 1].block_height >= receipts[i].block_height, 'newest first');
    }
});

test('the same seed and time must give the same answers, or no failing test can be repeated', async t => {
    const ask = async (...args) => {
        const node = await start(t, ...args);
        await node.control('clock', { elapsed: 90, freeze: true });
        const texts = [];
        for (const method of ['receipt.audit', 'settlement.audit', 'energy.receipts', 'net.peers',
            'net.peer_stats_all', 'energy.market_state', 'light.latest_header', 'net.stats']) {
            texts.push((await node.post({ id: 1, method, params: {} })).text);
        }
        return texts;
    };
    const one = await ask(...FROZEN);
    assert.deepEqual(await ask(...FROZEN), one);
    const other = await ask('--seed', '8', '--start', '1795000000');
    other.forEach((text, i) => assert.notEqual(text, one[i]));
});

test('data that stands still would make a dead stream look alive', async t => {
    const node = await start(t, ...FROZEN, '--rate-limit', '10000');
    const seen = new Map();
    for (let elapsed = 0; elapsed <= 300; elapsed += 10) {
        await node.control('clock', { elapsed, freeze: true });
        for (const method of ['light.latest_header', 'net.stats', 'compute_market.stats', 'net.peers',
            'ad_market.stats', 'storage.stats', 'net.peer_stats_all', 'scheduler.stats']) {
            const list = seen.get(method) ?? seen.set(method, []).get(method);
            list.push((await node.call(method, {})).result);
        }
    }
    for (const [method, list] of seen) {
        assert.ok(new Set(list.map(r => JSON.stringify(r))).size > 20, method);
    }
    const heights = seen.get('light.latest_header').map(h => h.height);
    assert.ok(heights.every((h, i) => i === 0 || h > heights[i - 1]), 'blocks advance');
    assert.ok(seen.get('compute_market.stats').some(s => s.active_jobs === 0), 'goes idle');
    assert.ok(seen.get('compute_market.stats').some(s => s.active_jobs > 0), 'and wakes');
    assert.ok(new Set(seen.get('net.peers').map(r => r.peers.length)).size > 3, 'peers come and go');
    const bytes = seen.get('net.peer_stats_all')
        .map(all => all.map(x => [x.peer_id, x.metrics.bytes_sent]));
    for (let i = 1; i < bytes.length; i++) {
        const before = new Map(bytes[i - 1]);
        for (const [id, n] of bytes[i]) {
            assert.ok(!before.has(id) || n > before.get(id), 'byte counters grow');
        }
    }
});

test('amounts above 2^53 must be printed exactly, or the loss of digits is never tested', async t => {
    const node = await start(t, ...FROZEN);
    const { text } = await node.post({ id: 1, method: 'receipt.audit', params: { limit: 300 } });
    const amounts = [...text.matchAll(/"amount":(\d+)/g)].map(m => BigInt(m[1]));
    const big = amounts.filter(a => a > 2n ** 53n);
    assert.ok(big.length >= 5, `${big.length} big amounts`);
    assert.ok(big.includes(18446744073709551615n));
    assert.ok(big.every(a => a < 2n ** 64n));
    const markets = new Set([...text.matchAll(/"market":"(\w+)"/g)].map(m => m[1]));
    assert.deepEqual([...markets].sort(), ['ads', 'compute', 'energy', 'storage']);
    const ids = [...text.matchAll(/"id":"(.*?)"/g)].map(m => m[1]);
    assert.equal(new Set(ids).size, ids.length, 'ids are unique');
    const audit = (await node.post({ id: 1, method: 'settlement.audit' })).text;
    assert.ok([...audit.matchAll(/"balance":(\d+)/g)].every(m => BigInt(m[1]) < 2n ** 64n));
});

test('the pages of energy.receipts must hold every receipt once, newest block first', async t => {
    const node = await start(t, ...FROZEN, '--energy-limit', '99');
    await node.control('clock', { elapsed: 5, freeze: true });
    await node.control('receipts', { n: 600, market: 'energy' });
    const all = [];
    for (let page = 0; ; page++) {
        const r = (await node.call('energy.receipts', { page, page_size: 1000 })).result;
        assert.deepEqual([r.page, r.page_size, r.status], [page, 250, 'ok']);
        assert.equal(r.total, (await node.stats()).energy_receipts);
        if (r.receipts.length === 0) {
            break;
        }
        all.push(...r.receipts);
    }
    assert.equal(all.length, (await node.stats()).energy_receipts);
    assert.equal(new Set(all.map(r => r.meter_reading_hash)).size, all.length);
    assert.ok(all.every((r, i) => i === 0 || all[i - 1].block_settled >= r.block_settled));
    assert.equal((await node.call('energy.receipts', {})).result.receipts.length, 25, 'default size');
});

test('receipts put in by a test must appear at once, in the market asked for', async t => {
    const node = await start(t, ...FROZEN);
    await node.control('clock', { elapsed: 5, freeze: true });
    const before = (await node.stats()).receipts;
    await node.control('receipts', { n: 8 });
    assert.equal((await node.stats()).receipts, before + 8);
    const { receipts } = (await node.call('receipt.audit', { limit: 8 })).result;
    assert.deepEqual(receipts.map(r => r.market).sort(),
        ['ads', 'ads', 'compute', 'compute', 'energy', 'energy', 'storage', 'storage']);
    await node.control('receipts', { n: 300, market: 'compute' });
    const audit = (await node.call('settlement.audit')).result;
    assert.equal(audit.length, 256, 'the ledger keeps 256 records');
    assert.ok(audit.every((r, i) => i === 0 || r.sequence === audit[i - 1].sequence + 1), 'in order');
});

test('each way to fail must be what it says, or the module is tested against nothing', async t => {
    const node = await start(t);
    const ask = () => node.post('{"jsonrpc":"2.0","id":4,"method":"whoami","params":{}}');
    const expected = {
        unknown: [200, /"code":-32601.*"id":4/], rate_limited: [429, /-32001.*"id":null/],
        banned: [429, /-32002.*"id":null/], energy_limited: [200, /-32001.*"id":4/],
        host_403: [403, /^$/], not_json: [200, /^<html>/], empty_body: [200, /^$/],
        wrong_id: [200, /"id":987654321/], no_id: [200, /^\{"jsonrpc":"2.0","result":/],
        both: [200, /"error":.*"result":/], neither: [200, /^\{"id":4,"jsonrpc":"2.0"\}$/],
        array: [200, /^\[\{"id":4.*\}\]$/], huge: [200, /^.{4194304}/],
        other_type: [200, /"result":"telemetry disabled"/], null: [200, /"result":null/],
        unavailable: [200, /"result":\{"status":"unavailable"\}/],
        error: [200, /"code":-32000/], http_500: [500, /internal error/],
    };
    for (const [fault, [status, pattern]] of Object.entries(expected)) {
        await node.control('fault', { method: 'whoami', fault, count: 1 });
        const reply = await ask();
        assert.equal(reply.status, status, fault);
        assert.match(reply.text, pattern, fault);
        assert.match((await ask()).text, /"address":""/, `${fault} once only`);
    }
    await node.control('fault', { method: '*', fault: 'drop', count: 1 });
    await assert.rejects(ask(), { code: 'ECONNRESET' });
    for (const fault of ['truncate', 'truncate_chunked']) {
        await node.control('fault', { method: 'whoami', fault, count: 1 });
        await assert.rejects(ask(), e => e.message === 'truncated' || e.code === 'ECONNRESET');
    }
    await node.control('fault', { method: 'whoami', fault: 'slow', ms: 300, count: 1 });
    const slow = Date.now();
    assert.match((await ask()).text, /"address":""/);
    assert.ok(Date.now() - slow >= 290);

    await node.control('fault', { method: 'whoami', fault: 'hang' });
    const hung = ask().then(() => 'answered', () => 'cut');
    assert.equal(await Promise.race([hung, new Promise(r => { setTimeout(r, 400, 'hangs'); })]), 'hangs');
    assert.match((await node.call('mesh.peers')).result.peers.length + '', /0/, 'others are answered');
    assert.equal((await node.stats()).in_flight.whoami, 1);
    await node.clearFaults();
    assert.match((await ask()).text, /"address":""/);

    const bad = await node.post({ fault: 'expload' }, { path: '/control/fault' });
    assert.equal(bad.status, 400);
    assert.match(bad.text, /not \\"expload\\"/);
});

test('a result set by a test must come back byte for byte', async t => {
    const node = await start(t);
    const result = '{"n": 18446744073709551615, "f":1.10,"s":"\\u00e9}" }';
    await node.post(`{"method":"whoami","result":${result}}`, { path: '/control/set' });
    assert.equal((await node.post('{"id":1,"method":"whoami"}')).text,
        `{"id":1,"jsonrpc":"2.0","result":${result}}`);
    await node.post('{"method":"no.such","error":{"code":-1,"message":"x"}}', { path: '/control/set' });
    assert.deepEqual((await node.call('no.such')).error, { code: -1, message: 'x' });
    await node.control('set', { method: 'whoami' });
    assert.equal((await node.call('whoami')).result.handle, null);
});

test('a call of the header on an empty chain must stop the chain for ever, as it does in the node', async t => {
    const node = await start(t, '--dialect', 'real');
    await node.control('empty');
    assert.deepEqual((await node.call('light.headers', { start: 0, limit: 1 })).result, [], 'harmless');
    assert.deepEqual((await node.call('settlement.audit')).result, []);
    assert.equal((await node.call('energy.receipts')).result.total, 0);
    await node.control('empty', { empty: false });
    await new Promise(resolve => { setTimeout(resolve, 1800); });
    assert.ok((await node.call('light.latest_header')).result.hash, 'it mines');

    await node.control('empty');
    await assert.rejects(node.call('light.latest_header'), { code: 'ECONNRESET' });
    await node.control('empty', { empty: false });
    await new Promise(resolve => { setTimeout(resolve, 1800); });
    for (const method of ['light.latest_header', 'light.headers']) {
        await assert.rejects(node.call(method), { code: 'ECONNRESET' });
    }
    assert.equal((await node.call('consensus.difficulty')).result.difficulty, 1);
    await node.control('reset');
    assert.ok((await node.call('light.latest_header')).result.hash);
});

test('while the chain mines, one call that needs it can hold up all others', async t => {
    const node = await start(t, '--dialect', 'real');
    await node.control('mining', { hold: true });
    assert.ok((await node.call('net.overlay_status')).result);
    let answered = 0;
    const calls = [node.call('light.latest_header')];
    await new Promise(resolve => { setTimeout(resolve, 100); });
    calls.push(...Array.from({ length: 8 }, () => node.call('net.overlay_status')));
    calls.forEach(c => c.then(() => { answered++; }));
    await new Promise(resolve => { setTimeout(resolve, 300); });
    assert.equal(answered, 0);
    await node.control('mining', { on: false });
    for (const r of await Promise.all(calls)) {
        assert.ok(r.result);
    }
});

test('while the chain mines, the calls that need it hang and the others do not', async t => {
    const node = await start(t, '--dialect', 'real');
    await node.control('mining');
    let answered = 0;
    const hung = ['light.latest_header', 'consensus.difficulty']
        .map(m => node.call(m).then(r => { answered++; return r; }));
    assert.ok((await node.call('net.overlay_status')).result);
    await new Promise(resolve => { setTimeout(resolve, 200); });
    assert.equal(answered, 0);
    await node.control('mining', { on: false });
    for (const r of await Promise.all(hung)) {
        assert.ok(r.result);
    }
});

test('after a reset the chain is shorter and another one', async t => {
    const node = await start(t, ...FROZEN);
    const before = (await node.call('light.latest_header')).result;
    const old = (await node.call('receipt.audit', { limit: 500 })).result.receipts.map(r => r.id);
    await node.control('reset');
    const after = (await node.call('light.latest_header')).result;
    assert.ok(after.height < before.height && after.hash !== before.hash);
    await node.control('receipts', { n: 50 });
    const ids = (await node.call('receipt.audit', { limit: 500 })).result.receipts.map(r => r.id);
    assert.ok(ids.length >= 50 && ids.every(id => !old.includes(id)));
    // the ledger has both chains
    const { chains } = await (await fetch(`http://127.0.0.1:${node.port}/control/receipts`)).json();
    assert.equal(chains.length, 2);
    assert.deepEqual(chains[0].slice(-old.length), old.reverse());
    assert.deepEqual(chains[1], ids.reverse());
});

test('a restarted node refuses connections while down and has its chain when back', async t => {
    const node = await start(t);
    const before = (await node.stats()).receipts;
    const idle = net.connect(node.port, '127.0.0.1');
    const cut = new Promise(resolve => { idle.on('close', resolve); idle.on('error', () => { }); });
    await new Promise(resolve => { idle.on('connect', resolve); });
    await node.control('restart', { down_ms: 500 });
    await cut;
    await assert.rejects(node.call('whoami'), { code: 'ECONNREFUSED' });
    await new Promise(resolve => { setTimeout(resolve, 900); });
    assert.ok((await node.call('whoami')).result);
    assert.ok((await node.stats()).receipts >= before);
});

test('replayed replies must be the recorded bytes with the caller\'s id', async t => {
    const node = await start(t, '--replay', recorded, '--energy-limit', '99');
    for (const file of fs.readdirSync(recorded)) {
        const was = fs.readFileSync(path.join(recorded, file), 'utf8');
        const { text } = await node.post({ id: 77, method: file.replace(/\.json$/, ''), params: {} });
        assert.equal(text, was.replace('"id":1,"jsonrpc"', '"id":77,"jsonrpc"'), file);
    }
    assert.equal((await node.call('light.latest_header')).error.code, -32601);
    assert.equal((await node.call('../recorded/whoami')).error?.code, undefined, 'names stay inside');
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'replay-'));
    t.after(() => fs.rmSync(dir, { recursive: true }));
    fs.writeFileSync(path.join(dir, 'x.json'), '{"result":{"id":5},"id":1}');
    const other = await start(t, '--replay', dir);
    assert.equal((await other.post('{"id":8,"method":"x"}')).text, '{"result":{"id":5},"id":8}');
});

test('counts must be right, for they are what proves that the node is polled once', async t => {
    const node = await start(t);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
    t.after(() => agent.destroy());
    await node.control('fault', { method: 'whoami', fault: 'slow', ms: 100 });
    await Promise.all(Array.from({ length: 6 }, () => node.post('{"id":1,"method":"whoami"}', { agent })));
    await node.call('mesh.peers', { a: 1 });
    const stats = await node.stats();
    assert.equal(stats.requests, 7);
    assert.deepEqual(stats.by_method, { whoami: 6, 'mesh.peers': 1 });
    assert.equal(Object.values(stats.by_second).reduce((a, b) => a + b), 7);
    assert.equal(stats.max_in_flight.whoami, 2);
    assert.equal(stats.in_flight.whoami, 0);
    assert.deepEqual(stats.recent.at(-1).params, { a: 1 });
    assert.ok(stats.open_connections >= 2);
    await node.control('stats');
    assert.equal((await node.stats()).requests, 0);
});

test('the scanner of JSON members must not be fooled by braces and quotes in strings', () => {
    const text = ' { "a" : "}\\"," , "b":[1,{"id":2},"]"], "c":{"d":{}},"id": -1.5e3 } ';
    const m = rawMembers(text);
    assert.deepEqual([...m].map(([k, v]) => [k, v.text]),
        [['a', '"}\\","'], ['b', '[1,{"id":2},"]"]'], ['c', '{"d":{}}'], ['id', '-1.5e3']]);
    assert.equal(rawMembers('[1]'), null);
    assert.deepEqual([...rawMembers('{}')], []);
    assert.equal(toJson({ b: 18446744073709551615n, a: [null, true, 'x"'] }),
        '{"a":[null,true,"x\\""],"b":18446744073709551615}');
});
