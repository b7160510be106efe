/**
 * The dashboard in a real browser.
 *
 *   npm run e2e:mock                                   on the mock gateway
 *   BASE_URL=http://127.0.0.1:8000 E2E_RELOAD=… npm run e2e    on a running one; see gateway.mjs for the commands
 *
 *   node e2e/dashboard.e2e.mjs WORD…      only the tests that have one of these words in their name
 *   E2E_SOAK=1800                         seconds of the test that watches memory and processor (default 12)
 *   E2E_LANES=1                           tests that run at the same time (default 3)
 *
 * Screenshots go to e2e/output/.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, openPage } from './browser.mjs';
import { whatIsCut } from './cut.mjs';
import { openGateway } from './gateway.mjs';
import { check, equal, run, test, testAlone, until } from './harness.mjs';
import { fakeGateway } from './synthetic.mjs';

const OUTPUT = fileURLToPath(new URL('output', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SOAK = Number(process.env.E2E_SOAK ?? 12);

mkdirSync(OUTPUT, { recursive: true });
if (process.env.E2E_GATEWAY === 'mock' && !existsSync(fileURLToPath(new URL('../dist/index.html', import.meta.url)))) {
  console.error('web/dist is missing: run "npm run build" first');
  process.exit(1);
}

const gateway = await openGateway();
const browser = await launch();

// ------------------------------------------------------------------ helpers

/** A page on the gateway, closed after `body`, whatever happens. */
async function withPage(options, body) {
  const opened = await openPage(browser, gateway.base, options);
  try {
    if (options.before) {
      await options.before(opened.page);
    }
    await opened.page.goto(gateway.base);
    return await body(opened.page, opened);
  } finally {
    await opened.context.close();
  }
}

/** What was asked for is laid out: two frames were drawn. */
const settled = (page) => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));

const panel = (page, stream) => page.locator(`.panel[data-stream="${stream}"]`).first();
const state = (page, stream) => panel(page, stream).getAttribute('data-state');
const pill = async (page) => (await page.locator('.pill').textContent())?.trim();
const banner = async (page) => (await page.locator('.banner').count()) === 0 ? null : page.locator('.banner').innerText();

const STREAMS = ['network_metrics', 'markets_health', 'receipts', 'peers'];

/** Every panel has live data. */
async function live(page, seconds = 30) {
  await until(async () => {
    for (const stream of STREAMS) {
      if ((await state(page, stream)) !== 'live') {
        return `${stream} is ${await state(page, stream)}, the pill says ${await pill(page)}`;
      }
    }
    return (await pill(page)) === 'Live' ? true : `the pill says ${await pill(page)}`;
  }, seconds);
}

const height = async (page) => {
  const text = await page.locator('.area-metrics .tile').first().locator('.tile-value').innerText();
  return Number(text.replace(/\D/g, ''));
};

/** The chart is a canvas: something is on it that is not of one colour. */
const drawn = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector('.area-history canvas');
    if (!canvas || canvas.width === 0) {
      return false;
    }
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let index = 0; index < data.length; index += 4) {
      if (data[index + 3] > 200) {
        colours.add((data[index] << 16) | (data[index + 1] << 8) | data[index + 2]);
      }
    }
    return colours.size > 3;
  });

/** Waits for a receipt that was not there. */
async function another(page) {
  const newest = () => panel(page, 'receipts').locator('.grid-body [role="row"]').first().innerText();
  const before = await newest();
  await until(async () => (await newest()) !== before || 'no new receipt', 40);
}

/** The ids in the list of receipts, newest first, read by scrolling through it. */
async function receiptIds(page) {
  return page.evaluate(async () => {
    const grid = document.querySelector('[data-stream="receipts"] .grid');
    const ids = new Map();
    const collect = () => {
      for (const row of grid.querySelectorAll('.grid-body [role="row"]')) {
        ids.set(Number(row.getAttribute('aria-rowindex')), row.querySelector('.receipt-id [title]')?.title);
      }
    };
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    for (let top = 0; top <= grid.scrollHeight; top += grid.clientHeight) {
      grid.scrollTop = top;
      await frame();
      collect();
    }
    grid.scrollTop = 0;
    await frame();
    return [...ids].sort(([a], [b]) => a - b).map(([, id]) => id);
  });
}

/** Pauses the list, reads it, compares it with what the gateway has kept: the same ids in the same order, none missing. */
async function compareReceipts(page) {
  await page.getByRole('button', { name: 'Pause' }).first().click();
  const shown = await receiptIds(page);
  const response = await fetch(`${gateway.base}/api/receipts?limit=1000`);
  const kept = (await response.json()).receipts.map(({ id }) => String(id));
  await page.getByRole('button', { name: /Resume/ }).click();

  equal(new Set(shown).size, shown.length, 'receipts that are listed twice');
  const start = kept.indexOf(shown[0]);
  check(start !== -1, `the gateway knows the newest receipt on the page, ${shown[0]}`);
  const expected = kept.slice(start, start + shown.length);
  equal(shown.slice(0, expected.length).join(' '), expected.join(' '), 'receipts on the page against those the gateway kept');
  return shown.length;
}

async function axe(page, what) {
  await page.evaluate(AXE);
  const result = await page.evaluate(async () => {
    // Colours in the middle of a fade are no colours of the design.
    for (const animation of document.getAnimations()) {
      try {
        animation.finish();
      } catch {
        animation.cancel(); // one without an end
      }
    }
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 160)} (${failureSummary?.replace(/\s+/g, ' ').slice(0, 200)})`).join(' | ')}`);
  }).catch((error) => [String(error)]);
  equal(result.join('\n'), '', `axe violations, ${what}`);
}

const whole = await browser.newBrowserCDPSession();

/** Processor time of all pages so far, in seconds. */
async function renderers() {
  const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
  return processInfo.filter(({ type }) => type === 'renderer').reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/** How many times slower the processor is than one that does this in 0.6 s; 1 for faster ones. */
async function slowness(page) {
  const started = await renderers();
  await page.evaluate(() => {
    let sum = 0;
    for (let index = 0; index < 1e8; index += 1) {
      sum = (sum + index * 7) % 1000003;
    }
    return sum;
  });
  return Math.max(1, ((await renderers()) - started) / 0.6);
}

function clean(faults) {
  equal(faults.policy.join('\n'), '', 'breaches of the content security policy');
  equal(faults.foreign.join('\n'), '', 'requests to other hosts');
  equal(faults.console.join('\n'), '', 'errors in the console');
}

// ------------------------------------------------------------------ tests

test('loads under its policy and moves', async () => {
  // If this fails: a visitor sees an empty page, or figures that stand still.
  await withPage({}, async (page, { faults }) => {
    await live(page);
    const before = await height(page);
    check(before > 0, `a block height, not ${before}`);
    await until(async () => (await height(page)) > before || 'the block height stands still', 30);
    check((await page.locator('.area-strength .gauge-number').innerText()).match(/^\d+$/), 'a network strength');
    await page.locator('.area-history').scrollIntoViewIfNeeded();
    await until(async () => (await drawn(page)) || 'no chart is drawn', 30);
    clean(faults);
  });
});

test('is served compressed, cached by content, and under a strict policy', async () => {
  // If this fails: each visit downloads everything again, or a foreign script could run in the page.
  const seen = [];
  const opened = await openPage(browser, gateway.base);
  opened.page.on('response', (response) => seen.push(response));
  await opened.page.goto(gateway.base);
  await until(() => seen.some((response) => response.url().includes('TimeChart')) || 'the chart was not loaded', 30);
  const page = await seen[0].allHeaders();
  check(/script-src 'self'(;|$)/.test(page['content-security-policy'] ?? ''), `script-src 'self' in ${page['content-security-policy']}`);
  check(!/unsafe/.test(page['content-security-policy']), 'nothing unsafe in the policy');
  check(/no-cache|no-store|max-age=0/.test(page['cache-control'] ?? ''), `index.html is not cached: ${page['cache-control']}`);
  for (const response of seen.filter((one) => one.url().includes('/assets/'))) {
    const headers = await response.allHeaders();
    equal(headers['content-encoding'], 'gzip', `encoding of ${response.url()}`);
    check(/immutable/.test(headers['cache-control'] ?? ''), `${response.url()} is cached for ever: ${headers['cache-control']}`);
  }
  await opened.context.close();
});

test('shows receipts as they come, and marks the new ones', async () => {
  // If this fails: the live list is not live.
  await withPage({}, async (page) => {
    await live(page);
    await until(async () => (await page.locator('[data-stream="receipts"] .row-new').count()) > 0 || 'no new receipt', 40);
    check((await compareReceipts(page)) > 0, 'some receipts');
  });
});

test('keeps its history over a reload of the page', async () => {
  // If this fails: F5 throws away the course of every figure.
  await withPage({}, async (page) => {
    await live(page);
    const points = () => page.evaluate(() => document.querySelector('.area-metrics .spark-line')?.getAttribute('d')?.split('L').length ?? 0);
    await until(async () => (await points()) > 2 || `a course of ${await points()} points`, 30);
    const before = await points();
    await page.reload();
    await live(page);
    // A gateway that keeps a history tells it again, in its own steps.
    await until(async () => (await points()) >= before * 0.75 || `${await points()} points, not the ${before} of before`, 30);
  });
});

testAlone('comes back after a reload of nginx and loses no receipt', async () => {
  // If this fails: every change of the configuration costs all visitors some receipts, or their page.
  await withPage({}, async (page, { faults }) => {
    await live(page);
    const sockets = [];
    page.on('websocket', (socket) => sockets.push(socket));
    await gateway.reload();
    await until(() => sockets.length > 0 || 'the page has not reconnected', 60);
    await live(page, 60);
    await another(page);
    await compareReceipts(page);
    equal(await page.locator('.log-gap').count(), 0, 'notices of a gap');
    equal(faults.policy.length + faults.foreign.length, 0, 'breaches of the policy');
  });
});

testAlone('recovers when the workers are killed, and loses no receipt', async () => {
  // If this fails: a crash of one worker leaves pages dead that nobody reloads.
  await withPage({}, async (page) => {
    await live(page);
    const sockets = [];
    page.on('websocket', (socket) => sockets.push(socket));
    await gateway.killWorker();
    await until(() => sockets.length > 0 || 'the page has not reconnected', 60);
    await live(page, 60);
    const before = await height(page);
    await until(async () => (await height(page)) > before || 'the block height stands still', 30);
    await compareReceipts(page);
  });
});

testAlone('says that the node is down and keeps the last good data; live again when it is back', async () => {
  // If this fails: old figures pass for current ones, or turn into zeros.
  await withPage({}, async (page) => {
    await live(page);
    await gateway.nodeDown();
    try {
      await until(async () => /node does not answer/i.test((await banner(page)) ?? '') || `the banner says ${await banner(page)}`, 60);
      equal(await pill(page), 'Node down', 'the word in the head');
      // The word comes with the first stream that the gateway asks for in vain; each of them is stale when its own turn failed.
      for (const stream of STREAMS) {
        await until(async () => (await state(page, stream)) === 'stale' || `state of ${stream}: ${await state(page, stream)}`, 30);
        equal(await pill(page), 'Node down', 'the word in the head');
      }
      check((await page.locator('.banner-detail').innerText()).length > 10, 'the banner names the error');
      check(/Showing the last good data, from \d\d:\d\d:\d\d/.test(await banner(page)), `the time of the last data in: ${await banner(page)}`);
      check((await height(page)) > 0, 'the last block height is still there');
      check((await page.locator('.area-strength .freshness').innerText()).includes('stale'), 'the panel says that it is stale');
      await page.waitForTimeout(2000);
      await page.reload();
      await until(async () => (await pill(page)) === 'Node down' || `a new page says ${await pill(page)}`, 30);
      check((await height(page)) > 0, 'a new page has the last block height too');
    } finally {
      await gateway.nodeUp();
    }
    await live(page, 60);
    equal(await banner(page), null, 'the banner');
    await compareReceipts(page);
  });
});

testAlone('says that the node is down as soon as the gateway does, and when that asks it again', async () => {
  // If this fails: the gateway has known for a quarter of a minute what the page does not say.
  // By the page's own eyes, from the message to the word: looking from outside takes time of its own. A machine that is busy draws
  // fewer frames in a second; then the next ones must have it.
  const before = (page) =>
    page.addInitScript(() => {
      const count = () => {
        window.framesDrawn = (window.framesDrawn ?? 0) + 1;
        requestAnimationFrame(count);
      };
      requestAnimationFrame(count);
      window.WebSocket = class extends WebSocket {
        constructor(...args) {
          super(...args);
          this.addEventListener('message', ({ data }) => {
            if (window.toldAt === undefined && /"node":"down"/.test(String(data))) {
              window.toldAt = { time: performance.now(), frames: window.framesDrawn };
            }
          });
        }
      };
      new MutationObserver(() => {
        if (window.downAt === undefined && document.querySelector('.pill[data-kind="node-down"]')) {
          window.downAt = { time: performance.now(), frames: window.framesDrawn };
        }
      }).observe(document, { subtree: true, childList: true, attributes: true });
    });
  await withPage({ before }, async (page) => {
    await live(page);
    await gateway.nodeDown();
    try {
      await until(async () => (await pill(page)) === 'Node down' || `the head says ${await pill(page)}`, 60);
      const { told, shown } = await page.evaluate(() => ({ told: window.toldAt, shown: window.downAt }));
      check(told !== undefined, 'the gateway said so');
      check(shown.time - told.time < 1000 || shown.frames - told.frames < 4, `the word within 1 s of the gateway's, not ${Math.round(shown.time - told.time)} ms, ${shown.frames - told.frames} frames`);
      await until(async () => /The gateway asks it again\s*(in \d+ s|now)/.test((await banner(page)) ?? '') || `the banner says ${await banner(page)}`, 30);
    } finally {
      await gateway.nodeUp();
    }
    await live(page, 60);
    await until(async () => (await banner(page)) === null || `the banner says ${await banner(page)}`, 30);
  });
});

testAlone('counts down to the next attempt while nginx is gone, and is back with it', async () => {
  // If this fails: after an outage each visitor has to reload by hand.
  await withPage({}, async (page) => {
    await live(page);
    await gateway.stop();
    try {
      await until(async () => /Reconnecting/.test((await banner(page)) ?? '') || `the banner says ${await banner(page)}`, 30);
      await until(async () => /in \d+ s|now/.test((await banner(page)) ?? '') || `no countdown in ${await banner(page)}`, 10);
      await until(async () => (await state(page, 'network_metrics')) === 'stale' || 'the figures are still called live', 20);
    } finally {
      await gateway.start();
    }
    await page.getByRole('button', { name: 'Try now' }).click({ timeout: 2000 }).catch(() => {});
    await live(page, 60);
    await compareReceipts(page);
  });
});

test('goes on by REST where no WebSocket gets through', async () => {
  // If this fails: behind a company's proxy the page stays empty.
  await withPage({}, async (listener) => {
    await live(listener); // a stream that nobody listens to is not polled
    const blocked = (page) =>
      page.addInitScript(() => {
        window.WebSocket = class {
          constructor() {
            this.readyState = 0;
            setTimeout(() => {
              this.readyState = 3;
              this.onclose?.(new CloseEvent('close', { code: 1006 }));
            }, 20);
          }
          send() {}
          close() {}
        };
      });
    await withPage({ before: blocked }, async (page) => {
      await until(async () => (await pill(page)) === 'Polling' || `the pill says ${await pill(page)}`, 30);
      const before = await height(page);
      await until(async () => (await height(page)) > before || 'the block height stands still', 30);
      equal(await state(page, 'receipts'), 'live', 'state of the receipts');
      check(/blocked/.test(await banner(page)), `the banner says why: ${await banner(page)}`);
    });
  });
});

test('can be used with the keyboard alone', async () => {
  // If this fails: whoever cannot use a mouse cannot filter, pause, sort or scroll.
  await withPage({}, async (page) => {
    await live(page);
    await page.keyboard.press('Tab');
    equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Skip to the figures', 'the first stop');
    await page.keyboard.press('Enter');
    const reached = new Set();
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => {
        const element = document.activeElement;
        const outline = getComputedStyle(element);
        const name = element.getAttribute('aria-label') ?? element.textContent.trim();
        return outline.outlineStyle === 'none' ? `${name}, but it is not to be seen` : name;
      }));
    }
    for (const name of ['Throughput', '15 min', 'All', 'Pause', 'Receipts', 'Latency', 'Peers', 'CSV']) {
      check([...reached].some((one) => one === name), `${name} among ${[...reached].join(', ')}`);
    }
    await page.locator('[data-stream="receipts"] .grid').focus();
    await page.keyboard.press('PageDown');
    await until(async () => (await page.evaluate(() => document.querySelector('[data-stream="receipts"] .grid').scrollTop)) > 0 || 'the list does not scroll', 5);
  });
});

test('stands still for those who asked for less motion', async () => {
  // If this fails: the page makes some visitors ill.
  await withPage({ reducedMotion: 'reduce' }, async (page) => {
    await live(page);
    await page.waitForTimeout(4000);
    equal(await page.evaluate(() => document.getAnimations().length), 0, 'running animations');
  });
});

test('fits every width from 360 px to a wall', async () => {
  // If this fails: on some screens the page has to be scrolled sideways.
  // 320 px are 1280 at four times the size, as WCAG asks for.
  await withPage({ width: 320, height: 900 }, async (page) => {
    await live(page);
    for (const width of [280, 305, 320, 360, 414, 600, 768, 1024, 1200, 1440, 1920, 2560, 3840]) {
      await page.setViewportSize({ width, height: 900 });
      await settled(page);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      // less than nothing is the place of a scroll bar that is not drawn here
      check(over <= 0, `a page as wide as the window at ${width} px, not ${over} px wider`);
    }
  });
});

/** Every panel is made: those below the first screen come by and by. */
const made = (page) => until(async () => (await page.locator('.panel-unmade').count()) === 0 || 'panels are still to be made', 40);

/** Sizes of the window, and in which themes a picture is taken of it. */
const SIZES = [
  { width: 280, height: 653, as: '280 px', themes: ['light', 'dark'] },
  { width: 305, height: 256, as: '1280 px at 400 %, less a scroll bar that takes room', themes: [] },
  { width: 320, height: 256, as: '1280 px at 400 %', themes: [] },
  { width: 320, height: 780, as: '320 px', themes: ['light', 'dark'] },
  { width: 360, height: 780, as: '360 px', themes: [] },
  { width: 640, height: 512, as: '1280 px at 200 %', themes: [] },
  { width: 2560, height: 1300, as: '2560 px', themes: ['dark'] },
];

/** Nothing on the page is cut off, at any of these sizes. */
async function readable(page, what) {
  await made(page);
  for (const { width, height, as, themes } of SIZES) {
    await page.setViewportSize({ width, height });
    await settled(page);
    // What follows the width of its panel does so soon.
    await until(async () => {
      const cut = await whatIsCut(page);
      return cut.length === 0 || `${what}, ${as}: ${cut.slice(0, 12).join('; ')}`;
    }, 20);
    for (const theme of themes) {
      await page.emulateMedia({ colorScheme: theme });
      await settled(page);
      await page.screenshot({ path: join(OUTPUT, `sizes-${what}-${width}-${theme}.png`), fullPage: true, animations: 'disabled' });
    }
  }
}

// If these fail: whoever has the page at 200 or 400 %, or a small phone, cannot read all of it.
for (const [preset, empty] of [['ethereum', false], ['ethereum', true], ['bitcoin', false], ['solana', false], ['solana', true], ['substrate', false], ['cometbft', false]]) {
  test(`can be read at 200 and 400 % and on a wall, ${preset}${empty ? ' with nothing to show' : ''}`, async () => {
    await withPage({ width: 320, height: 780, before: (page) => fakeGateway(page, { preset, empty }) }, async (page) => {
      await page.locator('.panel[data-state="live"]').first().waitFor();
      if (preset === 'solana') {
        // A node that tells no sizes has blocks that are neither full nor empty.
        await page.getByText('their size is not told').waitFor();
        equal(await page.locator('.ribbon .block-fill').count(), 0, 'blocks that are filled');
      }
      await readable(page, `${preset}${empty ? '-empty' : ''}`);
    });
  });
}

for (const [what, options] of [['', null], ['empty', { empty: true }], ['partial', { partial: true, receipts: 30 }], ['reconnecting', { receipts: 30, dropAfter: 6000 }]]) {
  test(`can be read at 200 and 400 % and on a wall, The Block${what && `, ${what}`}`, async () => {
    await withPage({ width: 320, height: 780, ...(options && { before: (page) => fakeGateway(page, options) }) }, async (page) => {
      if (what === 'reconnecting') {
        await until(async () => (await state(page, 'network_metrics')) === 'stale' || 'not stale yet', 40);
      } else if (options === null) {
        await live(page);
      } else {
        await page.locator('.panel[data-state="live"]').first().waitFor();
      }
      await readable(page, `the-block${what && `-${what}`}`);
    });
  });
}

test('asks nothing that the browser has to lay out the page for, or another process', async () => {
  // If this fails: a phone stands still for a quarter of a second while the first panels are made.
  const before = (page) =>
    page.addInitScript(() => {
      window.asked = { size: 0, permission: 0 };
      for (const name of ['innerWidth', 'innerHeight']) {
        const { get } = Object.getOwnPropertyDescriptor(window, name);
        Object.defineProperty(window, name, {
          configurable: true,
          get: () => {
            window.asked.size += document.querySelector('.panel') === null ? 0 : 1;
            return get.call(window);
          },
        });
      }
      const permission = Object.getOwnPropertyDescriptor(Notification, 'permission');
      Object.defineProperty(Notification, 'permission', {
        configurable: true,
        get: () => {
          window.asked.permission += document.querySelector('.tile .figure-value') === null ? 1 : 0;
          return permission.get.call(Notification);
        },
      });
    });
  await withPage({ width: 390, height: 844, mobile: true, before }, async (page) => {
    await live(page);
    const { size, permission } = await page.evaluate(() => window.asked);
    equal(size, 0, 'times that the size of the window was asked for once there were panels');
    // Data that is late is not waited for with the first look.
    check(permission < 5, `hardly a question for what is allowed, not ${permission}, before there was data`);
  });
});

test('shows amounts of 64 bits with every digit, in the table and on a phone', async () => {
  // If this fails: large amounts are cut off, and nobody sees it.
  await withPage({ width: 360, height: 900, before: (page) => fakeGateway(page, { receipts: 30 }) }, async (page) => {
    for (const width of [360, 768, 1440, 2560]) {
      await page.setViewportSize({ width, height: 900 });
      await page.getByText('18,446,744,073,709,551,615').first().waitFor();
      await settled(page);
      const cut = await page.evaluate(() =>
        [...document.querySelectorAll('.amount, [data-stream="markets_health"] dd span')]
          .filter((element) => {
            const box = element.closest('.grid-cell, .compact-end, dd')?.getBoundingClientRect();
            const own = element.getBoundingClientRect();
            const cell = element.closest('.grid-cell');
            return (cell !== null && cell.scrollWidth > cell.clientWidth) || own.right > document.documentElement.clientWidth || (box && own.right > box.right + 1);
          })
          .map((element) => element.textContent),
      );
      equal(cut.join(', '), '', `amounts that do not fit at ${width} px`);
    }
  });
});

testAlone('scrolls through ten thousand receipts as through three hundred', async (say) => {
  // If this fails: a busy network makes the page unusable.
  const scroll = (receipts) =>
    withPage({ before: (page) => fakeGateway(page, { receipts }) }, async (page) => {
      await page.getByText(`${receipts.toLocaleString('en')} kept`).first().waitFor();
      const started = await renderers();
      const result = await page.evaluate(async () => {
        const grid = document.querySelector('[data-stream="receipts"] .grid');
        grid.scrollIntoView();
        let rows = 0;
        for (let step = 1; step <= 120; step += 1) {
          grid.scrollTop = (step * 7919) % (grid.scrollHeight - grid.clientHeight);
          await new Promise((resolve) => requestAnimationFrame(resolve));
          rows = Math.max(rows, grid.querySelectorAll('.grid-body [role="row"]').length);
        }
        return { rows, height: grid.scrollHeight };
      });
      return { ...result, spent: (((await renderers()) - started) / 120) * 1000 };
    });
  const few = await scroll(300);
  const many = await scroll(10_000);
  // Time on the processor, and beside a short list: neither other work on the machine nor its speed must count.
  say(`${many.spent.toFixed(1)} ms of processor time per frame, with 300 receipts ${few.spent.toFixed(1)} ms; ${many.rows} rows in the document`);
  check(many.rows < 60, `a bounded number of rows, not ${many.rows}`);
  check(many.height > 300_000, `a list as high as its rows, not ${many.height} px`);
  check(many.spent < 2 * few.spent + 10, `as much work per frame as with few rows, ${few.spent.toFixed(1)} ms, not ${many.spent.toFixed(1)}`);
});

/** A tab as it is after hours: its course as long as it gets, and its lists as long as they get by and by. */
async function aged(page) {
  await page.addInitScript((url) => {
    const now = Date.now() / 1000;
    const track = (points, step, names) => ({
      step,
      times: Array.from({ length: points }, (_, index) => now - (points - index) * step),
      columns: Object.fromEntries(names.map((name) => [name, Array.from({ length: points }, (_, index) => 500 + 100 * Math.sin(index / 20) + Math.random())])),
    });
    const streams = {
      network_metrics: track(1800, 2, ['network_strength', 'block_height', 'finality_time', 'peer_count', 'tps', 'bandwidth_in', 'bandwidth_out', 'active_connections']),
      markets_health: track(1800, 5, ['compute.active_jobs', 'storage.total_stored', 'energy.total_credits', 'ads.active_campaigns'].map((name) => `markets.${name}`)),
    };
    sessionStorage.setItem('blockcast.history', JSON.stringify({ url, epoch: null, streams }));

    const filled = new Set();
    window.WebSocket = class extends WebSocket {
      set onmessage(handler) {
        super.onmessage = handler === null ? null : (event) => {
          const log = /^{"type":"(receipts|operations)"/.exec(event.data)?.[1];
          if (log === undefined || filled.has(log)) {
            handler(event);
            return;
          }
          filled.add(log);
          const message = JSON.parse(event.data);
          const older = Array.from({ length: 1000 }, (_, index) => ({ ...message.data[log][index % message.data[log].length], id: `rcpt-of-before-${index}` }));
          handler(new MessageEvent('message', { data: JSON.stringify({ ...message, data: { ...message.data, [log]: [...older, ...message.data[log]] } }) }));
        };
      }
    };
  }, `${gateway.base.replace(/^http/, 'ws')}/ws`);
}

testAlone('stays light over time', async (say) => {
  // If this fails: a tab that stays open makes the fan turn, or eats the memory.
  await withPage({ before: aged }, async (page, { context }) => {
    await live(page);
    check(/1,0\d\d kept/.test(await panel(page, 'receipts').innerText()), 'the list is full');
    // What has run a few times is compiled, and the code of it is kept too.
    await page.waitForTimeout(Math.min(Math.max(SOAK / 6, 5), 60) * 1000);
    const session = await context.newCDPSession(page);
    const heap = async () => {
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      return usedSize / 1e6;
    };
    const [startHeap, startCpu, started] = [await heap(), await renderers(), Date.now()];
    const course = [startHeap];
    for (let part = 1; part <= 6; part += 1) {
      await page.waitForTimeout(started + (part * SOAK * 1000) / 6 - Date.now());
      course.push(await heap());
    }
    const cpu = ((await renderers()) - startCpu) / ((Date.now() - started) / 1000);
    const grown = course.at(-1) - startHeap;
    const nodes = await session.send('Memory.getDOMCounters');
    say(`${SOAK} s: ${(cpu * 100).toFixed(1)} % of a core, heap ${course.map((size) => size.toFixed(2)).join(', ')} MB; ${nodes.nodes} nodes, ${nodes.jsEventListeners} listeners`);
    // Painting without a graphics card is in it, and so is what a busy neighbour costs; the shorter, the more.
    // A short run only tells when something spins.
    const slow = await slowness(page);
    const most = (SOAK < 600 ? 0.35 : 0.05) * slow;
    check(cpu < most, `less than ${(most * 100).toFixed(0)} % of a core, not ${(cpu * 100).toFixed(1)} %`);
    // However long it was. In the first minutes the browser compiles what runs often, and fills its own records of layout shifts and long frames, which are bounded;
    // after that there is nothing left to grow; between two draws of the chart it moves by half a megabyte.
    const late = course.at(-1) - course[3];
    check(grown < 2, `a flat heap, not ${grown.toFixed(2)} MB more`);
    check(late < 0.7, `a flat heap, not ${late.toFixed(2)} MB more in the second half`);
  });
});

// If these fail: people with a screen reader or with weak eyes cannot use the page.

/** One page, at each width and in each theme: axe where `axes` says so, a picture always. */
async function stage(what, { before, ready, widths = [360, 768, 1440], axes = { light: [360], dark: [1440] } }) {
  await withPage({ width: widths[0], height: 1000, before }, async (page) => {
    await ready(page);
    for (const width of widths) {
      await page.setViewportSize({ width, height: width < 500 ? 780 : 1000 });
      for (const theme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme: theme });
        // What is not in sight is not drawn; for the picture it is.
        await page.locator('.area-history').last().scrollIntoViewIfNeeded();
        await until(async () => (await page.locator('.area-history canvas, .area-history .panel-empty').count()) > 0 || 'no chart', 30);
        await settled(page);
        if (axes[theme].includes(width)) {
          await axe(page, `${what} at ${width} px, ${theme}`);
        }
        await page.evaluate(() => window.scrollTo(0, 0));
        await page.screenshot({ path: join(OUTPUT, `${what}-${width}-${theme}.png`), fullPage: true, animations: 'disabled' });
      }
    }
  });
}

test('has no violation that axe finds, with data', () =>
  stage('data', {
    axes: { light: [360, 1440], dark: [360, 1440] },
    ready: async (page) => {
      await live(page);
      await another(page);
    },
  }));

test('has no violation that axe finds, with nothing to show', () =>
  stage('empty', {
    before: (page) => fakeGateway(page, { empty: true }),
    ready: async (page) => page.getByText('No peers are connected.').waitFor(),
  }));

test('has no violation that axe finds, with half of the figures', () =>
  stage('partial', {
    widths: [1440],
    axes: { light: [1440], dark: [] },
    before: (page) => fakeGateway(page, { partial: true, receipts: 30 }),
    ready: async (page) => page.getByText('left out; the rest').waitFor(),
  }));

test('has no violation that axe finds, with Ethereum', () =>
  stage('ethereum', {
    widths: [360, 1440],
    before: (page) => fakeGateway(page, { ethereum: true }),
    ready: async (page) => {
      await page.getByRole('heading', { name: 'Transactions' }).waitFor();
      await until(async () => (await page.locator('.ribbon .block-number').count()) > 13 || 'no new block', 30);
    },
  }));

test('has no violation that axe finds, while it reconnects', () =>
  stage('reconnecting', {
    before: (page) => fakeGateway(page, { receipts: 30, dropAfter: 3000 }),
    ready: async (page) => until(async () => (await state(page, 'network_metrics')) === 'stale' || 'not stale yet', 30),
  }));

testAlone('has no violation that axe finds, while the node is down', async () => {
  // Someone listens all the time: what nobody asks for is not polled, and so does not fail.
  await withPage({}, async (listener) => {
    const down = async (page) => until(async () => (await pill(page)) === 'Node down' || `the pill says ${await pill(page)}`, 60);
    await live(listener);
    await gateway.nodeDown();
    try {
      await down(listener);
      await stage('node-down', { ready: down });
    } finally {
      await gateway.nodeUp();
    }
  });
});

// ------------------------------------------------------------------ the page as a whole

/** Notes how far things jump while nobody touched anything, and when there was something to see. */
const watchLoading = (page) =>
  page.addInitScript(() => {
    window.moved = 0;
    window.jumps = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (!entry.hadRecentInput) {
          window.moved += entry.value;
          window.jumps.push(`${entry.value.toFixed(4)} at ${Math.round(entry.startTime)} ms: ${entry.sources.map(({ node, previousRect: from, currentRect: to }) => `${node?.className || node?.nodeName || 'gone'} from ${from.x},${from.y} to ${to.x},${to.y}`).slice(0, 3)}`);
        }
      }
    }).observe({ type: 'layout-shift', buffered: true });
    new MutationObserver(() => {
      const value = document.querySelector('.tile .figure-value');
      if (value && window.firstData === undefined) {
        window.firstData = performance.now();
      }
    }).observe(document, { subtree: true, childList: true });
  });

/** As on a machine that is six times slower, on a slow line: what comes late is seen to come. */
async function slowly(context, page) {
  const session = await context.newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate: 6 });
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 100, downloadThroughput: 400_000, uploadThroughput: 100_000 });
}

for (const ethereum of [false, true]) {
  for (const width of ethereum ? [360, 1440] : [360, 1024, 1440]) {
    const name = ethereum ? 'Ethereum' : 'The Block';
    test(`stands still while it loads, ${name} at ${width} px, on a slow machine`, async (say) => {
      // If this fails: one taps on something, and it is no longer there.
      const before = async (page) => {
        await watchLoading(page);
        await slowly(page.context(), page);
        if (ethereum) {
          await fakeGateway(page, { ethereum: true });
        }
      };
      await withPage({ width, height: width < 500 ? 780 : 1000, mobile: width < 500, before }, async (page) => {
        await until(async () => (await page.evaluate(() => window.firstData)) > 0 || 'no data', 60);
        // Until something has come more than once, and what comes late has come: the chart's script, the last panels.
        const height = async () => page.locator('.ribbon .block-number').first().innerText();
        const first = await height();
        await until(async () => (await height()) !== first || 'no new block', 60);
        await page.waitForTimeout(3000);
        const { moved, jumps, firstData } = await page.evaluate(() => ({ moved: window.moved, jumps: window.jumps, firstData: window.firstData }));
        say(`${name} at ${width} px: layout shift ${moved.toFixed(4)}, first data after ${Math.round(firstData)} ms`);
        check(moved < 0.005, `a layout shift below 0.005, not ${moved.toFixed(4)}: ${jumps.join('; ')}`);
      });
    });
  }
}

test('shows blocks as they come, and opens one, with an address that can be shared', async () => {
  // If this fails: nothing moves but digits, and nothing can be looked at.
  await withPage({}, async (page, { faults }) => {
    await live(page);
    const newest = async () => Number((await page.locator('.ribbon .block-number').first().innerText()).replace(/\D/g, ''));
    await until(async () => (await page.locator('.ribbon .block-number').count()) > 1 || 'no blocks', 30);
    const first = await newest();
    await until(async () => (await newest()) > first || 'no new block', 40);
    await page.locator('.ribbon .block').nth(1).click();
    await page.locator('.drawer[open]').waitFor();
    check(/open=network_metrics:\d+/.test(page.url()), `the address names what is open: ${page.url()}`);
    await page.keyboard.press('Escape');
    await until(async () => (await page.locator('.drawer').count()) === 0 || 'it stays open', 5);

    await page.locator('[data-stream="receipts"] .row-open').first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('.drawer[open] .drawer-fields').waitFor();
    const address = page.url();
    const id = address.split('receipts:')[1];
    await axe(page, 'with the side panel open');
    await page.goBack();
    await until(async () => (await page.locator('.drawer').count()) === 0 || 'Back does not close it', 5);
    await page.goto(address);
    await until(async () => (await page.locator('.drawer[open]').innerText()).includes(decodeURIComponent(id)) || 'the address opens nothing', 30);
    clean(faults);
  });
});

test('finds a receipt with the keyboard alone', async () => {
  // If this fails: an id in hand is of no use.
  await withPage({}, async (page) => {
    await live(page);
    const id = (await receiptIds(page))[0];
    await page.keyboard.press('Control+k');
    await page.locator('.finder input').waitFor();
    await page.keyboard.type(id);
    await until(async () => (await page.locator('.finder [role="option"]').count()) > 0 || 'nothing is found', 10);
    await axe(page, 'with the search open');
    await page.keyboard.press('Enter');
    await until(async () => (await page.locator('.drawer[open]').innerText()).includes(id) || 'not that receipt', 10);
  });
});

test('gives a chart away as CSV and as a picture', async () => {
  // If this fails: whoever writes a report types figures off the screen.
  await withPage({}, async (page) => {
    await live(page);
    await page.locator('.area-history').scrollIntoViewIfNeeded();
    await until(async () => (await drawn(page)) || 'no chart is drawn', 30);
    const save = async (name) => {
      const [download] = await Promise.all([page.waitForEvent('download'), page.locator('.area-history').getByRole('button', { name }).click()]);
      return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
    };
    const csv = await save('CSV');
    equal(csv.name, 'network_metrics-tps-1h.csv', 'the name of the file');
    check(/^time,tps\r\n\d{4}-\d\d-\d\dT[\d:.]+Z,[\d.]+\r\n/.test(String(csv.content)), `lines of time and value: ${String(csv.content).slice(0, 80)}`);
    const png = await save('PNG');
    check(png.content.subarray(1, 4).toString() === 'PNG' && png.content.length > 4000, `a picture, of ${png.content.length} bytes`);
  });
});

test('is for walls, and for other pages, one panel at a time', async () => {
  // If this fails: a screen on the wall shows buttons, or anybody may put the page into a frame.
  const whole = await fetch(`${gateway.base}/`);
  check(/frame-ancestors 'none'/.test(whole.headers.get('content-security-policy') ?? ''), 'nobody may frame the page');
  await withPage({}, async (page) => {
    await page.goto(`${gateway.base}/?kiosk`);
    await live(page);
    equal(await page.locator('.header .button:visible, .panel-tools:visible, .footer:visible').count(), 0, 'buttons on a wall');
    await page.goto(`${gateway.base}/?panel=blocks`);
    await page.locator('.ribbon .block-number').first().waitFor();
    equal(await page.locator('.panel').count(), 1, 'panels');
    equal(await page.locator('.header, .footer').count(), 0, 'headers');
  });
});

test('can be touched, seen in forced colours, and read at four times the size', async () => {
  // If this fails: fingers miss, or people who need strong colours see empty boxes.
  await withPage({ width: 390, height: 844, mobile: true }, async (page) => {
    await live(page);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('button, a[href], input, summary')]
        .filter((element) => element.offsetParent !== null && !element.closest('.skip') && !element.matches('.skip, .footer a, .row-open'))
        .map((element) => ({ text: (element.getAttribute('aria-label') ?? element.textContent).trim().slice(0, 30), ...element.getBoundingClientRect().toJSON() }))
        .filter(({ width, height }) => width > 2 && (height < 44 || width < 24))
        .map(({ text, width, height }) => `${text} ${Math.round(width)} x ${Math.round(height)}`),
    );
    equal(small.join('; '), '', 'targets lower than 44 px');
  });
  await withPage({}, async (page) => {
    await page.emulateMedia({ forcedColors: 'active' });
    await live(page);
    await page.locator('.area-history').scrollIntoViewIfNeeded();
    await until(async () => (await drawn(page)) || 'no chart in forced colours', 30);
    await page.screenshot({ path: join(OUTPUT, 'forced-1440.png'), fullPage: true, animations: 'disabled' });
  });
});

const failed = await run(gateway.name, process.argv.slice(2), Math.max(1, Number(process.env.E2E_LANES ?? 3)));
await browser.close();
await gateway.close();
process.exit(failed === 0 ? 0 : 1);
