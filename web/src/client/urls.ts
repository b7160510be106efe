/**
 * Where the gateway is, from what the page or the caller says. Absolute addresses are taken apart by hand: the `URL` of React
 * Native cannot be changed, and in part not even be read.
 */

const ABSOLUTE = /^(wss?|https?):\/\/([^/?#]+)([^?#]*)(\?[^#]*)?/i;

/**
 * The WebSocket address for `url`, or the page's own `/ws` when none is given. `http(s):` and paths are understood too. Where
 * there is no page a path stays what it is, and cannot be connected to.
 */
export function websocketUrl(url = '/ws'): string {
  const absolute = ABSOLUTE.test(url) || typeof location === 'undefined' ? url : new URL(url, location.href).href;
  const parts = ABSOLUTE.exec(absolute);
  if (parts === null) {
    return url;
  }
  const [, scheme = '', host = '', path, query = ''] = parts;
  const secure = /^(wss|https)$/i.test(scheme);
  return `${secure ? 'wss' : 'ws'}://${host.toLowerCase().replace(secure ? /:443$/ : /:80$/, '')}${path || '/'}${query}`;
}

/** Why nobody can connect to this address, or null. */
export function addressProblem(url: string): string | null {
  return ABSOLUTE.test(url)
    ? null
    : `"${url}" is no address to connect to: without a page the option url has to be a whole one, like wss://example.org/ws`;
}

/** The address beside a WebSocket address: `ws://host/deep/ws` has `http://host/deep/api`. No slash at its end. */
function beside(websocket: string, name: string): string {
  const [, scheme = 'ws', host = '', path = ''] = ABSOLUTE.exec(websocket) ?? [];
  const secure = scheme.toLowerCase() === 'wss';
  return `${secure ? 'https' : 'http'}://${host}${path.replace(/\/(ws)?$/, '')}/${name}`;
}

/** The REST prefix that belongs to a WebSocket address: `ws://host/ws` has `http://host/api`. */
export function restUrl(websocket: string): string {
  return beside(websocket, 'api');
}

export function rpcUrl(websocket: string): string {
  return beside(websocket, 'rpc');
}

/** A caller's own REST or JSON-RPC address, which may be a path on the gateway's host. */
export function resolveHttp(given: string, websocket: string): string {
  if (ABSOLUTE.test(given)) {
    return given.replace(/^ws/i, 'http').replace(/\/$/, '');
  }
  const [, scheme = 'ws', host = ''] = ABSOLUTE.exec(websocket) ?? [];
  return `${scheme.toLowerCase() === 'wss' ? 'https' : 'http'}://${host}/${given.replace(/^\/|\/$/g, '')}`;
}

/**
 * Where REST may be, the likeliest first. The port 8080, which gateways give to WebSocket alone, has its REST on 8000.
 */
export function restUrls(websocket: string): string[] {
  const url = restUrl(websocket);
  const other = url.replace(/^(http:\/\/[^/]*):8080(?=\/)/, '$1:8000');
  return other === url ? [url] : [url, other];
}
