// Prints three messages of a stream, then ends by itself. With "ws" in Node.js 20, without from 22 on.
import { StreamClient } from 'blockcast-web/client';

const [url, how, token] = process.argv.slice(2);
const WebSocket = how === 'ws' ? (await import('ws')).default : undefined;
if (how === 'none') {
  delete globalThis.WebSocket;
}

const client = new StreamClient({ url, webSocket: WebSocket, token: token ?? undefined, headers: { 'X-Of': 'fresh' } });
let left = 3;
try {
  for await (const message of client.stream('network_metrics')) {
    console.log(JSON.stringify({ seq: message.seq, height: String(message.data.block_height), state: client.status.state }));
    left -= 1;
    if (left === 0) {
      break;
    }
  }
} catch (error) {
  console.log(JSON.stringify({ error: error.message, reason: error.reason, state: client.status.state, attempt: client.status.attempt }));
}
