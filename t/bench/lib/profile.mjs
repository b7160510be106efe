// Where the time goes: perf samples the server 5,000 times a second while it sends. Not part of `all`, as sampling
// costs something; its shares are finer than the kernel's own count of user time.

import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { load, sleep, start } from './process.mjs';
import { env, servers } from './servers.mjs';
import { figures, program, target } from './measure.mjs';
import { number, table } from './stats.mjs';

async function sampled(name, options, clients, every) {
    const server = await servers[name]({ size: 300, every });
    const file = path.join(env.tmp, 'perf.data');
    const time = Math.max(2, options.time);

    try {
        let perf;
        const r = figures(await load(program(), [
            ...target(server, { clients, args: ['--settle=2000', `--time=${time * 1000}`] }),
            ...server.pids.map(pid => `--pid=${pid}`),
            ...server.load,
        ], {
            // well inside of what is measured
            ready: async () => {
                sleep(2500).then(() => {
                    perf = start(1, 'perf', ['record', '-q', '-F', '5000', '-e', 'cpu-clock', '-o', file,
                        '-p', String(server.pids[0]), '--', 'sleep', String(time - 1)]);
                });
            },
        }), { clients });
        await perf?.ended;

        const report = execFileSync('perf',
            ['report', '-i', file, '--stdio', '--no-children', '-F', 'overhead,dso,sym'],
            { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
        const lines = report
            .split('\n')
            .map(line => /^\s+([\d.]+)%\s+(\S+)\s+\[([.k])\]\s+(\S+)/.exec(line))
            .filter(Boolean)
            .map(([, share, dso, space, symbol]) => ({ share: Number(share) / 100, dso, space, symbol }));

        return { ns: r.ns, lines, user: lines.filter(l => l.space === '.').reduce((sum, l) => sum + l.share, 0) };
    } finally {
        await server.stop();
        fs.rmSync(file, { force: true });
    }
}

export async function profile(options, { pace, names }) {
    const rows = [];
    const data = {};
    let text = '';

    for (const clients of options.clients ? [options.clients] : [1000, 10000]) {
        for (const name of options.peers) {
            const p = await sampled(name, options, clients, pace(clients));

            data[`${name} ${clients}`] = p;
            rows.push([`${names[name]}, ${number(clients)} clients`, number(p.ns), `${number(100 * p.user, 1)} %`,
                number(p.ns * p.user)]);
            if (name === 'blockcast') {
                text += `\n\nblockcast, ${number(clients)} clients, outside of the kernel:\n\n`
                    + table(['function', 'of', 'ns per message'], p.lines.filter(l => l.space === '.').slice(0, 16)
                        .map(l => [`\`${l.symbol}\``, l.dso, number(p.ns * l.share, 1)]));
            }
        }
    }

    return {
        data,
        text: '**Where the time goes**, sampled by perf, 300 B\n\n'
            + table(['', 'CPU ns per message', 'user space', 'ns of it'], rows) + text,
    };
}
