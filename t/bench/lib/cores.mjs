// What more processors would do: how connections spread over workers, and what one publish costs each of them.

import fs from 'node:fs';
import path from 'node:path';
import { start, stop, sleep, listening } from './process.mjs';
import { env, nextPort, nginx } from './servers.mjs';
import { median, number, table } from './stats.mjs';

// nanoseconds that a process has run
const ran = pid => Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]);

const serve = async (workers, shared, nodePort) => nginx({
    name: 'cores',
    module: env.module,
    workers,
    shared,
    http: `
    blockcast_zone main 32m;
    blockcast_max_connections 40000 worker=19900;
    upstream node { server 127.0.0.1:${nodePort}; keepalive 64; }
    blockcast_stream bench { blockcast_interval 500ms; blockcast_call call bench timeout=10s; }
`,
    server: `
        location = /ws { blockcast_websocket; }
        location = /metrics { blockcast_metrics; }
        location = /api/health { blockcast_health; }
        location = /_node { internal; blockcast_node; proxy_pass http://node/; proxy_http_version 1.1; proxy_set_header Connection ""; }
`,
});

async function clients(port, many) {
    const child = start(1, path.join(env.build, 'blocks'), [`--port=${port}`, '--path=/ws', `--clients=${many}`,
        '--subscribe={"type":"subscribe","stream":"bench"}'], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
        child.stdout.on('data', data => { if (String(data).includes('ready')) resolve(); });
        child.ended.then(() => reject(new Error('the clients have ended')));
    });
    return { async end() { child.stdin.end(); await child.ended; } };
}

const get = async (port, url) => (await fetch(`http://127.0.0.1:${port}${url}`)).text();

async function spread(shared, nodePort) {
    const server = await serve(4, shared, nodePort);
    try {
        const all = await clients(server.port, 1000);
        await sleep(300);
        const { workers } = JSON.parse(await get(server.port, '/api/health'));
        await all.end();
        return workers.map(w => w.connections).sort((a, b) => a - b);
    } finally {
        await server.stop();
    }
}

// What the busiest worker runs for one publish to all of `many`, in ms, and what all do together.
async function publish(workers, many, options, nodePort) {
    const server = await serve(workers, false, nodePort);
    try {
        const all = await clients(server.port, many);
        await sleep(1500);
        const count = async () => Number(/^blockcast_updates_total\{.*\} (\d+)$/m.exec(await get(server.port, '/metrics'))[1]);
        const [n, before] = [await count(), server.pids.map(ran)];
        await sleep(options.time * 1000);
        const [m, after] = [await count(), server.pids.map(ran)];
        await all.end();
        const each = server.pids.map((_, i) => (after[i] - before[i]) / 1e6 / (m - n));
        return { busiest: Math.max(...each), sum: each.reduce((a, b) => a + b, 0) };
    } finally {
        await server.stop();
    }
}

export async function cores(options) {
    const nodePort = await nextPort();
    const node = start(1, path.join(env.build, 'rpc'), [`--port=${nodePort}`, '--size=300']);
    await listening(nodePort, node);
    const many = options.clients ?? 10000;
    const data = { spread: {}, publish: {} };

    try {
        for (let round = 0; round < options.rounds; round++) {
            for (const [name, shared] of [['one queue', true], ['reuseport', false]]) {
                (data.spread[name] ??= []).push(await spread(shared, nodePort));
            }
            for (const workers of [1, 2, 4]) {
                (data.publish[workers] ??= []).push(await publish(workers, many, options, nodePort));
            }
        }
    } finally {
        await stop(node);
    }

    const off = counts => Math.max(...counts.map(n => Math.abs(n - 250) / 2.5));
    const one = median(data.publish[1].map(r => r.busiest));

    return {
        data,
        text: '**Many cores**\n\n1,000 connections at once, 4 workers\n\n'
            + table(['listen', 'connections of each worker, every round', 'farthest from a quarter'],
                Object.entries(data.spread).map(([name, all]) => [name, all.map(c => c.join('/')).join(', '),
                    `${number(Math.max(...all.map(off)))} %`]))
            + `\n\nOne publish of 300 B to ${number(many)} clients, processor time\n\n`
            + table(['workers', 'the busiest, ms', 'of one worker\'s', 'all together, ms'],
                Object.entries(data.publish).map(([workers, all]) => {
                    const busiest = median(all.map(r => r.busiest));
                    return [workers, number(busiest, 1), `${number(100 * busiest / one)} %`, number(median(all.map(r => r.sum)), 1)];
                })),
    };
}
