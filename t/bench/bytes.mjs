#!/usr/bin/env node
// How many bytes on the wire an update takes, frame header included, in each form a client can ask for, and how many
// browsers take that poll REST instead. Prints two Markdown tables.
//
//   t/bench/run bytes, or when the module is built: node t/bench/bytes.mjs [SECONDS] [PRESET]
//
// A real nginx with the preset (the-block-seed) polls the simulated node for so many seconds (60); each client
// subscribes to all streams, and its first message of each is not counted. The browsers ask for each stream as often
// as the gateway asks the node; what they send and receive is counted with its headers, not that of TCP.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { gateway } from '../lib/gateway.mjs';

const seconds = Number(process.argv[2] ?? 60);
const preset = process.argv[3] ?? 'the-block-seed';
const presets = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../conf/presets');

if (!(seconds > 0)) {
    console.error(`t/bench/bytes.mjs: ${process.argv[2]} is no number of seconds`);
    process.exit(2);
}

const forms = {
    text: {},
    deflate: { deflate: true },
    delta: { delta: true },
    'delta + deflate': { delta: true, deflate: true },
    CBOR: { protocol: 'blockcast.v1.cbor' },
    'CBOR + deflate': { protocol: 'blockcast.v1.cbor', deflate: true },
};

const browsers = 4;

// What a browser says of itself with each request of a page's.
const headers = {
    Connection: 'keep-alive',
    'sec-ch-ua-platform': '"Linux"',
    'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    'sec-ch-ua': '"Chromium";v="140", "Not=A?Brand";v="24"',
    'sec-ch-ua-mobile': '?0',
    Accept: '*/*',
    'Sec-Fetch-Site': 'same-origin',
    'Sec-Fetch-Mode': 'cors',
    'Sec-Fetch-Dest': 'empty',
    'Accept-Language': 'en-US,en;q=0.9',
};

const polls = {
    'polling REST': {},
    'with ETag': { etag: true },
    'with ETag, gzip': { etag: true, gzip: true },
};

// A browser that polls: calls got(stream, bytes, 200 or 304) for each answer. The function returned ends it.
function poll(port, form, streams, got) {
    const timers = [];

    for (const { name, interval } of streams) {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        let etag;
        let written = 0;
        let read = 0;

        const ask = () => {
            const request = http.request({
                port, agent, host: '127.0.0.1', path: `/api/streams/${name}`,
                headers: {
                    Host: `localhost:${port}`, ...headers, Referer: `http://localhost:${port}/`,
                    ...(form.gzip ? { 'Accept-Encoding': 'gzip, deflate, br, zstd' } : {}),
                    ...(form.etag && etag ? { 'If-None-Match': etag } : {}),
                },
            });
            request.on('response', response => {
                const { socket } = response;
                etag = response.headers.etag ?? etag;
                response.resume();
                response.on('end', () => {
                    got(name, socket.bytesWritten - written + socket.bytesRead - read, response.statusCode);
                    written = socket.bytesWritten;
                    read = socket.bytesRead;
                });
            });
            request.on('error', error => { throw error; });
            request.end();
        };

        // browsers were not all opened in the same moment
        timers.push(setTimeout(() => {
            ask();
            timers.push(setInterval(ask, interval * 1000));
        }, Math.random() * interval * 1000));
    }

    return () => timers.forEach(clearTimeout);
}

// A client: calls got(stream, bytes, delta) for each message with data.
function connect(port, form, streams, got) {
    const request = http.request({
        port, host: '127.0.0.1', path: '/ws',
        headers: {
            Host: 'localhost', Connection: 'Upgrade', Upgrade: 'websocket',
            'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
            ...(form.deflate ? { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } : {}),
            ...(form.protocol ? { 'Sec-WebSocket-Protocol': form.protocol } : {}),
        },
    });

    request.on('upgrade', (response, socket, head) => {
        let buffer = head;
        const parse = () => {
            for (;;) {
                if (buffer.length < 2) {
                    return;
                }
                let at = 2;
                let length = buffer[1] & 127;
                if (length === 126 && buffer.length >= (at = 4)) {
                    length = buffer.readUInt16BE(2);
                } else if (length === 127 && buffer.length >= (at = 10)) {
                    length = Number(buffer.readBigUInt64BE(2));
                }
                if (buffer.length < at + length || length === 126 && at === 2) {
                    return;
                }
                let payload = buffer.subarray(at, at + length);
                if (buffer[0] & 64) {
                    payload = zlib.inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 255, 255])]),
                        { finishFlush: zlib.constants.Z_SYNC_FLUSH });
                }
                const start = payload.toString('latin1', 0, 200);
                const stream = streams.find(s => start.startsWith(`{"type":"${s}",`)
                    || start.slice(1).startsWith(`dtype${String.fromCharCode(0x60 + s.length)}${s}`));
                if (stream) {
                    got(stream, at + length, start.startsWith(`{"type":"${stream}","delta":`));
                }
                buffer = buffer.subarray(at + length);
            }
        };
        parse();
        socket.on('data', data => { buffer = Buffer.concat([buffer, data]); parse(); });
        const text = Buffer.from(JSON.stringify({ type: 'subscribe', streams, delta: form.delta }));
        const length = text.length < 126 ? [text.length] : [126, text.length >> 8, text.length & 255];
        socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | length[0], ...length.slice(1), 0, 0, 0, 0]), text]));
    });
    request.on('response', r => { throw new Error(`refused: ${r.statusCode}`); });
    request.end();
    return request;
}

const gw = await gateway(null, {
    workers: 1,
    node: { seed: 7, dialect: preset === 'the-block' ? 'real' : 'seed' },
    http: 'blockcast_zone main 32m; keepalive_requests 100000;\n'
        + 'gzip on; gzip_types application/json; gzip_min_length 128;\n'
        + fs.readFileSync(path.join(presets, `${preset}.conf`), 'utf8').replaceAll('presets/', `${presets}/`),
    server: 'location /ws { blockcast_websocket; } location /api/ { blockcast_api; }',
});

try {
    const { streams } = await (await fetch(`http://127.0.0.1:${gw.port}/api/streams`)).json();
    const names = streams.map(s => s.name);
    const sums = {};
    const polled = {};
    const ends = [];

    for (const [name, form] of Object.entries(forms)) {
        sums[name] = Object.fromEntries(names.map(s => [s, { n: -1, bytes: 0, deltas: 0 }]));
        connect(gw.port, form, names, (stream, bytes, delta) => {
            const sum = sums[name][stream];
            if (++sum.n > 0) {
                sum.bytes += bytes;
                sum.deltas += delta ? 1 : 0;
            }
        });
    }

    // there is something to ask for
    await new Promise(resolve => { setTimeout(resolve, 2000); });

    for (const [name, form] of Object.entries(polls)) {
        polled[name] = Object.fromEntries(names.map(s => [s, { n: 0, bytes: 0, unchanged: 0 }]));
        for (let i = 0; i < browsers; i++) {
            ends.push(poll(gw.port, form, streams, (stream, bytes, status) => {
                const sum = polled[name][stream];
                sum.n += 1;
                sum.bytes += bytes;
                sum.unchanged += status === 304 ? 1 : 0;
            }));
        }
    }

    await new Promise(resolve => { setTimeout(resolve, seconds * 1000); });
    ends.forEach(end => end());

    const cell = ({ n, bytes }) => (n > 0 ? (bytes / n).toFixed(0) : '–');
    const align = columns => `| --- | ${columns.map(() => '---:').join(' | ')} |`;

    console.log('An update, bytes with the frame header:\n');
    console.log(`| stream | updates | ${Object.keys(forms).join(' | ')} |`);
    console.log(align(['', ...Object.keys(forms)]));
    for (const { name, kind } of streams) {
        const row = Object.entries(forms).map(([form, { delta }]) =>
            (delta && kind === 'log' ? '' : cell(sums[form][name])));
        console.log(`| ${name} | ${Math.max(0, sums.text[name].n)} | ${row.join(' | ')} |`);
    }

    // a client that takes deltas gets logs as they are
    const pushed = ['text', 'deflate', 'delta', 'delta + deflate'];
    const minute = bytes => bytes * 60 / seconds;
    const kb = bytes => (bytes / 1000).toFixed(1);
    const totals = {};
    const columns = [...Object.keys(polls), ...pushed];
    const value = (column, stream) => {
        const bytes = minute(polls[column] ? polled[column][stream].bytes : browsers * sums[column][stream].bytes);
        totals[column] = (totals[column] ?? 0) + bytes;
        return kb(bytes);
    };

    console.log(`\n${browsers} browsers for a minute, kB in both directions:\n`);
    console.log(`| stream | ${Object.keys(polls).join(' | ')} | ${pushed.map(p => `WebSocket, ${p}`).join(' | ')} |`);
    console.log(align(columns));
    for (const { name, interval } of streams) {
        console.log(`| ${name} (${interval} s) | ${columns.map(c => value(c, name)).join(' | ')} |`);
    }
    console.log(`| all | ${columns.map(c => kb(totals[c])).join(' | ')} |`);
    console.log(`| share | ${columns.map(c => `1/${(totals['polling REST'] / totals[c]).toFixed(1)}`).join(' | ')} |`);

    const asked = Object.values(polled['with ETag']);
    const total = asked.reduce((sum, { n }) => sum + n, 0);
    console.log(`\n${asked.reduce((sum, { unchanged }) => sum + unchanged, 0)} of ${total} answers were 304.`);
} finally {
    await gw.stop();
}
process.exit(0);
