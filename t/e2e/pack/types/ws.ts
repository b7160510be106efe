import WebSocket from 'ws';
import { StreamClient } from 'blockcast-web/client';

export const client = new StreamClient({ url: 'ws://localhost:8080', webSocket: WebSocket });
