// A server renders pages of 20,000 addresses and of 20,000 streams; what it keeps of them is printed, in bytes.
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { StreamProvider, useConnection, useDataStream, useSuspenseDataStream, useWebSocket } from 'blockcast-web';

function Page({ url, stream }) {
  const { data, status } = useDataStream(stream, { url });
  const { state } = useConnection(url);
  const { connected } = useWebSocket({ url, streams: [stream] });
  return createElement('p', null, `${data} ${status} ${state} ${connected}`);
}

const page = (url, stream) => renderToString(createElement(StreamProvider, { url }, createElement(Page, { url, stream })));
const used = () => {
  globalThis.gc();
  return process.memoryUsage().heapUsed;
};

const html = page('ws://one.example/ws', 'peers');
for (let index = 0; index < 2000; index += 1) {
  page(`ws://warm-${index}.example/ws`, `s${index}`);
}
const before = used();
for (let index = 0; index < 20000; index += 1) {
  page(`ws://host-${index}.example/ws`, `stream_${index}`);
  page('ws://one.example/ws', `stream_${index}`);
}
let thrown = null;
try {
  renderToString(createElement(function Suspended() {
    return createElement('p', null, useSuspenseDataStream('peers').data.total);
  }));
} catch (error) {
  thrown = error.message;
}
console.log(JSON.stringify({ html, grown: used() - before, thrown, relative: renderToString(createElement(Page, { stream: 'peers' })) }));
