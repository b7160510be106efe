// A gateway in front of a real node (anvil), with the preset for chain libraries: blockcast_rpc at /rpc, and
// the node's own WebSocket beside it.

import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gateway } from '../../lib/gateway.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const shipped = path.join(here, '../../../conf/presets');
const binary = path.join(here, '../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');

export const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

export const freePort = () => new Promise(resolve => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        server.close(() => resolve(port));
    });
});

// Waits for what f() tells, an event and no time: 30 s is when it will not come any more.
export async function until(what, f, ms = 30_000) {
    const end = Date.now() + ms;
    for (;;) {
        const got = await f();
        if (got) return got;
        if (Date.now() > end) throw new Error(`${what} did not come within ${ms} ms`);
        await sleep(20);
    }
}

// The text of a preset, with the paths of its files made absolute.
export function presetText(name) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-presets-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
    fs.chmodSync(folder, 0o755);
    for (const file of fs.readdirSync(shipped)) {
        fs.writeFileSync(path.join(folder, file), fs.readFileSync(path.join(shipped, file), 'utf8')
            .replace(/^include "presets\/([^"]*)";/mg, `include "$1" {search: "${folder}"};`)
            .replace(/\bpresets\/(?=[a-z-]+\.jq)/g, /\.(conf|inc)$/.test(file) ? `${folder}/` : '$&'));
    }
    return fs.readFileSync(path.join(folder, `${name}.inc`), 'utf8');
}

export class Anvil {
    constructor(port, args) {
        Object.assign(this, { port, args, url: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}` });
    }

    async start() {
        this.child = spawn(binary, ['--port', String(this.port), ...this.args], { stdio: 'ignore' });
        await until('anvil', () => this.call('eth_chainId').catch(() => null));
        return this;
    }

    async call(method, params = []) {
        const r = await fetch(this.url, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
        });
        const { result, error } = await r.json();
        if (error) throw new Error(error.message);
        return result;
    }

    async stop() {
        if (!this.child) return;
        const gone = new Promise(resolve => { this.child.on('exit', resolve); });
        this.child.kill('SIGKILL');
        await gone;
        this.child = null;
    }
}

// args: of anvil; rpc: more lines in the location; preset: the text of one, or its name
export async function world({ args = ['--block-time', '1'], rpc = '', workers = 2, preset = 'ethereum-rpc',
    http = '', server = '', url } = {}) {
    const anvil = url ? null : await new Anvil(await freePort(), args).start();
    const node = url ?? anvil.url;
    const gw = await gateway(null, {
        workers,
        http: `blockcast_zone main 32m;\n${preset && presetText(preset)}\n${http}`,
        server: `
            location = /rpc { blockcast_rpc; blockcast_origin any; ${rpc} }
            location = /_node {
                internal;
                blockcast_node max_reply=8m;
                proxy_pass ${node}/;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
            }
            location = /ws { blockcast_websocket; }
            location /api/ { blockcast_api; }
            ${server}`,
    });
    return {
        anvil,
        gw,
        ws: `ws://127.0.0.1:${gw.port}/rpc`,
        http: `http://127.0.0.1:${gw.port}/rpc`,
        stop: async () => {
            await anvil?.stop();
            return (await gw.do('stop')).wrong;
        },
    };
}
