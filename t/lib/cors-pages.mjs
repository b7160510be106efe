// What pages in a real browser get from a gateway of another origin, as one line of JSON:
//
//   node t/lib/cors-pages.mjs GATEWAY TOKEN PAGE...
//
// For each page, what each way of asking came to: a status and what was read, or "refused".

import { launch } from '../../web/e2e/browser.mjs';

const [gateway, token, ...pages] = process.argv.slice(2);

/** Runs in the page. */
async function ask({ gateway, token }) {
  const get = async (path, options) => {
    try {
      const r = await fetch(gateway + path, options);
      const body = await r.text();
      const read = body.startsWith('{') ? JSON.parse(body) : {};
      return [r.status, read.type ?? read.error ?? '', r.headers.get('ETag') ? 'etag' : '', r.headers.get('Retry-After') ? 'retry' : '']
        .filter(Boolean).join(' ');
    } catch (error) {
      return 'refused';
    }
  };
  const within = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 20000, 'nothing in 20 s'))]);

  const result = {
    snapshot: await get('/api/streams/well'),
    cookies: await get('/api/streams/well', { credentials: 'include' }),
    missing: await get('/api/nope'),
    waiting: await get('/api/streams/none'),
    anonymous: await get('/tokens/api/streams/well'),
    bearer: await get('/tokens/api/streams/well', { headers: { Authorization: `Bearer ${token}` } }),
    forwarded: await get('/api/streams/well', { headers: { 'X-Forwarded-Host': location.host } }),
    post: await get('/api/streams/well', { method: 'POST', body: 'x' }),
    health: (await get('/health')).replace(/ .*/, ''),
  };

  result.events = await within(new Promise((resolve) => {
    const source = new EventSource(`${gateway}/events/well`);
    source.onmessage = (event) => { source.close(); resolve(JSON.parse(event.data).type); };
    source.onerror = () => { source.close(); resolve('refused'); };
  }));

  result.websocket = await within(new Promise((resolve) => {
    const ws = new WebSocket(`${gateway.replace('http', 'ws')}/ws`);
    ws.onmessage = (event) => { ws.close(); resolve(JSON.parse(event.data).type); };
    ws.onerror = () => resolve('refused');
  }));

  return result;
}

const browser = await launch();
const results = [];

try {
  for (const url of pages) {
    const page = await browser.newPage();
    await page.goto(url);
    results.push(await page.evaluate(ask, { gateway, token }));
    await page.close();
  }
} finally {
  await browser.close();
}

console.log(JSON.stringify(results));
