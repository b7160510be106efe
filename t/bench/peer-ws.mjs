#!/usr/bin/env node
// A peer of the benchmark: node's `ws`, sending as its documentation shows.
//
//   peer-ws.mjs PORT CONTROL SIZE deflate|plain
//
// Each byte on a connection to the port CONTROL sends one message of SIZE bytes to all clients of the port PORT.

import net from 'node:net';
import { WebSocketServer, WebSocket } from 'ws';
import { message } from './lib/message.mjs';

const [port, control, size] = process.argv.slice(2, 5).map(Number);
const deflate = process.argv[5] === 'deflate';

const server = new WebSocketServer({
    host: '127.0.0.1',
    port,
    backlog: 4096,
    perMessageDeflate: deflate && { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 },
});

const make = message(size);

net.createServer(socket => {
    socket.on('data', data => {
        for (let i = 0; i < data.length; i++) {
            const frame = make();
            for (const client of server.clients) {
                if (client.readyState === WebSocket.OPEN) {
                    client.send(frame, { binary: false });
                }
            }
        }
    });
}).listen(control, '127.0.0.1');
