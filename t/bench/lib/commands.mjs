// What can be measured; each gives a text with a Markdown table, and the figures of every run.

import { cluster } from './cluster.mjs';
import { keys } from './keys.mjs';
import { cores } from './cores.mjs';
import { head } from './head.mjs';
import { latency } from './latency.mjs';
import { polls } from './polls.mjs';
import { profile } from './profile.mjs';
import { bytes, node, scale } from './scale.mjs';
import { load } from './process.mjs';
import { disturbance, program, rounds, run, target } from './measure.mjs';
import { servers } from './servers.mjs';
import { turns } from './turns.mjs';
import { compare } from './ways.mjs';
import { cell, median, number, table } from './stats.mjs';

export const names = {
    floor: 'bare loop of `send()` (the floor)',
    blockcast: '**blockcast**',
    nchan: 'nchan',
    ws: 'node `ws`',
    websockets: 'Python `websockets`',
};

const sizes = { 300: '300 B', 4096: '4 KiB' };

// 20,000 to 40,000 messages a second: a third of a processor.
export const pace = clients => Math.max(1, Math.min(20, Math.round(40000 / clients)));

// Servers that compress each message for each client are not asked for more than this.
const compressing = { ws: 1000, websockets: 1000 };

// What a cell of `cpu` asks of the load client.
export function paced(options, clients, size, more = {}) {
    const every = more.every ?? pace(clients);
    return {
        clients, size, messages: true, ...more, every,
        args: ['--idle=500', `--settle=${Math.round(1000 + 1000 / every)}`, `--time=${options.time * 1000}`],
    };
}

const counts = options => (options.clients ? [options.clients] : [1000, 10000]);

async function cpu(options) {
    const columns = [];

    for (const clients of counts(options)) {
        for (const size of [300, 4096]) {
            columns.push({ clients, size, title: `${number(clients)} × ${sizes[size]}` });
        }
        columns.push({ clients, size: 4096, deflate: true, title: `${number(clients)} × ${sizes[4096]}, deflate` });
    }

    for (const c of columns) {
        const peers = options.peers.filter(p => !c.deflate || !(c.clients > compressing[p]));
        const every = name => (c.deflate && compressing[name] ? 2 : undefined);

        c.results = await rounds(peers, options.rounds, `cpu, ${c.title}`,
            name => run(name, paced(options, c.clients, c.size, { deflate: c.deflate, every: every(name) })));
    }

    const values = (c, name, key) => c.results[name]?.map(r => r[key]);
    const all = (key, digits) => options.peers.map(name => [names[name], ...columns.map(c =>
        cell(values(c, name, key), name === 'floor' ? undefined : values(c, 'floor', key) ?? [], options.noise,
            digits))]);
    // a tick of the kernel's clock now and then: all rounds together
    const user = options.peers.map(name => [names[name], ...columns.map(c => {
        const runs = (c.results[name] ?? []).filter(r => r.deliveries > 0);
        const n = runs.reduce((sum, r) => sum + r.deliveries, 0);
        return number(runs.reduce((sum, r) => sum + r.user * r.deliveries, 0) / n);
    })]);
    const head = ['', ...columns.map(c => c.title)];

    return {
        data: columns,
        text: '**CPU per delivered message**, ns of the serving thread (× floor), clients × payload; '
            + `${counts(options).map(c => `${number(c)} clients get ${pace(c)}`).join(', ')} messages a second, `
            + 'those that compress for each client two\n\n'
            + `${table(head, all('ns'))}\n\n`
            + 'of it in user space, ns, all rounds together (sampled by the kernel at 250 Hz)\n\n'
            + `${table(head, user)}\n\n`
            + 'from the making of a message (blockcast: the node\'s reply) to the last client, median, ms\n\n'
            + `${table(head, all('last', 1))}`
            + disturbance(...columns.map(c => c.results)),
    };
}

async function saturation(options) {
    const clients = options.clients ?? 10000;
    // blockcast polls each stream 20 times a second at most: more is offered than it can deliver
    const streams = Math.max(8, Math.min(32, Math.ceil(600000 / (20 * clients))));
    const results = await rounds(options.peers, options.rounds, 'saturation', name => run(name, {
        clients, size: 300, window: 4, streams,
        args: ['--settle=2000', `--time=${options.time * 1000}`],
    }));
    const values = (name, key) => results[name]?.map(r => r[key]);

    return {
        data: results,
        text: `**At saturation**, ${number(clients)} clients × 300 B: messages delivered per second. Four messages are `
            + `always under way; blockcast polls ${streams} streams every 50 ms.\n\n`
            + table(['', 'messages/s (× floor)', 'CPU ns per message', 'messages per `recv()` of a client',
                'its processor busy', 'the clients\' processor'],
            options.peers.map(name => [names[name],
                cell(values(name, 'rate'), name === 'floor' ? undefined : values('floor', 'rate') ?? [],
                    options.noise),
                cell(values(name, 'ns')),
                number(median(results[name].map(r => r.deliveries / r.received)), 2),
                `${number(100 * median(values(name, 'busy')))} %`,
                `${number(100 * median(values(name, 'own')))} %`]))
            + disturbance(results),
    };
}

async function idle(options) {
    const clients = options.clients ?? 10000;
    const kinds = [
        { title: 'plain' },
        { title: 'deflate negotiated', deflate: true },
        { title: 'TLS', tls: true, clients: Math.min(clients, 2000), only: ['blockcast', 'nchan'] },
    ];

    for (const kind of kinds) {
        const n = kind.clients ?? clients;
        const peers = options.peers.filter(name => !kind.only || kind.only.includes(name));

        kind.results = await rounds(peers, options.rounds, `idle, ${kind.title}`, name => run(name, {
            clients: n, size: 300, every: 1, warm: true, deflate: kind.deflate, tls: kind.tls,
            args: ['--subscribe-first', '--idle=1000', '--settle=0', '--time=2500'],
        }));
    }

    const column = (kind, name, key) => {
        const values = kind.results[name]?.map(r => r[key]);
        return cell(values);
    };

    return {
        data: kinds,
        text: `**Memory of an idle connection**, bytes of PSS (${number(clients)} clients; TLS: `
            + `${number(kinds[2].clients)}) when connected / after some messages; nginx's slot of a connection is there `
            + 'before\n\n'
            + table(['', ...kinds.map(kind => kind.title)], options.peers.map(name => [names[name],
                ...kinds.map(kind => (kind.results[name]
                    ? `${column(kind, name, 'memory')} / ${column(kind, name, 'memoryAfter')}` : '–'))])),
    };
}

async function storm(options) {
    const rate = 5000;
    const clients = options.clients ?? 15000;
    // one by one, which wakes the server for each, and as fast as they are answered
    const kinds = { paced: [`--rate=${rate}`], burst: [] };
    const results = {};

    for (const [kind, args] of Object.entries(kinds)) {
        results[kind] = await rounds(options.peers, options.rounds, `storm, ${kind}`, async name => {
            const r = await run(name, { clients, size: 300, quiet: true, warm: true, args: [...args, '--time=0'] });
            return { ...r, wait: r.cpu_connect.wait / (r.cpu_connect.wait + r.cpu_connect.cpu) };
        });
    }
    const values = (kind, name, key) => results[kind][name]?.map(key);
    const cost = (kind, name) => cell(values(kind, name, r => r.handshake),
        name === 'floor' ? undefined : values(kind, 'floor', r => r.handshake) ?? [], options.noise, 1);

    return {
        data: results,
        text: `**Connect storm**: ${number(clients)} handshakes, ${number(rate)} a second one by one, or 200 at a time as `
            + 'fast as they are answered; CPU µs per handshake (× floor)\n\n'
            + table(['', `${number(rate)} a second`, 'refused', 'later than 250 ms', 'p50 ms', 'p99 ms', '200 at a time'],
                options.peers.map(name => [names[name],
                    cost('paced', name),
                    number(Math.max(...values('paced', name, r => r.refused ?? 0))),
                    number(Math.max(...values('paced', name, r => r.late ?? 0))),
                    number(median(values('paced', name, r => r.handshake_us?.p50)) / 1000, 2),
                    number(median(values('paced', name, r => r.handshake_us?.p99)) / 1000, 2),
                    cost('burst', name)]))
            + disturbance(...Object.values(results)),
    };
}

// Some seconds with few clients: that all of it still works (t/76-bench.t). No figure is judged.
async function smoke(options) {
    const lines = [];

    for (const name of options.peers) {
        const r = await run(name, { ...paced({ time: 0.5 }, 50, 300, { every: 10 }), deflate: true });
        lines.push(`${name} ${r.connected} clients, ${r.deliveries} messages`);
        if (r.wrong.length > 0 || r.deliveries < 50) {
            throw new Error(`${name}: ${r.wrong.join(', ') || 'no messages'}`);
        }
    }

    const server = await servers.blockcast({ size: 4096, every: 10, workers: 2 });
    try {
        const r = await load(program(), [...target(server, { clients: 50, args: ['--pings=100', '--time=500'] }),
            ...server.load]);
        lines.push(`pongs ${r.pong_us.n}, ${await server.calls()} calls`);
    } finally {
        await server.stop();
    }

    const quick = await turns({ time: 0.5 }, true);
    lines.push(quick.text);

    const ways = await compare({ time: 0.5, rounds: 1, noise: options.noise }, true);
    lines.push(ways.text);

    return { text: lines.join('\n'), data: [lines, quick.data, ways.data] };
}

const each = (options, runs, seconds) => options.rounds * options.peers.length * runs * seconds;

export const commands = {
    cpu: { run: cpu, seconds: o => each(o, counts(o).length * 3, o.time + 5) },
    saturation: { run: saturation, seconds: o => each(o, 1, o.time + 5) },
    idle: { run: idle, seconds: o => each(o, 2.4, 8) },
    latency: { run: o => latency(o, { pace, paced, names }), seconds: o => o.rounds * (o.time * 5 + 15) },
    scale: { run: scale, seconds: o => o.rounds * 320 },
    turns: { run: o => turns(o), seconds: o => Math.min(o.rounds, 2) * 60 * (o.time + 5) },
    ways: { run: o => compare(o), seconds: o => 15 * (o.rounds * 2 * (o.time * 1.3 + 3) + 4) },
    polls: { run: polls, seconds: o => o.rounds * 4 * (o.before ? 2 : 1) * (o.time + 2) },
    storm: { run: storm, seconds: o => each(o, 2, 5) },
    node: { run: node, seconds: () => 8 * 18 },
    bytes: { run: bytes, seconds: () => 75 },
    cores: { run: cores, seconds: o => o.rounds * (3 * (o.time + 6) + 10) },
    cluster: { run: o => cluster(o, { paced }), seconds: o => o.rounds * 4 * (o.time + 6) },
    keys: { run: keys, seconds: o => o.rounds * 2 * (Math.max(o.time, 12) + 20) },
    head: { run: head, seconds: o => o.rounds * (o.clients ? 6 : 12) * (o.time + 5) },
};

// not part of all
const others = {
    smoke: { run: smoke, seconds: () => 10 },
    profile: { run: o => profile(o, { pace, names }), seconds: o => each(o, 2, o.time + 6) / o.rounds },
};

for (const [name, value] of Object.entries(others)) {
    Object.defineProperty(commands, name, { value, enumerable: false });
}
