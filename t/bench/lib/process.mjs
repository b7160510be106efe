// Processes of the benchmark: all of them end with it, whatever happens.

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';

const running = new Set();
const processors = os.cpus().length;

export const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

// Whether we may let a process go before all others.
let mayHurry;

function hurried() {
    mayHurry ??= spawnSync('chrt', ['-f', '1', 'true'], { stdio: 'ignore' }).status === 0;
    return mayHurry ? ['chrt', '-f', '1'] : [];
}

// Starts a command on one processor (cpu undefined: on any). It is a group of its own. `urgent`: it need not wait for
// others on its processor (where that is permitted).
export function start(cpu, command, args, { urgent, ...options } = {}) {
    const [program, ...rest] = [
        ...(cpu === undefined || cpu >= processors ? [] : ['taskset', '-c', String(cpu)]),
        ...(urgent ? hurried() : []),
        command, ...args,
    ];
    const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'inherit'], ...options });

    running.add(child);
    child.ended = new Promise(resolve => {
        child.on('error', error => {
            console.error(`t/bench/run: ${command}: ${error.message}`);
            running.delete(child);
            resolve(-1);
        });
        child.on('exit', (code, signal) => {
            running.delete(child);
            resolve(signal ?? code);
        });
    });

    return child;
}

// Ends it, with force after ten seconds.
export async function stop(child) {
    if (!running.has(child)) {
        return;
    }
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10000);
    await child.ended;
    clearTimeout(timer);
}

function killAll() {
    for (const child of running) {
        child.kill('SIGTERM');
    }
}

process.on('exit', killAll);
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
    process.on(signal, () => {
        console.error('t/bench/run: interrupted');
        process.exit(code);
    });
}

// Waits until a port of 127.0.0.1 takes connections.
export async function listening(port, child) {
    for (let i = 0; i < 200; i++) {
        if (!running.has(child)) {
            throw new Error(`the server of port ${port} has ended`);
        }
        const there = await new Promise(resolve => {
            const socket = net.connect(port, '127.0.0.1');
            socket.on('connect', () => { socket.destroy(); resolve(true); });
            socket.on('error', () => resolve(false));
        });
        if (there) {
            return;
        }
        await sleep(50);
    }
    throw new Error(`nobody listens on port ${port}`);
}

// The processes whose parent is this one.
export function children(pid) {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
}

// Hundredths of a second that the hypervisor gave to others while this machine had something to run.
const stolen = () => Number(/^cpu +(.*)$/m.exec(fs.readFileSync('/proc/stat', 'latin1'))[1].split(' ')[7]);

// Runs the load client to its end; what it printed, and `stolen`, the part of one processor's time that other machines
// had meanwhile. `ready`: called when all are connected, before the rest.
export async function load(program, args, { limit = 240, ready, cpu = 1, urgent } = {}) {
    const child = start(cpu, program, [...args, ...(ready ? ['--wait'] : [])],
        { urgent, stdio: ['pipe', 'pipe', ready ? 'pipe' : 'inherit'] });
    const began = performance.now();
    const before = stolen();
    let out = '';

    child.stdout.on('data', data => { out += data; });
    child.stderr?.on('data', async data => {
        if (!String(data).startsWith('ready')) {
            process.stderr.write(data);
            return;
        }
        await ready();
        child.stdin.end('go\n');
    });

    const timer = setTimeout(() => child.kill('SIGKILL'), limit * 1000);
    const code = await child.ended;
    clearTimeout(timer);

    if (code !== 0) {
        throw new Error(`the load client ended with ${code} (${args.join(' ')})`);
    }
    return { ...JSON.parse(out), stolen: (stolen() - before) / ((performance.now() - began) / 10) };
}
