#!/usr/bin/env node
// The benchmark; t/bench/run builds what it needs and starts it.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { commands, names } from './lib/commands.mjs';
import { env, here, servers } from './lib/servers.mjs';

const options = {
    clients: undefined, rounds: 5, time: 5, noise: 0.15, peers: Object.keys(names),
};
const wanted = [];

function fail(sentence) {
    console.error(`t/bench/run: ${sentence}`);
    process.exit(2);
}

function bounded(name, value, min, max) {
    const n = Number(value);
    if (!(n >= min && n <= max)) {
        fail(`--${name}=${value}: a number from ${min} to ${max} is needed`);
    }
    return n;
}

for (const arg of process.argv.slice(2)) {
    const [, name, value] = /^--([a-z]+)=(.*)$/.exec(arg) ?? [];

    if (name === 'clients') {
        options.clients = bounded(name, value, 1, 19000);
    } else if (name === 'rounds') {
        options.rounds = bounded(name, value, 1, 50);
    } else if (name === 'time') {
        options.time = bounded(name, value, 0.2, 60);
    } else if (name === 'noise') {
        options.noise = bounded(name, value, 1, 100) / 100;
    } else if (name === 'before') {
        options.before = path.resolve(value);
        if (!fs.existsSync(options.before)) {
            fail(`--before: there is no ${value}`);
        }
    } else if (name === 'peers') {
        options.peers = value.split(',');
        const unknown = options.peers.find(peer => !servers[peer]);
        if (unknown !== undefined) {
            fail(`--peers: there is no "${unknown}", only ${Object.keys(servers).join(', ')}`);
        }
    } else if (commands[arg]) {
        wanted.push(arg);
    } else if (arg === 'all') {
        wanted.push(...Object.keys(commands));
    } else {
        fail(`unknown argument ${arg} (t/bench/run --help)`);
    }
}

if (wanted.length === 0) {
    wanted.push(...Object.keys(commands));
}

// What the figures are of.
function machine() {
    const quietly = (command, args) => {
        try {
            return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
        } catch {
            return '';
        }
    };
    const version = name => quietly('dpkg-query', ['-W', '-f=${Version}', name]);
    const cpus = os.cpus();
    const nginx = quietly('sh', ['-c', `${env.nginx} -v 2>&1`]).replace(/.*nginx\//, '');
    const ws = JSON.parse(fs.readFileSync(path.join(here, 'package.json'), 'utf8')).dependencies.ws;
    const congestion = fs.readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'latin1').trim();
    const commit = quietly('git', ['-C', here, 'describe', '--always', '--dirty']);

    return `${new Date().toISOString().slice(0, 10)}, blockcast ${commit}: ${cpus.length} × ${cpus[0].model.trim()}, `
        + `${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()} (${congestion}), nginx ${nginx}, `
        + `nchan ${version('libnginx-mod-nchan').replace(/^1:|[+-].*/g, '')}, `
        + `Node.js ${process.version.slice(1)} with ws ${ws}, `
        + `Python websockets ${version('python3-websockets').replace(/-.*/, '')}. `
        + `Medians of ${options.rounds} rounds; ratios are those of neighbouring runs, and none is told where their middle `
        + `half is wider than ${options.noise * 100} %.`;
}

console.log(`${machine()}\n`);

const began = Date.now();
const raw = {};
let failed = false;

for (const name of new Set(wanted)) {
    const minutes = commands[name].seconds(options) / 60;

    console.error(`t/bench/run: ${name}: takes about ${minutes < 1 ? 'a minute' : `${Math.ceil(minutes)} minutes`}`);
    try {
        const { text, data } = await commands[name].run(options);
        raw[name] = data;
        console.log(`${text}\n`);
    } catch (error) {
        // the others can still be measured
        console.error(`t/bench/run: ${name}: ${error.stack}`);
        failed = true;
    }
    fs.writeFileSync(path.join(env.build, 'results.json'), JSON.stringify({ machine: machine(), raw }, null, 1));
}

console.error(`t/bench/run: ready after ${Math.round((Date.now() - began) / 1000)} s; `
    + `every run is in ${path.join(env.build, 'results.json')}`);
process.exit(failed ? 1 : 0);
