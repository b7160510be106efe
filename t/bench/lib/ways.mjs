// The CPU of a message that goes out, by WebSocket, server-sent events, over TLS and as the answer to a long poll, beside
// a bare loop that sends as many bytes to as many clients, by send() or SSL_write().

import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { Crowd } from './crowd.mjs';
import { sleep } from './process.mjs';
import { env, servers } from './servers.mjs';
import { rounds } from './measure.mjs';
import { cell, number, table } from './stats.mjs';

const EVERY = 250;

const ways = {
    WebSocket: { path: '/ws', floor: ['--kind=ws'] },
    'WebSocket over TLS': { path: '/ws', floor: ['--kind=ws'], tls: true },
    'server-sent events': { kind: 'sse', path: '/events/s', floor: ['--kind=sse'] },
    'events over TLS': { kind: 'sse', path: '/events/s', floor: ['--kind=sse'], tls: true },
    'long poll': { kind: 'poll', path: '/api/streams/s?wait=30s', floor: ['--kind=poll'] },
};

// ns on a processor, and ns that others kept it from one; exact
function used(pids) {
    return pids.map(pid => fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ').map(Number))
        .reduce(([cpu, wait], [c, w]) => [cpu + c, wait + w], [0, 0]);
}

// The messages of `time` seconds: each is over before the next one comes, so that a window has whole ones only.
async function window(server, crowd, time, trigger) {
    const messages = Math.max(2, Math.round(time * 1000 / EVERY));
    const whole = async () => {
        let before;
        do {
            before = crowd.bytes;
            await sleep(20);
        } while (crowd.bytes !== before);
    };

    await whole();
    const [cpu, wait] = used(server.pids);
    const bytes = crowd.bytes;

    for (let i = 0; i < messages; i++) {
        const last = crowd.bytes;
        await trigger();
        await crowd.until(() => crowd.bytes !== last, 20);
        await whole();
    }

    const [after, waited] = used(server.pids);
    return { bytes: crowd.bytes - bytes, cpu: after - cpu, wait: (waited - wait) / (waited - wait + after - cpu), messages };
}

// ns for a message to a client, and its bytes
function figures(w, clients) {
    return { ns: w.cpu / w.messages / clients, bytes: w.bytes / w.messages / clients, wait: w.wait };
}

function crowd(server, way, streams) {
    return new Crowd({ port: server.port, kind: way.kind ?? 'ws', path: way.path, tls: way.tls,
        say: () => [JSON.stringify({ type: 'subscribe', streams })] });
}

async function blockcast(way, clients, size, options) {
    // an interval that never ends: what is published is what the poke asks for
    const server = await servers.turns({
        streams: [{ name: 's', call: `json_${size}_0`, interval: 60000, more: 'blockcast_always on;' }],
        maxSize: size * 2 + 4096, tls: way.tls,
    });
    const all = crowd(server, way, ['s']);
    const poke = async () => {
        await new Promise((resolve, reject) => {
            (way.tls ? https : http).request({ host: '127.0.0.1', port: server.port, path: '/poke', method: 'POST',
                rejectUnauthorized: false }, response => response.resume().on('end', resolve)).on('error', reject).end();
        });
        await sleep(EVERY);
    };

    try {
        await all.open(clients);
        await sleep(500);
        return figures(await window(server, all, options.time, poke), clients);
    } finally {
        await all.stop();
        await server.stop();
    }
}

async function floor(way, clients, bytes, options) {
    const server = await servers.floor({ size: bytes, floor: ['--exact', ...way.floor,
        ...(way.tls ? [`--cert=${env.build}/cert.pem`, `--key=${env.build}/key.pem`] : [])] });
    const all = crowd(server, way, []);
    const control = net.connect(server.control, '127.0.0.1');

    try {
        await all.open(clients);
        await sleep(500);
        // a poll counts its clients with the first response
        return figures(await window(server, all, options.time, async () => {
            control.write('x');
            await sleep(EVERY);
        }), clients);
    } finally {
        control.destroy();
        await all.stop();
        await server.stop();
    }
}

export async function compare(options, quick = false) {
    const clients = options.clients ?? (quick ? 20 : 1000);
    const sizes = quick ? [300] : [300, 4096, 65536];
    const data = {};

    for (const [name, way] of Object.entries(ways)) {
        data[name] = {};
        for (const size of sizes) {
            // what blockcast sends is what the floor sends, so it is known before
            let { bytes } = await blockcast(way, clients, size, { ...options, time: 0.5 });
            bytes = Math.max(150, Math.round(bytes));

            data[name][size] = await rounds(['floor', 'blockcast'], options.rounds, `ways, ${name}, ${size}`,
                async server => {
                    const r = await (server === 'floor' ? floor(way, clients, bytes, options)
                        : blockcast(way, clients, size, options));
                    if (!quick && Math.abs(r.bytes / bytes - 1) > 0.1) {
                        throw new Error(`${Math.round(r.bytes)} bytes came of a message of ${bytes}`);
                    }
                    // of a few clients no figure is judged: not again when others disturb
                    return quick ? { ...r, wait: 0 } : r;
                });
        }
    }

    const values = (name, size, server) => data[name][size][server].map(r => r.ns);
    const rows = Object.keys(ways).flatMap(name => [
        [`${name}, floor`, ...sizes.map(size => cell(values(name, size, 'floor')))],
        [`**${name}**`, ...sizes.map(size => cell(values(name, size, 'blockcast'), values(name, size, 'floor'),
            options.noise))],
    ]);

    return {
        data,
        text: `**By way**, ns of the serving thread for a message to one of ${number(clients)} clients (× the floor of the `
            + 'same way: a bare loop of `send()` or `SSL_write()` of as many bytes)\n\n'
            + table(['', ...sizes.map(size => (size >= 1024 ? `${size >> 10} KiB` : `${size} B`))], rows),
    };
}
