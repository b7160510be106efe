// The client alone, in a program that knows nothing of a browser.
import { StreamClient } from 'blockcast-web/client';

export const client = new StreamClient({ url: 'ws://localhost:8080' });
client.subscribe('peers', { onData: (data) => data.total });
