// The node of `t/bench/run turns`: node turns-node.mjs PORT. What a method's name asks for:
//
//   json_SIZE_N   an array of records of about SIZE bytes, another one each time; N tells streams apart
//   hex_SIZE      a string of hexadecimal digits, which compress badly
//   clock_MS_N    a number that grows every MS ms; N tells streams apart
//   keys_MS       of keys in the first param, an object of such numbers, each of which grows at another time
//   log_BYTES     a hundred entries of 200 bytes, the next ones each time until they are BYTES together

import crypto from 'node:crypto';
import http from 'node:http';

const calls = new Map();

function record(id) {
    return `{"id":${id},"market":"${['compute', 'storage', 'energy', 'ads'][id % 4]}","hash":"${
        crypto.createHash('sha1').update(String(id)).digest('hex')}","block_height":${1000000 + (id >> 3)},"provider":"node-${
        id * 7919 % 1000}","consumer":"user-${id * 104729 % 10000}","amount":${id * 31337 % 100000}}`;
}

function records(from, bytes) {
    const list = [];
    for (let size = 0; size < bytes || list.length === 0; size += list[list.length - 1].length + 1) {
        list.push(record(from + list.length));
    }
    return list;
}

function result(method, params) {
    const [kind, bytes] = method.split('_');
    const n = calls.get(method) ?? 0;
    const size = Number(bytes);

    calls.set(method, n + 1);

    if (kind === 'clock') {
        return `{"n":${Math.floor(Date.now() / size)}}`;
    }
    if (kind === 'keys') {
        return JSON.stringify(Object.fromEntries(params[0].map(key =>
            [key, { n: Math.floor(Date.now() / size + crypto.createHash('md5').update(key).digest()[0] / 256) }])));
    }

    if (kind === 'hex') {
        return `"${crypto.randomBytes(size / 2).toString('hex')}"`;
    }
    if (kind === 'json') {
        return size < 1000 ? `"${n} ${'x'.repeat(size)}"` : `[${records(n * 10000, size - 100).join(',')}]`;
    }

    // in batches, as a chain makes them
    const from = Math.min(n * 100, Math.ceil(size / 200));
    return `[${Array.from({ length: 100 }, (_, i) => record(from + i)).join(',')}]`;
}

http.createServer((request, response) => {
    let body = '';
    request.on('data', data => { body += data; });
    request.on('end', () => {
        const { id, method, params } = JSON.parse(body);
        const text = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result(method, params)}}`;
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
        response.end(text);
    });
}).listen(Number(process.argv[2]), '127.0.0.1');
