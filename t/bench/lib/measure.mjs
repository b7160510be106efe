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
        // connect() first tries one half of an address's 28,000 ports, and searches long when that is used up
        ...(options.clients > 12000 ? ['--sources=16'] : []),
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

// Others had the processor for more than a twentieth of the time.
const disturbed = r => r.wait > 0.05 || r.stolen > 0.05;

// All in turn, and that several times, forwards and backwards: what drifts in the machine meets all of them.
// {name: [figures…]}, one for each round; {} where it failed. A disturbed run is done again, twice at most.
export async function rounds(names, n, what, one) {
    const results = Object.fromEntries(names.map(name => [name, []]));
    let again = 0;

    for (let i = 0; i < n; i++) {
        for (const name of i % 2 ? [...names].reverse() : names) {
            let got = {};

            for (let attempt = 0; attempt < 3; attempt++) {
                process.stderr.write(`t/bench/run: ${what}, round ${i + 1} of ${n}: ${name}        \r`);
                try {
                    got = await one(name);
                } catch (error) {
                    console.error(`\nt/bench/run: ${what}: ${name}: ${error.message}`);
                    break;
                }
                if (!disturbed(got)) {
                    break;
                }
                again += attempt < 2;
            }
            results[name].push(got);
        }
    }
    process.stderr.write(again ? `\nt/bench/run: ${what}: ${again} disturbed runs were done again\n` : '\n');

    return results;
}

// What other processes and other machines took from the servers, as a sentence.
export function disturbance(...results) {
    const runs = results.flatMap(byName => Object.values(byName).flat());
    const of = key => runs.map(r => r[key]).filter(Number.isFinite);
    const [waits, steals] = [of('wait'), of('stolen')];
    const percent = values => `${number(100 * Math.max(0, ...values), 1)} % (median ${number(100 * median(values), 1)} %)`;

    if (waits.length === 0) {
        return '';
    }
    return `\n\n${runs.some(disturbed) ? '**Disturbed**: o' : 'O'}ther processes kept a server waiting for its processor `
        + `for at most ${percent(waits)} of the time it had work`
        + (steals.length > 0 ? `; the hypervisor gave others at most ${percent(steals)} of a processor.` : '.');
}
