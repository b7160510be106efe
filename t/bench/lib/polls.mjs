// The CPU of a poll: of the worker and of the helper process that runs the stream's program, beside another build of the
// module where --before names one.

import fs from 'node:fs';
import { rounds } from './measure.mjs';
import { sleep } from './process.mjs';
import { env, servers } from './servers.mjs';
import { cell, table } from './stats.mjs';

const STREAMS = 8;
const INTERVAL = 50;

const programs = {
    'no program': '',
    '`.results.call`': 'blockcast_jq .results.call;',
};

// A worker and what it has started: [ns on a processor, ns that it waited for one]
function used(pid) {
    const own = fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ').map(Number);

    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(used)
        .reduce(([cpu, wait], [c, w]) => [cpu + c, wait + w], own);
}

async function one(module, size, program, time) {
    // each poll brings something new, and nobody listens: what is left is the poll
    const server = await servers.blockcast({ size, streams: STREAMS, interval: INTERVAL, always: true, module,
        more: program });
    const [pid] = server.pids;

    try {
        // a keepalive connection for each, the helper started
        await sleep(500);
        const calls = await server.calls();
        const [cpu, wait] = used(pid);
        await sleep(time * 1000);
        const [after, waited] = used(pid);
        const polls = await server.calls() - calls;

        return { ns: (after - cpu) / polls, wait: (waited - wait) / (waited - wait + after - cpu), polls };
    } finally {
        await server.stop();
    }
}

export async function polls(options) {
    const modules = { ...(options.before ? { before: options.before } : {}), now: env.module };
    const data = {};
    const rows = [];

    for (const [name, program] of Object.entries(programs)) {
        for (const size of [300, 4096]) {
            const of = await rounds(Object.keys(modules), options.rounds, `polls, ${name}, ${size}`,
                which => one(modules[which], size, program, options.time));
            const values = which => of[which]?.map(r => r.ns / 1000);

            data[`${name}, ${size}`] = of;
            rows.push([`${name}, ${size} B`, ...(options.before ? [cell(values('before'), undefined, undefined, 1)] : []),
                cell(values('now'), options.before && values('before'), options.noise, 1)]);
        }
    }

    return {
        data,
        text: `**CPU of a poll** that brings something new, µs of the worker and its helper processes, ${STREAMS} streams, `
            + `each polled every ${INTERVAL} ms, no listener\n\n`
            + table(['', ...(options.before ? ['before'] : []), options.before ? 'now (× before)' : 'now'], rows),
    };
}
