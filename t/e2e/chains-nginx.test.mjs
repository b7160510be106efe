// The presets bitcoin, substrate, solana and cometbft in a real nginx, from a node that speaks as these do to
// a client: if this fails, a page of such a node has streams without data, or blocks are missing.

import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gateway } from '../lib/gateway.mjs';
import { Bitcoin, Comet, Solana, Substrate } from './lib/dialects.mjs';

const shipped = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../conf/presets');
const presets = fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-presets-'));
process.on('exit', () => fs.rmSync(presets, { recursive: true, force: true }));
fs.chmodSync(presets, 0o755);
for (const file of fs.readdirSync(shipped)) {
    fs.writeFileSync(path.join(presets, file), fs.readFileSync(path.join(shipped, file), 'utf8')
        .replace(/^include "presets\/([^"]*)";/mg, `include "$1" {search: "${presets}"};`)
        .replace(/\bpresets\/(?=[a-z-]+\.jq)/g, file.endsWith('.conf') ? `${presets}/` : '$&')
        .replace(/(blockcast_interval +)\d+s/g, '$1500ms'));
}

const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

async function through(t, name, node, auth = '') {
    const gw = await gateway(t, {
        workers: 1,
        http: `blockcast_zone main 32m;\n${fs.readFileSync(path.join(presets, `${name}.conf`), 'utf8')}`,
        server: `location /api/ { blockcast_api; }
            location = /_node { internal; blockcast_node max_reply=8m; proxy_pass http://127.0.0.1:${node.port}/;
            proxy_http_version 1.1; proxy_set_header Connection ""; ${auth} }`,
    });
    const get = async what => (await (await fetch(`http://127.0.0.1:${gw.port}/api/${what}`)).json());
    const streams = (await get('streams')).streams.map(s => s.name);
    const data = {};
    for (const end = Date.now() + 30000; Object.keys(data).length < streams.length; await sleep(200)) {
        assert.ok(Date.now() < end, `${name}: ${JSON.stringify((await get('health')).streams
            .map(s => [s.name, s.state, s.error]))}`);
        for (const s of streams) {
            const { data: d } = await get(`streams/${s}`);
            if (d) data[s] = d;
        }
    }
    return { gw, get, data };
}

const NODES = [['substrate', Substrate, {}], ['solana', Solana, {}], ['cometbft', Comet, {}], ['bitcoin', Bitcoin, { version: 28 }]];

for (const [name, Node, options, auth] of NODES) {
    test(`${name}: every stream must come through nginx, and each block once`, async t => {
        const node = await new Node(options).grow(60).listen(t);
        const { gw, get, data } = await through(t, name, node, auth);
        assert.ok(data.chain.height >= 57 || data.chain.slot >= 57, JSON.stringify(data.chain));
        const key = name === 'solana' ? 'slot' : 'number';
        const first = data.blocks.blocks[0][key];
        node.grow(130);
        let got = [];
        for (const end = Date.now() + 30000; got.length === 0 || got[0] < first + 125; await sleep(300)) {
            assert.ok(Date.now() < end, `the newest is ${got[0]}`);
            await get('streams/blocks?wait=1s');
            got = (await get('streams/blocks')).data.blocks.map(b => b[key]).reverse();
        }
        for (const s of (await get('health')).streams) {
            assert.deepEqual([s.name, s.error ?? null, s.note?.text ?? null], [s.name, null, null]);
        }
        await gw.stop();
    });
}
