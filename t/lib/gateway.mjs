// A real nginx with the module for suites in JavaScript (node:test):
//
//   const gw = await gateway(t, {
//       workers: 2, node: { dialect: 'seed' },
//       http: 'blockcast_stream s { blockcast_call c net.stats; }',
//       server: 'location /ws { blockcast_websocket; }',
//   });
//   gw.port, gw.nodePort; await gw.do('workers'); await gw.node('GET', '/control/stats');
//
// The arguments are those of Blockcast::Test (t/lib/Blockcast/Test.pm), which does the work. It is
// stopped at the end of the test `t`, which fails on an alert, a sanitizer's report or a process left.

import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

export async function gateway(t, options) {
    const perl5lib = [here, process.env.PERL5LIB].filter(Boolean).join(':');
    const child = spawn('perl', [path.join(here, 'gateway.pl')], {
        env: { ...process.env, PERL5LIB: perl5lib },
        stdio: ['pipe', 'pipe', 'inherit'],
    });
    const waiting = [];
    const lines = readline.createInterface({ input: child.stdout });

    lines.on('line', line => {
        const answer = JSON.parse(line);
        const { resolve, reject } = waiting.shift();
        if (answer.error) {
            reject(new Error(answer.error));
        } else {
            resolve(answer);
        }
    });
    lines.on('close', () => {
        for (const { reject } of waiting.splice(0)) {
            reject(new Error('the helper ended'));
        }
    });

    const ask = question => new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        child.stdin.write(`${JSON.stringify(question)}\n`);
    });

    const first = await ask(options);
    const gw = {
        port: first.port,
        ports: first.ports,
        nodePort: first.node_port,
        prefix: first.prefix,
        master: first.master,

        // One command of t/lib/gateway.pl.
        do: (command, more = {}) => ask({ do: command, ...more }),

        // A control call to the simulated node.
        async node(method, url, body) {
            const r = await fetch(`http://127.0.0.1:${gw.nodePort}${url}`, {
                method,
                body: body === undefined ? undefined : JSON.stringify(body),
                headers: { 'Content-Type': 'application/json' },
            });
            if (r.status !== 200) {
                throw new Error(`simulated node: ${method} ${url}: ${r.status} ${await r.text()}`);
            }
            return r.json();
        },

        // Stops everything and throws what was wrong.
        async stop() {
            if (child.stdin.writableEnded) {
                return;
            }
            const { wrong } = await ask({ do: 'stop' });
            child.stdin.end();
            if (wrong.length > 0) {
                throw new Error(`at the end: ${wrong.join('\n')}`);
            }
        },
    };

    t?.after(() => gw.stop());

    return gw;
}
