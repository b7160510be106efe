// Many clients of any kind, which read what comes and do not look at it: WebSocket, server-sent events, long polls.

import net from 'node:net';
import tls from 'node:tls';

function frame(text) {
    const payload = Buffer.from(text);
    // masked with zeros
    const head = payload.length < 126
        ? Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0])
        : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255, 0, 0, 0, 0]);
    return Buffer.concat([head, payload]);
}

export class Crowd {
    // port, tls, deflate, protocol; kind: ws, sse or poll; path; say(i): the messages of client i
    constructor(options) {
        Object.assign(this, { kind: 'ws', path: '/ws', say: () => [], ...options });
        this.sockets = new Set();
        this.bytes = 0;
        this.ready = 0;
        this.closed = 0;
    }

    request() {
        const head = `GET ${this.path} HTTP/1.1\r\nHost: bench\r\n`;
        return this.kind !== 'ws' ? `${head}\r\n` : `${head}Connection: Upgrade\r\nUpgrade: websocket\r\n`
            + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
            + (this.deflate ? 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n' : '')
            + (this.protocol ? `Sec-WebSocket-Protocol: ${this.protocol}\r\n` : '') + '\r\n';
    }

    one(i, said) {
        const to = { port: this.port, host: '127.0.0.1', localAddress: `127.0.0.${2 + i % 16}` };
        const socket = this.tls ? tls.connect({ ...to, rejectUnauthorized: false }) : net.connect(to);
        let head = '';
        let left = 0;

        this.sockets.add(socket);
        socket.on(this.tls ? 'secureConnect' : 'connect', () => socket.write(this.request()));
        socket.on('error', () => {});
        socket.on('close', () => {
            this.sockets.delete(socket);
            this.closed++;
            if (this.again && !this.stopped) {
                setTimeout(() => this.one(i), 10 + Math.random() * 50);
            }
        });
        socket.on('data', data => {
            this.bytes += data.length;

            if (this.kind === 'poll') {
                // one response after the other
                left -= data.length;
                if (left < 0) {
                    const text = data.toString('latin1', 0, 4096);
                    const end = text.indexOf('\r\n\r\n') + 4;
                    left = Number(/\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0) - (data.length - end);
                }
                if (left === 0) {
                    socket.write(this.request());
                    this.ready += head === '';
                    head = 'x';
                }
                return;
            }
            if (head === undefined) {
                return;
            }
            head += data.toString('latin1', 0, 4096);
            if (head.includes('\r\n\r\n')) {
                head = undefined;
                this.ready++;
                (said ?? this.say(i)).forEach(text => socket.write(frame(text)));
            }
        });
        return socket;
    }

    // `n` clients, 200 at a time; resolves when all have their response's head
    async open(n) {
        for (let i = 0; i < n; i++) {
            this.one(i);
            if (this.kind !== 'poll') {
                while (i - this.ready - this.closed >= 200) {
                    await new Promise(resolve => { setTimeout(resolve, 2); });
                }
            }
        }
        await this.until(() => this.kind === 'poll' || this.ready + this.closed >= n);
    }

    async until(done, seconds = 60) {
        const end = Date.now() + seconds * 1000;
        while (!done() && Date.now() < end) {
            await new Promise(resolve => { setTimeout(resolve, 5); });
        }
        return done();
    }

    // until nothing more comes
    async quiet(ms = 500, seconds = 120) {
        const end = Date.now() + seconds * 1000;
        for (let last = -1; last !== this.bytes && Date.now() < end;) {
            last = this.bytes;
            await new Promise(resolve => { setTimeout(resolve, ms); });
        }
    }

    // all of them say it at once
    tell(say) {
        let i = 0;
        for (const socket of this.sockets) {
            say(i++).forEach(text => socket.write(frame(text)));
        }
    }

    async stop() {
        this.stopped = true;
        for (const socket of this.sockets) {
            // a reset leaves no port in TIME_WAIT; TLS has none
            if (this.tls || !socket.resetAndDestroy) {
                socket.destroy();
            } else {
                socket.resetAndDestroy();
            }
        }
        await new Promise(resolve => { setTimeout(resolve, 50); });
    }
}
