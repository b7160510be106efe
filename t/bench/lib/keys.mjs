// What streams with a key cost beside fixed ones: clients with keys of their own, or with fixed streams, that get as many
// messages.

import { readFileSync } from 'node:fs';
import { Crowd } from './crowd.mjs';
import { program } from './measure.mjs';
import { load, sleep } from './process.mjs';
import { servers } from './servers.mjs';
import { median, number, table } from './stats.mjs';

// as often all data changes (ms), and so many fixed streams there are
const CHANGE = 4000;
const FIXED = 60;

// The processor time of a process so far, ms.
const cpu = pid => Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;

const memory = pid => Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))[1]) / 1024;

const kinds = {
    fixed: {
        title: `${FIXED} fixed streams`,
        streams: () => Array.from({ length: FIXED }, (_, i) => ({ name: `s${i}`, call: `clock_${CHANGE}_${i}`, interval: 1000 })),
        say: i => ({ type: 'subscribe', stream: `s${i % FIXED}` }),
    },
    keys: {
        title: 'a key each, keys=100',
        streams: clients => [
            { name: 'head', call: 'clock_1000', interval: 500, more: 'blockcast_always on;' },
            { name: 'k', call: `keys_${CHANGE} 'params_jq=[.keys]'`, interval: 60000, more: `blockcast_after head;
        blockcast_key account pattern=[0-9a-z]+ keys=100 max=${clients + 1000};
        blockcast_jq .results.c;` },
        ],
        say: i => ({ type: 'subscribe', stream: 'k', key: `account${i}` }),
    },
};

async function one(kind, clients, time) {
    const server = await servers.turns({ streams: kind.streams(clients), zone: '128m', maxSize: '1k' });
    const pid = server.pids[0];
    const crowd = new Crowd({ port: server.port, say: i => [JSON.stringify(kind.say(i))] });
    let messages = 0;

    try {
        await crowd.open(clients);
        await sleep(2 * CHANGE);
        for (const socket of crowd.sockets) {
            socket.on('data', data => { messages += data.toString('latin1').split('"seq":').length - 1; });
        }

        const began = performance.now();
        const before = cpu(pid);
        await sleep(Math.ceil(time * 1000 / CHANGE) * CHANGE);
        const spent = cpu(pid) - before;
        const seconds = (performance.now() - began) / 1000;

        if (crowd.closed || messages === 0) {
            throw new Error(`${crowd.closed} of ${clients} clients were closed, ${messages} messages came`);
        }
        return { us: spent / messages * 1000, rate: messages / seconds, busy: spent / seconds / 10, mb: memory(pid) };
    } finally {
        await crowd.stop();
        await server.stop();
    }
}

// Pongs of others, in ms, while a client subscribes to 1,000 new keys a second and leaves them, or does nothing.
async function pongs(churn, time) {
    const server = await servers.turns({ streams: kinds.keys.streams(10000), zone: '128m', maxSize: '1k' });
    const crowd = new Crowd({ port: server.port });
    let n = 0;

    try {
        await crowd.open(1);
        const timer = setInterval(() => {
            const some = Array.from({ length: 10 }, () => `new${n++}`);
            crowd.tell(() => ['subscribe', 'unsubscribe'].map(type => JSON.stringify({ type, stream: 'k', keys: some })));
        }, 10);
        if (!churn) {
            clearInterval(timer);
        }
        const r = await load(program(), [`--port=${server.port}`, '--path=/ws', '--clients=5', '--pings=200',
            `--time=${time * 1000}`], { urgent: true });
        clearInterval(timer);
        if (crowd.closed) {
            throw new Error('the client was closed');
        }
        return { p50: r.pong_us.p50 / 1000, p99: r.pong_us.p99 / 1000, keys: n };
    } finally {
        await crowd.stop();
        await server.stop();
    }
}

export async function keys(options) {
    const clients = options.clients ?? 10000;
    const results = Object.fromEntries(Object.keys(kinds).map(name => [name, []]));

    for (let round = 0; round < options.rounds; round++) {
        for (const name of round % 2 ? ['keys', 'fixed'] : ['fixed', 'keys']) {
            results[name].push(await one(kinds[name], clients, Math.max(options.time, 12)));
        }
    }

    const others = { without: [], 'with it': [] };
    for (let round = 0; round < options.rounds; round++) {
        for (const name of Object.keys(others)) {
            others[name].push(await pongs(name !== 'without', options.time));
        }
    }

    const of = (name, member, digits) => median(results[name].map(r => r[member])).toFixed(digits);
    return {
        data: { results, others },
        text: `**Streams with a key**, ${number(clients)} clients, whose data changes every ${CHANGE / 1000} s, one worker; its `
            + 'processor time with that of polling and publishing\n\n'
            + table(['', 'messages a second', 'µs of the worker a message', '% of a processor', 'MB'],
                Object.entries(kinds).map(([name, k]) =>
                    [k.title, of(name, 'rate', 0), of(name, 'us', 1), of(name, 'busy', 1), of(name, 'mb', 0)]))
            + '\n\n**Pongs of others** while a client subscribes to 1,000 new keys a second and leaves them, ms\n\n'
            + table(['', 'p50', 'p99'], Object.entries(others).map(([name, r]) =>
                [name, ...['p50', 'p99'].map(m => median(r.map(x => x[m])).toFixed(2))])),
    };
}
