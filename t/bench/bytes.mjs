#!/usr/bin/env node
// How many bytes on the wire an update takes, frame header included, in each form a client can ask for. Prints
// a Markdown table.
//
//   t/run t/00-load.t; node t/bench/bytes.mjs [SECONDS] [PRESET]
//
// The module must be built (t/run does it). A real nginx with the preset (the-block-seed) polls the simulated node
// for so many seconds (60); each client subscribes to all streams, and its first message of each is not counted.

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
    http: 'blockcast_zone main 32m;\n'
        + fs.readFileSync(path.join(presets, `${preset}.conf`), 'utf8').replaceAll('presets/', `${presets}/`),
    server: 'location /ws { blockcast_websocket; } location /api/ { blockcast_api; }',
});

try {
    const { streams } = await (await fetch(`http://127.0.0.1:${gw.port}/api/streams`)).json();
    const names = streams.map(s => s.name);
    const sums = {};

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

    await new Promise(resolve => { setTimeout(resolve, seconds * 1000); });

    const cell = ({ n, bytes }) => (n > 0 ? (bytes / n).toFixed(0) : '–');
    console.log(`| stream | updates | ${Object.keys(forms).join(' | ')} |`);
    console.log(`| --- | ---: | ${Object.keys(forms).map(() => '---:').join(' | ')} |`);
    for (const { name, kind } of streams) {
        const row = Object.entries(forms).map(([form, { delta }]) =>
            (delta && kind === 'log' ? '' : cell(sums[form][name])));
        console.log(`| ${name} | ${Math.max(0, sums.text[name].n)} | ${row.join(' | ')} |`);
    }
} finally {
    await gw.stop();
}
process.exit(0);
