import { StreamClient, type StreamClientOptions } from './StreamClient';
import { websocketUrl } from './urls';

const clients = new Map<string, StreamClient>();

/**
 * The one client for an address, made when it is first asked for. Options count for whoever comes first; those who come
 * later share that connection.
 */
export function sharedClient(url?: string, options: Omit<StreamClientOptions, 'url'> = {}): StreamClient {
  const address = websocketUrl(url);
  let client = clients.get(address);
  if (client === undefined) {
    client = new StreamClient({ ...options, url: address });
    clients.set(address, client);
  }
  return client;
}

/** Forgets every shared client: for tests, which want each case to start with none. */
export function forgetSharedClients(): void {
  clients.clear();
}
