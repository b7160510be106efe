// How long the longest turn of a worker's event loop takes, in CPU time, and pings in between.

import fs from 'node:fs';
import path from 'node:path';
import { Crowd } from './crowd.mjs';
import { load, sleep } from './process.mjs';
import { env, servers } from './servers.mjs';
import { program } from './measure.mjs';
import { number, table } from './stats.mjs';

const RECORD = 128;
const members = ['pid', 'round', 'turns', 'cpu', 'longest', 'over1', 'over5', 'sends', 'mostSends', 'bytes', 'mostBytes',
    'deflated', 'mostDeflated', 'wakes'];

// What t/lib/turns.c writes.
class Turns {
    constructor() {
        this.file = path.join(env.tmp, `turns-${process.pid}-${Math.random().toString(36).slice(2)}`);
        fs.writeFileSync(this.file, Buffer.alloc(RECORD * 65));
        fs.chmodSync(this.file, 0o666);
        this.round = 0n;
        this.env = { LD_PRELOAD: path.join(env.build, 'turns.so'), TURNS_FILE: this.file };
    }

    reset() {
        this.round++;
        const fd = fs.openSync(this.file, 'r+');
        const b = Buffer.alloc(8);
        b.writeBigUInt64LE(this.round);
        fs.writeSync(fd, b, 0, 8, 0);
        fs.closeSync(fd);
    }

    // of all processes together, since reset()
    get() {
        const data = fs.readFileSync(this.file);
        const all = Object.fromEntries(members.map(name => [name, 0]));

        for (let at = RECORD; at < data.length; at += RECORD) {
            const r = Object.fromEntries(members.map((name, i) => [name, Number(data.readBigUInt64LE(at + 8 * i))]));
            if (r.pid !== 0 && r.round === Number(this.round)) {
                for (const name of members) {
                    all[name] = /^(longest|most)/.test(name) ? Math.max(all[name], r[name]) : all[name] + r[name];
                }
            }
        }
        return all;
    }
}

const size = n => (n >= 1 << 20 ? `${n >> 20} MB` : n >= 1024 ? `${n >> 10} KiB` : `${n} B`);
const subscribe = (streams, more = {}) => JSON.stringify({ type: 'subscribe', streams, ...more });

// A server with streams, and what is measured of it: what(server, turns) runs between reset() and get().
async function measured(options, what) {
    const turns = new Turns();
    const server = await servers.turns({ ...options, preload: turns.env });

    try {
        return await what(server, turns);
    } finally {
        await server.stop();
        fs.rmSync(turns.file, { force: true });
    }
}

// pings for ms milliseconds beside what is done; [p99 in ms, what that gives]
async function pinged(server, ms, work) {
    const pings = load(program(), [`--port=${server.port}`, '--path=/ws', '--clients=5', '--pings=200',
        `--time=${ms}`], { urgent: true });
    const [r, value] = await Promise.all([pings, work()]);
    return [r.pong_us.p99 / 1000, value];
}

function figures(t, p99, more = {}) {
    return { longest: t.longest / 1e6, over5: t.over5, cpu: t.cpu / 1e6, p99, mostDeflated: t.mostDeflated, ...more };
}

// A message every 250 ms to all.
const broadcast = (clients, bytes, kind) => options => measured({
    streams: [{ name: 's', call: `${kind.hex ? 'hex' : 'json'}_${bytes}_0`, interval: kind.interval ?? 250 }],
    maxSize: bytes * 2 + 4096, tls: kind.tls, workers: kind.workers, zone: kind.zone,
}, async (server, turns) => {
    const crowd = new Crowd({
        port: server.port, say: () => [subscribe(['s'])], ...kind,
        ...(kind.kind === 'sse' && { path: '/events/s' }),
        ...(kind.kind === 'poll' && { path: '/api/streams/s?wait=30s' }),
    });
    await crowd.open(clients);
    await sleep(700);
    turns.reset();
    const before = crowd.bytes;
    const [p99] = kind.tls ? [NaN, await sleep(options.time * 1000)]
        : await pinged(server, options.time * 1000, () => sleep(options.time * 1000));
    const t = turns.get();
    await crowd.stop();
    return figures(t, p99, { received: crowd.bytes - before });
});

const streams = (clients, n) => options => measured({
    streams: Array.from({ length: n }, (_, i) => ({ name: `s${i}`, call: `json_300_${i}`, interval: 250 })),
    maxSize: 8192,
}, async (server, turns) => {
    const crowd = new Crowd({ port: server.port,
        say: () => [subscribe(Array.from({ length: n }, (_, i) => `s${i}`))] });
    await crowd.open(clients);
    await sleep(700);
    turns.reset();
    const [p99] = await pinged(server, options.time * 1000, () => sleep(options.time * 1000));
    const t = turns.get();
    await crowd.stop();
    return figures(t, p99);
});

const LOG = 1.2e6;

async function filled(server, bytes) {
    for (let i = 0; i < 600; i++) {
        const r = await (await fetch(`http://127.0.0.1:${server.port}/api/l?limit=0`)).json();
        if (r.total * 200 >= bytes) {
            return r;
        }
        await sleep(50);
    }
    throw new Error('the log does not fill');
}

const log = (bytes = LOG, keep = 20000) => ({
    streams: [{ name: 'l', call: `log_${bytes}`, interval: 50, more: `blockcast_always on;
        blockcast_jq '{entries: .results.c}'; blockcast_log entries key=id keep=${keep} size=${Math.ceil(bytes * 2.5)};` }],
    zone: '128m',
});

// All come back at once; each has missed the log, from its beginning or from anywhere.
const resume = (clients, kind) => () => measured(log(), async (server, turns) => {
    await filled(server, LOG);
    const { seq } = await (await fetch(`http://127.0.0.1:${server.port}/api/l?limit=0`)).json();
    const crowd = new Crowd({ port: server.port, ...kind });
    await crowd.open(clients);
    turns.reset();
    const [p99] = await pinged(server, 2000, async () => {
        await sleep(300);
        crowd.tell(i => [subscribe(['l'], { since: kind.spread ? Math.floor(seq * i / clients) : 0 })]);
        await crowd.quiet();
    });
    await crowd.quiet();
    const t = turns.get();
    await crowd.stop();
    return figures(t, p99, { received: crowd.bytes });
});

// A reload, after which all come back with a fresh `since`.
const reload = (clients, kind) => () => measured({ ...log(), http: 'blockcast_drain 1s;' }, async (server, turns) => {
    await filled(server, LOG);
    const newest = async () => (await (await fetch(`http://127.0.0.1:${server.port}/api/l?limit=0`)).json()).seq;
    let seq = await newest();
    const crowd = new Crowd({ port: server.port, again: true, ...kind, say: () => [subscribe(['l'], { since: seq - 20 })] });
    await crowd.open(clients);
    await crowd.quiet(200, 3);
    seq = await newest();
    turns.reset();
    const closed = crowd.closed;
    process.kill(server.master, 'SIGHUP');
    await crowd.until(() => crowd.closed - closed >= clients, 60);
    await crowd.until(() => crowd.sockets.size >= clients, 60);
    await crowd.quiet(300, 5);
    const t = turns.get();
    await crowd.stop();
    return figures(t, NaN);
});

// One client asks again and again.
const rest = (entries, query) => () => measured(log(entries * 200, 65536), async (server, turns) => {
    await filled(server, entries * 200);
    const requests = 500;
    // what polling takes beside it
    turns.reset();
    await sleep(1000);
    const idle = turns.get().cpu / 1e9;
    turns.reset();
    const began = performance.now();
    for (let i = 0; i < requests; i++) {
        await (await fetch(`http://127.0.0.1:${server.port}/api/l?limit=50${query(i)}`)).arrayBuffer();
    }
    const t = turns.get();
    const polls = idle * (performance.now() - began) * 1e6;
    return figures(t, NaN, { each: (t.cpu - polls) / requests / 1000 });
});

// A listener that comes and goes, and publishes that few workers have listeners for.
const workers = n => options => measured({ workers: n,
    streams: [{ name: 's', call: 'json_4096_0', interval: 100, more: 'blockcast_always on;' }] },
async (server, turns) => {
    await sleep(1000);
    turns.reset();
    await sleep(options.time * 1000);
    const idle = turns.get();
    const crowd = new Crowd({ port: server.port });
    await crowd.open(1);
    turns.reset();
    const pairs = 500;
    for (let i = 0; i < pairs; i++) {
        crowd.tell(() => [subscribe(['s']), '{"type":"unsubscribe","stream":"s"}']);
        await sleep(1);
    }
    const t = turns.get();
    await crowd.stop();
    return figures(t, NaN, { each: t.cpu / pairs / 1000, publish: idle.cpu / 1e6 / (options.time * 10),
        wakes: idle.wakes / (options.time * 10) });
});

const kinds = {
    WebSocket: {}, SSE: { kind: 'sse' }, TLS: { tls: true }, CBOR: { protocol: 'blockcast.v1.cbor' },
    deflate: { deflate: true }, 'deflate, hex': { deflate: true, hex: true }, 'long poll': { kind: 'poll' },
};

// [title, case]; `scale` clients instead of 1,000
function cases(scale, quick) {
    const list = [];

    for (const [name, kind] of Object.entries(kinds)) {
        for (const bytes of quick ? [300] : [300, 4096, 65536, 1 << 20]) {
            const clients = Math.max(2, Math.round(scale * (bytes >= 1 << 20 ? 0.1 : 1)));
            list.push([`${name}, ${size(bytes)} to ${number(clients)}`, broadcast(clients, bytes, kind)]);
        }
    }
    for (const n of quick ? [] : [1, 2]) {
        list.push([`a publish of 16 MB, ${n} workers`, broadcast(4, 16 << 20, { hex: true, interval: 500, zone: '200m',
            workers: n })]);
    }
    for (const n of quick ? [8] : [1, 8, 32, 64]) {
        list.push([`${n} streams, 300 B to ${number(scale)}`, streams(scale, n)]);
    }
    for (const clients of quick ? [scale] : [scale / 5, scale, scale * 10].map(Math.round)) {
        const title = what => `resume of 1.2 MB, ${number(clients)} clients, ${what}`;

        // what they get must fit into the time
        if (clients <= 2 * scale) {
            list.push([title('plain'), resume(clients, {})]);
            list.push([title('CBOR'), resume(clients, { protocol: 'blockcast.v1.cbor' })]);
        }
        list.push([title('deflate'), resume(clients, { deflate: true })]);
        list.push([title('deflate, from anywhere'), resume(clients, { deflate: true, spread: true })]);
        list.push([`reload, ${number(clients)} clients, deflate`, reload(clients, { deflate: true })]);
    }
    list.push(['REST, 60,000 entries, limit=50', rest(quick ? 1000 : 60000, () => '')]);
    list.push(['REST, 60,000 entries, a filter', rest(quick ? 1000 : 60000, i => `&market=ads&amount=${i}`)]);
    list.push(['REST, 60,000 entries, other names', rest(quick ? 1000 : 60000, i => `&x${i}=1`)]);
    for (const n of quick ? [2] : [1, 8, 32]) {
        list.push([`${n} workers, one listener`, workers(n)]);
    }
    return list;
}

const worst = (runs, key) => Math.max(...runs.map(r => r[key] ?? NaN));

const row = (title, runs) => [title,
    number(worst(runs, 'longest'), 2),
    number(worst(runs, 'over5')),
    number(worst(runs, 'p99'), 2),
    number(worst(runs, 'cpu')),
    runs[0]?.each !== undefined ? `${number(worst(runs, 'each'))} µs each` : '',
];

async function measure(options, quick) {
    const scale = options.clients ?? (quick ? 20 : 1000);
    // for work on one of them: TURNS_ONLY='resume|reload'
    const only = process.env.TURNS_ONLY && new RegExp(process.env.TURNS_ONLY);
    const results = {};

    for (const [title, one] of cases(scale, quick).filter(([name]) => !only || only.test(name))) {
        results[title] = [];
        for (let i = 0; i < options.rounds; i++) {
            try {
                results[title].push(await one(options));
            } catch (error) {
                console.error(`t/bench/run: turns: ${title}: ${error.message}`);
            }
        }
        process.stderr.write(`t/bench/run: turns: | ${row(title, results[title]).join(' | ')} |\n`);
    }
    return results;
}

export async function turns(options, quick = false) {
    const results = await measure({ ...options, rounds: quick ? 1 : Math.min(options.rounds, 2) }, quick);
    const rows = Object.entries(results).map(([title, runs]) => row(title, runs));

    return {
        data: results,
        text: '**Turns of the event loop**, CPU time between two `epoll_wait()` of a worker, the longest of all '
            + `rounds\n\n${table(['', 'longest turn, ms', 'turns over 5 ms', 'pong p99, ms', 'CPU, ms', ''], rows)}`,
    };
}
