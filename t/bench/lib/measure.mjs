// One run of the load client against one server, and rounds of them.

import path from 'node:path';
import { load } from './process.mjs';
import { env, servers } from './servers.mjs';
import { median, number } from './stats.mjs';

export const program = () => path.join(env.build, 'load');

// Options of the load client for a server.
export function target(server, options) {
    return [
        `--port=${server.port}`,
        `--path=${server.path}`,
        `--clients=${options.clients}`,
        ...(options.clients > 15000 ? ['--sources=16'] : []),
        ...(options.tls ? ['--tls'] : []),
        ...(options.deflate ? ['--deflate'] : []),
        ...(options.args ?? []),
    ];
}

// The figures that follow from what the load client says.
export function figures(r, options = {}) {
    const idle = r.idle_ns > 0 ? r.cpu_idle.cpu / r.idle_ns * r.time_ns : 0;

    return {
        ...r,
        ns: (r.cpu.cpu - idle) / r.deliveries,
        user: r.cpu.cpu * (r.cpu.user / (r.cpu.user + r.cpu.system)) / r.deliveries,
        busy: r.cpu.cpu / r.time_ns,
        wait: r.cpu.wait / (r.cpu.wait + r.cpu.cpu),
        own: r.own_ns / r.time_ns,
        rate: r.deliveries / r.time_ns * 1e9,
        last: r.complete > 0 ? r.last_us.p50 / 1000 : NaN,
        handshake: r.cpu_connect.cpu / r.connected / 1000,
        memory: (r.pss[1] - r.pss[0]) / r.connected,
        memoryAfter: (r.pss[2] - r.pss[0]) / r.connected,
        kernel: (r.slab[1] - r.slab[0]) / r.connected,
        idlePercent: 100 * r.cpu_idle.cpu / r.idle_ns,
        wrong: [
            r.connected !== options.clients && `${options.clients - r.connected} of ${options.clients} not connected`,
            r.closed > 0 && `${r.closed} closed`,
            options.size && r.deliveries > 0 && (r.length[0] !== options.size || r.length[1] !== options.size)
                && `payloads of ${r.length[0]} to ${r.length[1]} bytes instead of ${options.size}`,
            options.messages && !(r.complete > 0) && 'no message reached all clients',
        ].filter(Boolean),
    };
}

// A server, a load client, and its figures.
export async function run(name, options) {
    const server = await servers[name](options);

    try {
        if (options.warm) {
            // the first connections cost more than the others: code and tables that all of them share
            await load(program(), [...target(server, { ...options, clients: Math.min(options.clients, 200),
                args: ['--time=0'] })]);
        }
        const got = figures(await load(program(), [
            ...target(server, options),
            ...server.pids.map(pid => `--pid=${pid}`),
            ...(options.quiet ? server.load.filter(o => o.startsWith('--subscribe')) : server.load),
        ]), options);

        for (const sentence of got.wrong) {
            console.error(`t/bench/run: ${name}: ${sentence}`);
        }
        return got;
    } finally {
        await server.stop();
    }
}

// All in turn, and that several times: what drifts in the machine meets all of them. {name: [figures…]}.
export async function rounds(names, n, what, one) {
    const results = Object.fromEntries(names.map(name => [name, []]));

    for (let i = 0; i < n; i++) {
        for (const name of names) {
            process.stderr.write(`t/bench/run: ${what}, round ${i + 1} of ${n}: ${name}        \r`);
            try {
                results[name].push(await one(name));
            } catch (error) {
                console.error(`\nt/bench/run: ${what}: ${name}: ${error.message}`);
            }
        }
    }
    process.stderr.write('\n');

    return results;
}

// What other processes took from the servers, as a sentence.
export function disturbance(...results) {
    const waits = results.flatMap(byName => Object.values(byName).flat()).map(r => r.wait).filter(Number.isFinite);
    const most = Math.max(0, ...waits);

    return waits.length === 0 ? '' : `\n\n${most > 0.1 ? '**Disturbed**: o' : 'O'}ther processes kept a server waiting for `
        + `its processor for at most ${number(100 * most, 1)} % of the time it had work, `
        + `${number(100 * median(waits), 1)} % in the median.`;
}
