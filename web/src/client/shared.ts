import { websocketUrl } from './urls';
import type { StreamClientOptions } from './options';
import { StreamClient } from './StreamClient';

/**
 * Clients that nobody holds are forgotten, the oldest first, when there are more than this: a server renders pages of any number of
 * addresses and never connects.
 */
const MOST_IDLE = 100;

interface Shared {
  clients: Map<string, StreamClient>;
  /** The options of each client that were reported, or will be. */
  reported: WeakMap<StreamClient, Set<string>>;
}

/** One for the program, also where both the ES modules and the CommonJS ones of this package are loaded. */
function shared(): Shared {
  const key = Symbol.for('blockcast-web.clients');
  const owner = globalThis as unknown as Record<symbol, Shared | undefined>;
  return (owner[key] ??= { clients: new Map(), reported: new WeakMap() });
}

/**
 * The one client for an address, made when it is first asked for. Those who come later share that connection; options of theirs
 * that differ from what it has are reported on the console.
 */
export function sharedClient(url?: string, options: Omit<StreamClientOptions, 'url'> = {}): StreamClient {
  const { clients } = shared();
  const address = websocketUrl(url);
  let client = clients.get(address);
  if (client !== undefined) {
    for (const name of client.configure(options)) {
      report(client, name as keyof typeof options, options);
    }
    return client;
  }

  client = new StreamClient({ ...options, url: address });
  clients.set(address, client);
  if (clients.size > MOST_IDLE) {
    trim(clients);
  }
  return client;
}

/** Once for each option, and only of a client that connects: a server's never does, and renders pages of many users. */
function report(client: StreamClient, name: keyof Omit<StreamClientOptions, 'url'>, options: StreamClientOptions): void {
  const { reported } = shared();
  const names = reported.get(client) ?? new Set<string>();
  reported.set(client, names);
  if (names.has(name)) {
    return;
  }
  names.add(name);
  const text =
    `blockcast: the connection to ${client.url} has ${describe(name, client.option(name))}; ` +
    `${describe(name, options[name])} of a later caller has no effect. Give all callers the same, in a StreamProvider for example.`;
  if (client.held) {
    console.warn(text);
    return;
  }
  const leave = client.onStatus(() => {
    if (client.held) {
      leave();
      console.warn(text);
    }
  });
}

function trim(clients: Map<string, StreamClient>): void {
  let idle = [...clients].filter(([, client]) => !client.held).length;
  for (const [address, client] of clients) {
    if (idle <= MOST_IDLE) {
      return;
    }
    if (!client.held) {
      clients.delete(address);
      idle -= 1;
    }
  }
}

function describe(name: string, value: unknown): string {
  return name === 'token' || name === 'headers' ? (value === undefined ? `no ${name}` : `another ${name}`) : `${name}: ${String(value)}`;
}

/** Forgets every shared client: for tests, which want each case to start with none. */
export function forgetSharedClients(): void {
  shared().clients.clear();
}
