/**
 * What a chart costs: the dashboard's own, by uPlot, and the same one by Recharts, side by side in two browsers on one feed (page.tsx).
 *
 *   npm ci --prefix web && npm ci --prefix web/bench
 *   node web/bench/charts.mjs [SECONDS]        1800, if not said
 *
 * Bytes are those of the page without React and without what both pages have. Processor time is that of the browser's process for
 * the page, and so has layout, painting and garbage collection in it; what else runs on the machine hardly counts.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { build } from 'vite';
import { launch } from '../e2e/browser.mjs';

const SECONDS = Number(process.argv[2] ?? 1800);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const CHARTS = ['uplot', 'recharts'];

if (!(SECONDS >= 10)) {
  console.error('charts.mjs: a number of seconds is needed, 10 or more');
  process.exit(1);
}

const output = await mkdtemp(join(tmpdir(), 'blockcast-charts-'));

/** The page with one of the charts; what the chart adds to React and to the rest is in a file of its own. */
async function make(chart) {
  const outDir = join(output, chart);
  await build({
    root: here('.'),
    base: './',
    configFile: false,
    logLevel: 'error',
    plugins: [react()],
    resolve: { alias: { chart: here(`chart-${chart}.tsx`) }, dedupe: ['react', 'react-dom'] },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: { polyfill: false },
      rollupOptions: {
        input: here('index.html'),
        output: {
          manualChunks: (id) => (/node_modules\/(react|react-dom|scheduler)\//.test(id) ? 'react' : /node_modules|TimeChart|charts\/axis|chart-/.test(id) ? 'chart' : undefined),
        },
      },
    },
  });
  const assets = join(outDir, 'assets');
  const name = (await readdir(assets)).find((one) => /^chart-.*\.js$/.test(one));
  const text = await readFile(join(assets, name));
  return { bytes: text.length, compressed: gzipSync(text, { level: 9 }).length };
}

const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css' };
const server = http.createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname.replace(/\/$/, '/index.html');
  try {
    const body = await readFile(join(output, path));
    response.setHeader('Content-Type', TYPES[path.split('.').pop()] ?? 'application/octet-stream');
    response.end(body);
  } catch {
    response.statusCode = 404;
    response.end();
  }
});

const results = [];
try {
  for (const chart of CHARTS) {
    results.push({ chart, ...(await make(chart)) });
  }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  await Promise.all(
    results.map(async (result) => {
      const browser = await launch();
      try {
        const page = await browser.newPage({ viewport: { width: 1240, height: 400 } });
        const whole = await browser.newBrowserCDPSession();
        const own = await page.context().newCDPSession(page);
        const spent = async () => {
          const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
          return processInfo.filter(({ type }) => type === 'renderer').reduce((sum, { cpuTime }) => sum + cpuTime, 0);
        };
        const heap = async () => {
          await own.send('HeapProfiler.collectGarbage');
          return (await own.send('Runtime.getHeapUsage')).usedSize / 1e6;
        };
        await page.goto(`http://127.0.0.1:${server.address().port}/${result.chart}/`);
        await page.locator('.chart canvas, .chart svg.recharts-surface').first().waitFor();
        // The first seconds compile what runs ever after.
        await page.waitForTimeout(6000);
        const points = async () => Number(await page.locator('.chart').getAttribute('data-points'));
        const [cpu, size, first] = [await spent(), await heap(), await points()];
        await page.waitForTimeout(SECONDS * 1000);
        result.cpu = (await spent()) - cpu;
        result.drawn = (await points()) - first;
        result.heap = await heap();
        result.grown = result.heap - size;
        result.nodes = (await own.send('Memory.getDOMCounters')).nodes;
      } finally {
        await browser.close();
      }
    }),
  );
} finally {
  server.close();
  await rm(output, { recursive: true, force: true });
}

console.log(`${SECONDS} s, a point every 2 s, an hour of two lines`);
for (const { chart, bytes, compressed, cpu, drawn, heap, grown, nodes } of results) {
  console.log(
    `${chart}: ${(bytes / 1000).toFixed(1)} kB, ${(compressed / 1000).toFixed(1)} kB compressed; ${cpu.toFixed(1)} s of processor time for ${drawn} points, ` +
      `${((cpu / drawn) * 1000).toFixed(1)} ms each; heap ${heap.toFixed(1)} MB, ${grown.toFixed(2)} MB more than at first; ${nodes} nodes`,
  );
}
