// Real nodes that are npm packages (t/e2e/nodes), as processes.

import assert from 'node:assert/strict';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { call } from './preset-engine.mjs';

export const nodes = path.join(path.dirname(fileURLToPath(import.meta.url)), '../nodes');

// Node.js with this program, until it prints the port it listens on.
export async function start(t, program, listens, options = {}) {
    const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    t.after(() => child.kill('SIGKILL'));
    const [port, told] = await new Promise((resolve, reject) => {
        let text = '';
        for (const out of [child.stdout, child.stderr]) {
            out.on('data', d => {
                text += d;
                const m = listens.exec(text);
                if (m) resolve([Number(m[1]), text]);
            });
        }
        child.on('error', reject);
        child.on('exit', code => reject(new Error(`the node ended with ${code}: ${text}`)));
    });
    const url = `http://${options.auth ?? ''}127.0.0.1:${port}/`;
    const rpc = async (method, ...params) => {
        const { result, error } = await call(url, method, JSON.stringify(params), 20000);
        assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`);
        return JSON.parse(result);
    };
    return { url, port, rpc, told };
}

// bcoin, with options of its own, and addresses of its network to pay to: three of bech32, one of base58. Its
// native modules are not built: for the store in memory, and with NODE_BACKEND, it needs none.
export async function bcoin(t, { options = {}, auth } = {}) {
    const node = await start(t, ['-e', `
        const Module = require('module');
        const load = Module._load;
        Module._load = function (name, ...rest) { return name === 'leveldown' ? function () { } : load.call(this, name, ...rest); };
        const { Address, FullNode } = require(${JSON.stringify(path.join(nodes, 'node_modules/bcoin'))});
        (async () => {
            const net = require('net').createServer().listen(0, '127.0.0.1');
            await new Promise(resolve => net.on('listening', resolve));
            const { port } = net.address();
            await new Promise(resolve => net.close(resolve));
            const node = new FullNode({ network: 'regtest', memory: true, workers: false, listen: false, logLevel: 'none',
                httpHost: '127.0.0.1', httpPort: port, ...${JSON.stringify(options)} });
            await node.open();
            const bech32 = [7, 8, 9].map(n => Address.fromWitnessPubkeyhash(Buffer.alloc(20, n)).toString('regtest'));
            console.log(JSON.stringify([...bech32, Address.fromPubkeyhash(Buffer.alloc(20, 10)).toString('regtest')]) + ' port ' + port);
        })().catch(e => { console.error(e); process.exit(1); });`],
    /\] port (\d+)/, { auth, env: { ...process.env, NODE_BACKEND: 'js' } });
    return { ...node, addresses: JSON.parse(/\[.*\](?= port )/.exec(node.told)[0]),
        mine: (n, address) => node.rpc('generatetoaddress', n, address) };
}
