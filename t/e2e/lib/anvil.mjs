// anvil, a real Ethereum node, and the presets as a gateway of a test includes them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const binary = path.join(here, '../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const shipped = path.join(here, '../../../conf/presets');
const presets = fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-presets-'));
process.on('exit', () => fs.rmSync(presets, { recursive: true, force: true }));
fs.chmodSync(presets, 0o755);
for (const file of fs.readdirSync(shipped)) {
    fs.writeFileSync(path.join(presets, file), fs.readFileSync(path.join(shipped, file), 'utf8')
        .replace(/^include "presets\/([^"]*)";/mg, `include "$1" {search: "${presets}"};`)
        .replace(/\bpresets\/(?=[a-z-]+\.jq)/g, /\.(conf|inc)$/.test(file) ? `${presets}/` : '$&'));
}
// The text of one of the presets.
export const text = file => fs.readFileSync(path.join(presets, file), 'utf8');

export const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });
export const hex = n => `0x${BigInt(n).toString(16)}`;
export const quantity = n => (BigInt(n) < 2n ** 53n ? Number(n) : String(BigInt(n)));

export async function until(what, condition, seconds = 60) {
    for (const end = Date.now() + seconds * 1000; ; await sleep(50)) {
        const value = await condition();
        if (value) return value;
        assert.ok(Date.now() < end, `not within ${seconds} s: ${what}`);
    }
}

// One that mines when it is told to, behind something that counts what it is asked.
export async function anvil(t) {
    const child = spawn(binary, ['--no-mining', '--port', '0', '--host', '127.0.0.1']);
    t.after(() => child.kill());
    const port = await new Promise((resolve, reject) => {
        let said = '';
        child.stdout.on('data', d => {
            said += d;
            const m = /Listening on 127\.0\.0\.1:(\d+)/.exec(said);
            if (m) resolve(Number(m[1]));
        });
        child.on('error', reject);
        child.on('exit', code => reject(new Error(`anvil ended with ${code}: ${said}`)));
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const counted = {};
    const ask = body => new Promise((resolve, reject) => {
        const req = http.request({ port, host: '127.0.0.1', method: 'POST', agent,
            headers: { 'Content-Type': 'application/json' } }, res => {
            let got = '';
            res.on('data', d => { got += d; });
            res.on('end', () => resolve(got));
        });
        req.on('error', reject);
        req.end(body);
    });
    const server = http.createServer((req, res) => {
        let body = '';
        req.on('data', d => { body += d; });
        req.on('end', async () => {
            for (const { method, params } of [JSON.parse(body)].flat()) {
                counted[method] ??= [];
                counted[method].push(params?.[0]);
            }
            res.setHeader('Content-Type', 'application/json');
            res.end(await ask(body).catch(() => ''));
        });
    });
    await new Promise(resolve => { server.listen(0, '127.0.0.1', resolve); });
    t.after(() => { server.closeAllConnections(); server.close(); agent.destroy(); });
    const rpc = async (method, ...params) => {
        const { result, error } = JSON.parse(await ask(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })));
        assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
        return result;
    };
    const batch = async calls => {
        const got = JSON.parse(await ask(JSON.stringify(calls.map(([method, ...params], id) =>
            ({ jsonrpc: '2.0', id, method, params })))));
        const results = [];
        for (const r of got) results[r.id] = r.result;
        return results;
    };
    return { port: server.address().port, counted, rpc, batch, accounts: await rpc('eth_accounts') };
}
