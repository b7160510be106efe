/** Where the gateway is, from what the page or the caller says. */

/** The WebSocket address for `url`, or the page's own `/ws` when none is given. `http(s):` and paths are understood too. */
export function websocketUrl(url?: string): string {
  const base = typeof location === 'undefined' ? 'http://localhost:8000/' : location.href;
  const resolved = new URL(url ?? '/ws', base);
  if (resolved.protocol === 'http:') {
    resolved.protocol = 'ws:';
  } else if (resolved.protocol === 'https:') {
    resolved.protocol = 'wss:';
  }
  resolved.hash = '';
  return resolved.href;
}

/** The REST prefix that belongs to a WebSocket address: `ws://host/ws` has `http://host/api`. No slash at its end. */
export function restUrl(websocket: string): string {
  const url = new URL(websocket);
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  url.search = '';
  url.pathname = `${url.pathname.replace(/\/(ws)?$/, '')}/api`;
  return url.href;
}
