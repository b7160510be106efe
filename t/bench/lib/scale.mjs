// How it grows with clients and workers, what the node sees of it, and bytes.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { load, sleep } from './process.mjs';
import { here, servers } from './servers.mjs';
import { disturbance, figures, program, rounds, target } from './measure.mjs';
import { cell, median, number, table } from './stats.mjs';

// Some load clients at once, which begin to listen together; what they saw, added.
async function several(server, total, args) {
    const n = Math.ceil(total / 19000);
    let waiting = n;
    let go;
    const all = new Promise(resolve => { go = resolve; });
    const ready = async () => {
        waiting -= 1;
        if (waiting === 0) {
            go();
        }
        await all;
    };

    const results = await Promise.all(Array.from({ length: n }, (_, i) => load(program(), [
        ...target(server, { clients: Math.round(total / n), args: ['--sources=16', ...args] }),
        ...server.pids.map(pid => `--pid=${pid}`), `--pid=${server.master}`,
        ...server.load,
    ], { ready, limit: 500, cpu: n > 1 ? i : 1 })));

    const sum = key => results.reduce((s, r) => s + r[key], 0);
    const first = results[0];

    // each has seen what all processes have used, but only its own messages
    return figures({
        ...first,
        connected: sum('connected'),
        refused: sum('refused'),
        deliveries: sum('deliveries'),
        pss: [Math.min(...results.map(r => r.pss[0])), Math.max(...results.map(r => r.pss[1])),
            Math.max(...results.map(r => r.pss[2]))],
        slab: [Math.min(...results.map(r => r.slab[0])), Math.max(...results.map(r => r.slab[1]))],
        last_us: { ...first.last_us, p50: Math.max(...results.map(r => r.last_us.p50)) },
    }, { clients: total });
}

export async function scale(options) {
    const steps = options.clients
        ? [[options.clients, 1], [2 * options.clients, 2]]
        : [[1000, 1], [10000, 1], [19000, 1], [38000, 2]];
    const results = await rounds(steps.map(([clients, workers]) => `${clients} ${workers}`), options.rounds, 'scale',
        async name => {
            const [clients, workers] = name.split(' ').map(Number);
            const every = Math.max(1, Math.min(20, Math.round(20000 / clients)));
            const server = await servers.blockcast({ size: 300, every, workers });
            try {
                const r = await several(server, clients,
                    ['--idle=60000', '--settle=3000', `--time=${options.time * 1000}`]);
                // two workers share both processors with the clients
                return { ...r, wait: workers > 1 ? NaN : r.wait };
            } finally {
                await server.stop();
            }
        });
    const rows = steps.map(([clients, workers]) => {
        const r = results[`${clients} ${workers}`];
        const column = (key, digits) => cell(r.map(x => x[key]), undefined, 1, digits);
        return [`${number(clients)} on ${workers === 1 ? 'one worker' : `${workers} workers`}`,
            number(median(r.map(x => x.connected))), column('memoryAfter'), column('kernel'),
            column('idlePercent', 2), column('ns'), column('last', 1)];
    });

    // what is the same for one client and for many falls out of the difference
    const [small, large] = [steps[0], steps[steps.length - 1]]
        .map(([clients, workers]) => ({ clients, runs: results[`${clients} ${workers}`] }));
    const growth = (key, eachClient = true) => {
        const at = step => median(step.runs.map(r => r[key])) * (eachClient ? step.clients : 1);
        return (at(large) - at(small)) / (large.clients - small.clients);
    };
    const million = `By the difference between the first and the last line a client more costs `
        + `${number(growth('memoryAfter'))} bytes in nginx, beside the 424 of its slot, `
        + `${number(growth('kernel') / 2)} in the kernel (half of both ends), `
        + `and ${number(growth('ns'))} ns per message: 1,000,000 clients would take `
        + `${number((growth('memoryAfter') + 424 + growth('kernel') / 2) / 1000, 1)} GB, `
        + `${number(growth('idlePercent', false) * 1e6, 0)} % of a processor while nothing happens, and `
        + `${number(growth('ns') / 1000, 1)} s of processor time per message to all.`;

    return {
        data: results,
        text: '**Scale**: blockcast, all connected for a minute with nothing but pings (one each 45 s), then 300 B\n\n'
            + table(['clients', 'connected', 'PSS per client, bytes', 'kernel, both ends, bytes', 'idle, % of a processor',
                'CPU ns per message', 'last client, ms'], rows)
            + `\n\n${million}` + disturbance(results),
    };
}

export async function node(options) {
    const seconds = 15;
    const interval = 500;
    const rows = [];

    for (const workers of [1, 2]) {
        const row = [`${workers} worker${workers > 1 ? 's' : ''}`];

        for (const clients of options.clients ? [0, 1, options.clients] : [0, 1, 1000, 10000]) {
            const server = await servers.blockcast({ size: 300, interval, workers });
            let calls;

            try {
                if (clients === 0) {
                    calls = -await server.calls();
                    await sleep(seconds * 1000);
                    calls += await server.calls();
                } else {
                    await load(program(), [
                        ...target(server, { clients, args: ['--settle=0', `--time=${(seconds + 4) * 1000}`,
                            '--subscribe-first'] }),
                        ...server.load,
                    ], {
                        async ready() {
                            setTimeout(async () => { calls = -await server.calls(); }, 2000);
                            setTimeout(async () => { calls += await server.calls(); }, 2000 + seconds * 1000);
                        },
                    });
                }
                row.push(number(calls * 60 / seconds));
            } finally {
                await server.stop();
            }
        }

        rows.push(row);
    }

    const head = options.clients ? [0, 1, options.clients] : [0, 1, 1000, 10000];

    return {
        data: rows,
        text: `**What the node is asked**: requests a minute for a stream of one call every ${interval} ms, counted for `
            + `${seconds} s\n\n`
            + table(['listeners', ...head.map(n => number(n))], rows),
    };
}

export async function bytes() {
    const text = execFileSync(process.execPath, [path.join(here, 'bytes.mjs'), '60'],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 120000 });

    return { data: text, text: `**Bytes on the wire**\n\n${text.trim()}` };
}
