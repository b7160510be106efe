// From a block of a real node (anvil) to the last of many browsers: polling, a hook's poke, the node's head; beside
// clients that have subscribed to the node itself.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { start, stop, sleep, listening } from './process.mjs';
import { env, here, nextPort, nginx } from './servers.mjs';
import { median, number, table } from './stats.mjs';

const binary = path.join(here, '../e2e/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
const NEW = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}';
const EVERY = 370;      // ms between two blocks

// What is compared: how often the stream is polled, and what else is set.
const modes = {
    'polling, every 2 s': { interval: '2s' },
    'polling, every 50 ms': { interval: '50ms' },
    'poke by a hook, polling every 5 s': { interval: '5s', poke: true },
    'head, polling every 30 s': { interval: '30s', head: `blockcast_head 'message=${NEW}';` },
    'head with result=, polling every 30 s': { interval: '30s', head: `blockcast_head 'message=${NEW}' result=block;` },
    'each client at the node itself': { direct: true },
};

const agent = new http.Agent({ keepAlive: true });

function post(port, url, body) {
    return new Promise((resolve, reject) => {
        const req = http.request({ port, host: '127.0.0.1', path: url, method: 'POST', agent,
            headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } }, res => {
            res.resume();
            res.on('end', resolve);
        });
        req.on('error', reject);
        req.end(body);
    });
}

const rpc = (port, method) => post(port, '/', `{"jsonrpc":"2.0","id":1,"method":"${method}","params":[]}`);

// The clients of t/bench/blocks.c: { seen: number -> [first, last, clients], end() }.
async function clients(args, urgent) {
    const child = start(1, path.join(env.build, 'blocks'), args, { urgent, stdio: ['pipe', 'pipe', 'inherit'] });
    const seen = new Map();
    let rest = '';
    let ready;
    const up = new Promise((resolve, reject) => {
        ready = resolve;
        child.ended.then(() => reject(new Error('the clients have ended')));
    });
    child.stdout.on('data', data => {
        const lines = (rest + data).split('\n');
        rest = lines.pop();
        for (const line of lines) {
            if (line === 'ready') {
                ready();
                continue;
            }
            const [n, first, last, count] = line.split(' ').map(Number);
            seen.set(n, [first, last, count]);
        }
    });
    await up;
    return { seen, pid: child.pid, async end() { child.stdin.end(); await child.ended; } };
}

async function calls(port) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^blockcast_node_calls_total\{.*\} (\d+)$/m.exec(text)[1]);
}

async function one(name, options, many) {
    const { interval, poke, head, direct } = modes[name];
    const nodePort = await nextPort();
    const node = start(0, binary, ['--no-mining', '--port', String(nodePort), '--silent']);
    await listening(nodePort, node);

    const server = direct ? undefined : await nginx({
        name: 'head',
        module: env.module,
        http: `
    blockcast_zone main 32m;
    upstream node { server 127.0.0.1:${nodePort}; keepalive 64; }
    blockcast_stream block {
        blockcast_interval ${interval};
        blockcast_call block eth_getBlockByNumber 'params=["latest",false]' timeout=10s;
        ${head ?? ''}
    }
`,
        server: `
        location = /ws { blockcast_websocket; }
        location = /poke { blockcast_poke; }
        location = /metrics { blockcast_metrics; }
        location = /_node {
            internal;
            blockcast_node;
            ${head ? `blockcast_head ws://127.0.0.1:${nodePort};` : ''}
            proxy_pass http://node/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
`,
    });

    try {
        // one client of the node's own tells when the node does
        const reference = await clients([`--port=${nodePort}`, `--subscribe=${NEW}`], true);
        const browsers = await clients(direct
            ? [`--port=${nodePort}`, `--clients=${many}`, `--subscribe=${NEW}`]
            : [`--port=${server.port}`, '--path=/ws', `--clients=${many}`,
                '--subscribe={"type":"subscribe","stream":"block"}']);
        const mined = [];

        await sleep(1500);
        const before = direct ? 0 : await calls(server.port);
        const began = performance.now();

        for (let n = 1; performance.now() - began < options.time * 1000; n++) {
            const due = began + n * EVERY;
            await sleep(Math.max(0, due - performance.now()));
            mined.push([n, Number(process.hrtime.bigint())]);
            await rpc(nodePort, 'evm_mine');
            if (poke) {
                await post(server.port, '/poke', '');
            }
        }

        await sleep(300);
        const seconds = (performance.now() - began) / 1000;
        const asked = direct ? 0 : await calls(server.port) - before;
        await Promise.all([reference.end(), browsers.end()]);

        const rows = mined.map(([n, at]) => ({ at, told: reference.seen.get(n)?.[0], last: browsers.seen.get(n) }))
            .filter(r => r.told !== undefined && r.last?.[2] === many);

        return {
            shown: rows.length / mined.length,
            made: rows.map(r => (r.last[1] - r.at) / 1e6),
            first: rows.map(r => (r.last[0] - r.told) / 1e6),
            last: rows.map(r => (r.last[1] - r.told) / 1e6),
            asked: asked / seconds,
        };
    } finally {
        await server?.stop();
        await stop(node);
    }
}

const at = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

export async function head(options) {
    if (!fs.existsSync(binary)) {
        throw new Error('anvil is missing: npm ci --prefix t/e2e');
    }

    const sizes = options.clients ? [options.clients] : [1, 1000];
    const data = {};
    const parts = [];

    for (const many of sizes) {
        const rows = [];
        data[many] = {};

        // in turn, as many rounds as are asked for
        for (let round = 0; round < options.rounds; round++) {
            for (const name of Object.keys(modes)) {
                const r = await one(name, options, many);
                (data[many][name] ??= []).push(r);
                console.error(`head: ${many} clients, ${name}: ${Math.round(100 * r.shown)} % shown, first `
                    + `${number(at(r.first, 0.5), 2)} ms, last ${number(at(r.last, 0.5), 2)} ms`);
            }
        }

        for (const [name, all] of Object.entries(data[many])) {
            const of = key => all.flatMap(r => r[key]);
            rows.push([name, `${Math.round(100 * median(all.map(r => r.shown)))} %`,
                number(at(of('made'), 0.5), 1), number(at(of('first'), 0.5), 2), number(at(of('last'), 0.5), 2),
                number(at(of('last'), 0.99), 1), modes[name].direct ? '0' : number(median(all.map(r => r.asked)), 1)]);
        }

        parts.push(`${number(many)} client${many === 1 ? '' : 's'}, a block each ${EVERY} ms\n\n`
            + table([`from anvil`, 'blocks shown', 'from the request for a block to the last, p50 ms',
                'from the node\'s own notification to the first, p50 ms', 'to the last, p50 ms', 'to the last, p99 ms',
                'requests per second at the node'], rows));
    }

    return { data, text: `**From the block to the browser**\n\n${parts.join('\n\n')}` };
}
