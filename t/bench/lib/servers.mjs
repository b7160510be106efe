// The servers that are measured. Each is started anew for each run:
//
//   const server = await servers.nchan({ size: 300, every: 4 });
//   server.port, server.path, server.pids        where it is, and what is to be measured
//   server.load                                  options of the load client that make messages come
//   await server.stop();

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { children, listening, sleep, start, stop } from './process.mjs';

export const here = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');

export const env = {
    build: process.env.BENCH_BUILD ?? path.join(here, '../../build/bench'),
    module: process.env.BLOCKCAST_MODULE,
    nginx: process.env.BLOCKCAST_NGINX ?? '/usr/sbin/nginx',
    nchan: '/usr/lib/nginx/modules/ngx_nchan_module.so',
    tmp: process.env.BENCH_TMP,
};

// Another port each time, so that nothing of the run before is in the way, below those of outgoing connections.
let port = 21000 + process.pid % 100 * 50;

export async function nextPort() {
    for (let i = 0; i < 100; i++) {
        port = port < 31000 ? port + 1 : 21000;

        const free = await new Promise(resolve => {
            const server = net.createServer().on('error', () => resolve(false));
            server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
        });

        if (free) {
            return port;
        }
    }

    throw new Error('there is no free port on 127.0.0.1');
}

function how({ every, window }) {
    return window ? [`--window=${window}`] : every ? [`--every=${every}`] : [];
}

// One process with a port for clients and one that triggers messages.
async function simple(command, args, options) {
    const clients = await nextPort();
    const control = await nextPort();
    const child = start(0, command, args(clients, control));

    await listening(clients, child);
    await listening(control, child);

    return {
        port: clients,
        control,
        path: '/',
        pids: [child.pid],
        load: [`--trigger=${control}`, ...how(options)],
        stop: () => stop(child),
    };
}

// nginx with some workers: `module`, lines of http and of its server. Processor 0 is that of a single worker.
export async function nginx({ module, http, server, workers = 1, tls, name, shared, preload }) {
    const prefix = fs.mkdtempSync(path.join(env.tmp, `${name}-`));
    const listen = await nextPort();

    fs.writeFileSync(path.join(prefix, 'nginx.conf'), `
load_module ${module};
daemon off;
pid ${prefix}/nginx.pid;
error_log stderr error;
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes ${workers};
worker_cpu_affinity ${Array.from({ length: workers }, (_, i) => (i % 2 === 0 ? '01' : '10')).join(' ')};
worker_rlimit_nofile 20000;
worker_shutdown_timeout 1s;

events {
    # of the last sixteenth nginx takes those back that have not asked yet
    worker_connections 20900;
}

http {
    access_log off;
    client_body_temp_path ${prefix}/body;
    proxy_temp_path ${prefix}/proxy;
    fastcgi_temp_path ${prefix}/fastcgi;
    uwsgi_temp_path ${prefix}/uwsgi;
    scgi_temp_path ${prefix}/scgi;
${http}
    server {
        listen 127.0.0.1:${listen}${tls ? ' ssl' : ''} backlog=4096${workers > 1 && !shared ? ' reuseport' : ''};
        ${tls ? `ssl_certificate ${env.build}/cert.pem;\n        ssl_certificate_key ${env.build}/key.pem;` : ''}
        add_header X-Worker $pid always;
${server}
    }
}
`);

    const child = start(undefined, env.nginx, ['-p', `${prefix}/`, '-e', 'stderr', '-c', `${prefix}/nginx.conf`],
        { env: { ...process.env, ...preload } });

    try {
        await listening(listen, child);
    } catch (error) {
        throw new Error(`${name}: ${error.message}`);
    }

    // workers, not helpers of the cache
    let pids = children(child.pid);
    for (let i = 0; i < 50 && pids.length !== workers; i++) {
        await sleep(20);
        pids = children(child.pid);
    }

    return {
        port: listen,
        pids,
        master: child.pid,
        async stop() {
            await stop(child);
            fs.rmSync(prefix, { recursive: true, force: true });
        },
    };
}

export const servers = {

    floor: options => simple(path.join(env.build, 'floor'), (clients, control) =>
        [`--port=${clients}`, `--control=${control}`, `--size=${options.size}`,
            ...(options.deflate ? ['--deflate'] : []), ...(options.floor ?? [])], options),

    ws: options => simple(process.execPath, (clients, control) =>
        [path.join(here, 'peer-ws.mjs'), String(clients), String(control), String(options.size),
            options.deflate ? 'deflate' : 'plain'], options),

    websockets: options => simple('/usr/bin/python3', (clients, control) =>
        [path.join(here, 'peer-websockets.py'), String(clients), String(control), String(options.size),
            options.deflate ? 'deflate' : 'plain'], options),

    async nchan(options) {
        const server = await nginx({
            name: 'nchan',
            module: env.nchan,
            tls: options.tls,
            workers: options.workers,
            http: '    nchan_shared_memory_size 256m;',
            server: `
        location = /sub {
            nchan_subscriber websocket;
            nchan_channel_id bench;
        }
        location = /pub {
            nchan_publisher http;
            nchan_channel_id bench;
            nchan_message_buffer_length 1;
            ${options.deflate ? 'nchan_deflate_message_for_websocket on;' : ''}
        }
`,
        });
        return {
            ...server,
            path: '/sub',
            load: options.tls ? [] : [`--post=${server.port}/pub`, `--size=${options.size}`, ...how(options)],
        };
    },

    // `streams`: how many, all of which each client gets. `interval`: ms, or from `every`.
    async blockcast(options) {
        const nodePort = await nextPort();
        const names = Array.from({ length: options.streams ?? 1 }, (_, i) => `bench${i === 0 ? '' : i}`);
        const interval = options.interval ?? (options.window ? 50 : Math.round(1000 / (options.every || 1)));
        const node = start(1, path.join(env.build, 'rpc'), [`--port=${nodePort}`, `--size=${options.size}`]);

        await listening(nodePort, node);

        const server = await nginx({
            name: 'blockcast',
            module: options.module ?? env.module,
            tls: options.tls,
            workers: options.workers,
            http: `
    blockcast_zone main 32m;
    blockcast_max_connections 40000 worker=19900;
    ${options.http ?? ''}
    upstream node { server 127.0.0.1:${nodePort}; keepalive 64; }
${names.map(name => `
    blockcast_stream ${name} {
        blockcast_interval ${interval}ms;
        blockcast_call call ${name} timeout=10s;
        ${options.always ? 'blockcast_always on;' : ''}
        ${options.more ?? ''}
    }
`).join('')}`,
            server: `
        location = /ws { blockcast_websocket; }
        location = /api/health { blockcast_health; }
        location = /metrics { blockcast_metrics; }
        location = /_node {
            blockcast_node;
            proxy_pass http://node/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
`,
        });

        return {
            ...server,
            path: '/ws',
            nodePort,
            load: [`--subscribe=${JSON.stringify({ type: 'subscribe', streams: names })}`],
            async calls() {
                return Number(await (await fetch(`http://127.0.0.1:${nodePort}/count`)).text());
            },
            async stop() {
                await server.stop();
                await stop(node);
            },
        };
    },

    // blockcast that leads a cluster: its log is on a Redis beside the node and the clients.
    async clustered(options) {
        const enginePort = await nextPort();
        const engine = start(1, 'redis-server', ['--port', String(enginePort), '--bind', '127.0.0.1', '--save', '',
            '--dir', env.tmp]);

        await listening(enginePort, engine);

        const server = await servers.blockcast({ ...options,
            http: `blockcast_cluster redis://127.0.0.1:${enginePort};` });

        for (let role; role !== 'leader'; await sleep(50)) {
            // 503 until then
            const health = await fetch(`http://127.0.0.1:${server.port}/api/health`);
            role = (await health.json()).cluster.role;
        }

        return {
            ...server,
            engine: engine.pid,
            async stop() {
                await server.stop();
                await stop(engine);
            },
        };
    },

    // blockcast as `turns` needs it. `streams`: [{ name, call, interval, more }]; `preload`: what nginx is started with.
    async turns(options) {
        const nodePort = await nextPort();
        const node = start(1, process.execPath, [path.join(here, 'turns-node.mjs'), String(nodePort)]);

        await listening(nodePort, node);

        const server = await nginx({
            name: 'turns',
            module: env.module,
            tls: options.tls,
            workers: options.workers,
            preload: options.preload,
            http: `
    ${options.http ?? ''}
    blockcast_zone main ${options.zone ?? '64m'};
    blockcast_max_connections 40000 worker=19900;
    blockcast_message_rate off;
    upstream node { server 127.0.0.1:${nodePort}; keepalive 64; }
${options.streams.map(s => `
    blockcast_stream ${s.name} {
        blockcast_interval ${s.interval}ms;
        blockcast_max_size ${options.maxSize ?? 262144};
        blockcast_call c ${s.call} timeout=10s;
        ${s.more ?? ''}
    }
`).join('')}`,
            server: `
        keepalive_requests 1000000;
        location = /ws { blockcast_websocket; }
        location /events { blockcast_sse; }
        location /api/ { blockcast_api; }
        location = /poke { blockcast_poke; }
        location = /_node {
            blockcast_node max_reply=40m;
            proxy_pass http://node/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffers 64 64k;
            proxy_busy_buffers_size 128k;
        }
`,
        });

        return {
            ...server,
            async stop() {
                await server.stop();
                await stop(node);
            },
        };
    },
};
