// The globals of React Native: window without a document or events, a URL that cannot be changed, a WebSocket with headers in the
// third place; loaded by CommonJS from the folders, as a resolver does that does not know "exports".
const { StreamClient } = require('./node_modules/blockcast-web/client');
const { StreamClient: same } = require('blockcast-web/client');
const { FakeSocket } = require('blockcast-web/testing');

const fail = (name) => () => {
  throw new Error(`URL.${name} is not implemented`);
};
class NativeURL {
  constructor(url) {
    this._url = url;
  }
  toString() {
    return this._url;
  }
}
for (const name of ['protocol', 'hash', 'search', 'pathname', 'host', 'hostname', 'port']) {
  Object.defineProperty(NativeURL.prototype, name, { get: fail(name), set: fail(name) });
}
globalThis.window = globalThis;
globalThis.URL = NativeURL;
Object.defineProperty(globalThis, 'navigator', { value: { product: 'ReactNative' }, configurable: true });
for (const name of ['document', 'location', 'addEventListener', 'removeEventListener', 'process']) {
  Object.defineProperty(globalThis, name, { value: undefined, configurable: true, writable: true });
}
globalThis.WebSocket = FakeSocket;
globalThis.fetch = () => Promise.reject(new TypeError('Network request failed'));

let changed = () => {};
let active = true;
const app = { hidden: () => !active, watch: (listener) => ((changed = listener), () => {}) };

const out = { same: StreamClient === same, data: [], states: [] };
const client = new StreamClient({ url: 'wss://example.org/ws?x=1', token: 'to/ken=', headers: { 'X-Of': 'mine' }, page: app, hiddenTimeout: 10 });
client.onStatus(() => out.states.push(client.status.state));
const leave = client.subscribe('peers', { onData: (data) => out.data.push(data.total) });
out.url = FakeSocket.last.url;
out.protocols = FakeSocket.last.protocols;
out.headers = FakeSocket.last.options;
FakeSocket.last.greet().acknowledge().data('peers', { total: 3 }, 1);
active = false;
changed();
setTimeout(() => {
  out.paused = client.status.state;
  active = true;
  changed();
  out.sockets = FakeSocket.all.length;
  const other = new StreamClient({});
  other.subscribe('peers', () => {});
  out.without = other.status;
  leave();
  console.log(JSON.stringify(out));
}, 50);
