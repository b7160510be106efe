// Processes of the benchmark: all of them end with it, whatever happens.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';

const running = new Set();
const processors = os.cpus().length;

export const sleep = ms => new Promise(resolve => { setTimeout(resolve, ms); });

// Starts a command on one processor (cpu undefined: on any). It is a group of its own.
export function start(cpu, command, args, options = {}) {
    const pinned = cpu === undefined || cpu >= processors ? [command, args] : ['taskset', ['-c', String(cpu), command, ...args]];
    const child = spawn(...pinned, { stdio: ['ignore', 'ignore', 'inherit'], ...options });

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

// Runs the load client to its end; what it printed. `ready`: called when all are connected, before the rest.
export async function load(program, args, { limit = 240, ready, cpu = 1 } = {}) {
    const child = start(cpu, program, [...args, ...(ready ? ['--wait'] : [])],
        { stdio: ['pipe', 'pipe', ready ? 'pipe' : 'inherit'] });
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
    return JSON.parse(out);
}
