// What a cluster costs: the same module alone, and as the leader of a cluster whose log is on a Redis.

import { disturbance, rounds, run } from './measure.mjs';
import { cell, number, table } from './stats.mjs';

const names = { blockcast: 'alone', clustered: 'leads a cluster' };
const sizes = { 300: '300 B', 4096: '4 KiB' };

export async function cluster(options, { paced }) {
    const clients = options.clients ?? 1000;
    const columns = [];

    for (const size of [300, 4096]) {
        const results = await rounds(Object.keys(names), options.rounds, `cluster, ${sizes[size]}`,
            name => run(name, paced(options, clients, size)));

        columns.push({ size, results });
    }

    const row = (title, name, value, digits) => [title, ...columns.map(c => cell(c.results[name].map(value),
        name === 'blockcast' ? undefined : c.results.blockcast.map(value), options.noise, digits))];
    const rows = [
        ['CPU per delivered message, ns', r => r.ns],
        ['from the node\'s reply to the nearest client, p50, ms', r => r.nearest_us.p50 / 1000, 2],
        ['the same, p99, ms', r => r.nearest_us.p99 / 1000, 2],
        ['to the last client, p50, ms', r => r.last_us.p50 / 1000, 1],
    ];

    return {
        data: columns,
        text: `**A cluster**, ${number(clients)} clients, ${number(paced(options, clients, 300).every)} messages a second, a `
            + 'Redis on the clients\' processor (× alone)\n\n'
            + table(['', ...columns.map(c => sizes[c.size])],
                rows.flatMap(([title, value, digits]) => Object.keys(names).map(name =>
                    row(`${title}, ${names[name]}`, name, value, digits))))
            + disturbance(...columns.map(c => c.results)),
    };
}
