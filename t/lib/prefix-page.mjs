// The dashboard in a real browser, at the addresses given: what each shows, as one line of JSON.
//
//   node t/lib/prefix-page.mjs ADDRESS...

import { launch } from '../../web/e2e/browser.mjs';

const browser = await launch();
const results = [];

for (const address of process.argv.slice(2)) {
  const page = await browser.newPage();
  const failed = [];
  const sockets = [];

  page.on('response', (response) => {
    if (response.status() >= 400 && !/\/(api\/health|rpc)\b/.test(response.url())) {
      failed.push(`${response.status()} ${response.url()}`);
    }
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !/503/.test(message.text())) {
      failed.push(message.text());
    }
  });

  page.on('websocket', (socket) => sockets.push(new URL(socket.url()).pathname));

  await page.goto(address);
  let live = 'no figures in 60 s';
  try {
    await page.waitForFunction(() => /\d/.test(document.querySelector('main')?.innerText ?? ''), null, { timeout: 60000 });
    live = 'figures';
  } catch (error) {
    live += `: ${await page.evaluate(() => document.body.innerText.slice(0, 200))}`;
  }

  const links = await page.evaluate(() => [...document.querySelectorAll('footer a')].map((a) => new URL(a.href).pathname));
  results.push({ live, links, sockets: [...new Set(sockets)], failed, at: new URL(page.url()).pathname });
  await page.close();
}

await browser.close();
console.log(JSON.stringify(results));
