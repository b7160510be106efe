// How long things take: a newcomer's first data, pongs while a broadcast goes out, the way to another worker.

import fs from 'node:fs';
import path from 'node:path';
import { load } from './process.mjs';
import { env, servers } from './servers.mjs';
import { disturbance, figures, program, rounds, run, target } from './measure.mjs';
import { cell, median, number, table } from './stats.mjs';

// What a log of the load client says: times of messages [made, reached the last], and of pings [sent, answered].
function readLog(file, kind) {
    return fs.readFileSync(file, 'latin1').split('\n').filter(line => line.startsWith(`${kind} `))
        .map(line => line.split(' ').slice(1).map(Number));
}

// Many clients get messages, and a few others say how it feels.
async function probed(options, clients, every) {
    const server = await servers.blockcast({ size: 300, every });
    const [messages, pings] = ['messages', 'pings'].map(name => path.join(env.tmp, `${name}.log`));
    const time = options.time * 1000;

    try {
        let others;
        const all = await load(program(), [
            ...target(server, { clients, args: ['--settle=1500', `--time=${time}`, `--log=${messages}`] }),
            ...server.load,
        ], {
            // the others come when all are there, and stay as long; what they wait for is the server, not the
            // client of the many beside them
            ready: async () => {
                others = Promise.all([
                    load(program(), target(server, {
                        clients: 20,
                        args: ['--pings=500', '--settle=1500', `--time=${time}`, `--log=${pings}`],
                    }), { urgent: true }),
                    load(program(), [
                        ...target(server, {
                            clients: Math.round(20 * options.time),
                            args: ['--rate=20', '--subscribe-first', '--time=0'],
                        }),
                        ...server.load,
                    ], { urgent: true }),
                ]);
            },
        });
        const [, newcomers] = await others;
        const out = readLog(messages, 'm');
        const during = readLog(pings, 'p')
            .filter(([sent]) => out.some(([made, last]) => sent >= made && sent <= last))
            .map(([sent, answered]) => (answered - sent) / 1e6)
            .sort((a, b) => a - b);

        return {
            all, newcomers,
            pings: during.length,
            pong50: during[Math.floor(during.length * 0.5)],
            pong99: during[Math.floor(during.length * 0.99)],
            first: newcomers.first_us.p50 / 1000,
            first99: newcomers.first_us.p99 / 1000,
        };
    } finally {
        await server.stop();
        for (const file of [messages, pings]) {
            fs.rmSync(file, { force: true });
        }
    }
}

// Newcomers to a server that has nothing else to do.
async function newcomers(options) {
    const server = await servers.blockcast({ size: 300, every: 1, always: true });

    try {
        const args = ['--rate=50', '--subscribe-first', '--time=0'];
        const r = await load(program(), [
            ...target(server, { clients: Math.round(50 * options.time), args }), ...server.load]);
        return { first: r.first_us.p50 / 1000, first99: r.first_us.p99 / 1000 };
    } finally {
        await server.stop();
    }
}

// A few clients of two workers: the time between their first ones of the same message.
async function wake(options) {
    const server = await servers.blockcast({ size: 300, interval: 50, workers: 2 });

    try {
        const r = figures(await load(program(), [
            ...target(server, { clients: 20, args: ['--settle=500', `--time=${options.time * 1000}`] }),
            ...server.load,
        ]), { clients: 20 });
        return { wake: r.wake_us.p50, wake99: r.wake_us.p99, n: r.wake_us.n };
    } finally {
        await server.stop();
    }
}

// One client in twenty reads nothing: what the others have of it.
async function beside(options, clients, every, paced) {
    const more = paced(options, clients, 300, { every });

    return run('blockcast', { ...more, args: [...more.args, `--slow=${Math.max(1, Math.round(clients / 20))}`] });
}

export async function latency(options, { pace, paced, names }) {
    const clients = options.clients ?? 10000;
    const every = pace(clients);
    const peers = options.peers.filter(name => ['floor', 'blockcast', 'nchan'].includes(name));
    const last = await rounds(peers, options.rounds, 'latency, last client',
        name => run(name, paced(options, clients, 300, { every })));
    const others = await rounds(['newcomers', 'probed', 'wake', 'beside'], options.rounds, 'latency',
        name => ({ newcomers, probed, wake, beside })[name](options, clients, every, paced));
    const value = (what, key) => others[what].map(r => r[key]);
    const of = (name, key) => last[name]?.map(r => r[key]) ?? [];

    return {
        data: { last, others },
        text: `**Latency**, ${number(clients)} clients × 300 B, ${every} messages a second\n\n`
            + `${table(['from the making of a message to', 'nearest client, ms', 'last client, ms (× floor)'],
                peers.map(name => [names[name], cell(last[name].map(r => r.nearest_us?.p50 / 1000), undefined, 1, 2),
                    cell(of(name, 'last'), name === 'floor' ? undefined : of('floor', 'last'), options.noise, 1)]))}\n\n`
            + `blockcast, when one client in twenty reads nothing, to the last of the others: `
            + `${cell(value('beside', 'last'), undefined, 1, 1)} ms.\n\n`
            + table(['blockcast', 'p50', 'p99'], [
                ['subscribe to the first snapshot, idle server, ms',
                    cell(value('newcomers', 'first'), undefined, 1, 2),
                    cell(value('newcomers', 'first99'), undefined, 1, 2)],
                [`the same between the broadcasts to ${number(clients)}, ms`,
                    cell(value('probed', 'first'), undefined, 1, 2),
                    cell(value('probed', 'first99'), undefined, 1, 2)],
                [`ping to pong while a broadcast to ${number(clients)} goes out `
                    + `(${number(median(value('probed', 'pings')))} pings), ms`,
                    cell(value('probed', 'pong50'), undefined, 1, 2),
                    cell(value('probed', 'pong99'), undefined, 1, 2)],
                ['between the first clients of two workers, µs',
                    cell(value('wake', 'wake')), cell(value('wake', 'wake99'))],
            ]) + disturbance(last),
    };
}
