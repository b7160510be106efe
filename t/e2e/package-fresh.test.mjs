// The packed client library in fresh projects, installed as a user would. If this fails: somebody who installs the package gets
// no types, no code, a crash on their platform, a mismatch when their page is hydrated, or a server that grows.
// needs: npm-web,chromium
// limit: 2400

import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { gateway } from '../lib/gateway.mjs';
import { launch, openPage } from '../../web/e2e/browser.mjs';
import { MockGateway } from '../../web/test/mock-gateway.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const web = path.join(root, 'web');
const fixtures = path.join(here, 'pack');
const cache = path.join(process.env.BLOCKCAST_BUILD ?? path.join(root, 'build'), 'pack');
const long = Boolean(process.env.BLOCKCAST_LONG);
const [major, minor] = process.versions.node.split('.').map(Number);

const NPM = ['--no-audit', '--no-fund', '--no-progress', '--ignore-scripts', '--fetch-retries=3'];
// What the suites need of React's own build, and nothing of how this run was started.
const { NODE_ENV: _mode, NODE_OPTIONS: _options, ...environment } = process.env;
for (const name of Object.keys(environment)) {
    if (/^npm_/i.test(name)) {
        delete environment[name];
    }
}

async function run(command, args, { cwd, env = {}, ok = true } = {}) {
    try {
        const { stdout, stderr } = await promisify(execFile)(command, args, {
            cwd, env: { ...environment, ...env }, maxBuffer: 64 << 20, timeout: 300_000,
        });
        return { code: 0, stdout, stderr };
    } catch (error) {
        if (ok) {
            throw new Error(`${command} ${args.join(' ')} in ${cwd}: ${error.message}\n${error.stdout ?? ''}`);
        }
        return { code: error.code, stdout: error.stdout ?? '', stderr: error.stderr ?? '' };
    }
}

async function until(what, f, seconds = 30) {
    for (const end = Date.now() + seconds * 1000; ;) {
        let answer;
        try {
            answer = await f();
        } catch (error) {
            answer = error.message;
        }
        if (answer === true) {
            return;
        }
        assert.ok(Date.now() < end, `${what} within ${seconds} s: ${answer}`);
        await new Promise(resolve => { setTimeout(resolve, 50); });
    }
}

let tmp, tarball, browser;

before(async () => {
    tmp = await fs.mkdtemp(path.join(os.tmpdir(), 'blockcast-pack-'));
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', tmp], { cwd: web });
    const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('[')));
    tarball = path.join(tmp, filename);
});

after(async () => {
    await browser?.close();
    await fs.rm(tmp, { recursive: true, force: true });
});

// A project with its locked packages, this package's file, and the sources of the folders named. The packages are kept between runs.
async function project(name, { sources = [name], dependencies = name } = {}) {
    const dir = path.join(cache, name);
    const from = path.join(fixtures, dependencies);
    const stamp = createHash('sha256');
    for (const file of ['package.json', 'package-lock.json']) {
        stamp.update(await fs.readFile(path.join(from, file)));
    }
    const digest = stamp.digest('hex');
    const mark = path.join(dir, 'node_modules/.blockcast');
    await fs.mkdir(dir, { recursive: true });
    for (const file of await fs.readdir(dir)) {
        if (file !== 'node_modules') {
            await fs.rm(path.join(dir, file), { recursive: true, force: true });
        }
    }
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
        await fs.copyFile(path.join(from, file), path.join(dir, file));
    }
    if (!existsSync(mark) || await fs.readFile(mark, 'utf8') !== digest) {
        await run('npm', ['ci', ...NPM], { cwd: dir });
        await fs.writeFile(mark, digest);
    }
    await run('npm', ['install', '--no-save', '--no-package-lock', '--prefer-offline', ...NPM, tarball], { cwd: dir });
    for (const source of sources) {
        await fs.cp(path.join(fixtures, source), dir, {
            recursive: true,
            filter: file => !/node_modules|package(-lock)?\.json$|\.npmrc$/.test(path.relative(fixtures, file)),
        });
    }
    assert.ok(existsSync(path.join(dir, 'node_modules/blockcast-web/lib')), 'the package is there');
    return dir;
}

const bin = (dir, name) => path.join(dir, 'node_modules/.bin', name);
const node = (dir, args, options) => run(process.execPath, args, { cwd: dir, ...options });

async function mock(t, options = {}) {
    const gw = new MockGateway({ port: 0, ...options });
    const base = await gw.start();
    t.after(() => gw.stop());
    return { gw, base, ws: `${base.replace('http', 'ws')}/ws` };
}

// A page of `dist` in Chromium, with what it must not do.
async function show(t, base, url) {
    browser ??= await launch();
    const opened = await openPage(browser, base);
    t.after(() => opened.context.close());
    await opened.page.goto(base + url);
    return opened;
}

const text = (page, id) => page.locator(`[data-testid=${id}]`).first().textContent();

async function withIcon(dir, folder = 'public') {
    await fs.mkdir(path.join(dir, folder), { recursive: true });
    await fs.copyFile(path.join(web, 'public/favicon.svg'), path.join(dir, folder, 'icon.svg'));
}


test('the file must hold the code, the types and the texts, and nothing else', async () => {
    const { stdout } = await run('tar', ['-tzf', tarball]);
    const files = stdout.trim().split('\n').map(name => name.replace(/^package\//, ''));
    for (const name of ['README.md', 'LICENSE', 'package.json', 'lib/index.js', 'lib/index.cjs', 'lib/client.js', 'lib/client.cjs',
        'lib/elements.js', 'lib/testing.cjs', 'lib/bundle.js', 'lib/cli.js', 'lib/types/index.d.ts', 'lib/types/index.d.cts']) {
        assert.ok(files.includes(name), name);
    }
    const manifest = JSON.parse((await run('tar', ['-xzOf', tarball, 'package/package.json'])).stdout);
    assert.deepEqual([manifest.private, manifest.sideEffects, manifest.dependencies], [undefined, false, undefined]);
    // Metro, of React Native, finds no file with the ending .cjs.
    for (const entry of Object.values(manifest.exports).filter(value => typeof value === 'object')) {
        assert.equal(Object.keys(entry)[0], 'react-native');
        assert.match(entry['react-native'].default, /\.js$/);
    }
    assert.deepEqual(files.filter(name => !/^(lib|client|elements|testing)\/|^(README\.md|LICENSE|package\.json)$/.test(name)), []);
});

test('publint and attw must find nothing', async () => {
    const dir = await project('tools');
    const lint = await run(bin(dir, 'publint'), ['--strict', tarball], { cwd: dir });
    assert.match(lint.stdout, /All good/);
    const types = await run(bin(dir, 'attw'), ['--no-emoji', tarball], { cwd: dir });
    assert.match(types.stdout, /No problems found/);
});

test('each entry must stay within its size, and React out of the client', async () => {
    const dir = await project('node');
    const { build } = createRequire(path.join(web, 'package.json'))('esbuild');
    // kB, minified and compressed, with all that it loads
    const budgets = { 'blockcast-web': 16.5, 'blockcast-web/client': 14.5, 'blockcast-web/elements': 15, 'blockcast-web/testing': 1.2 };
    for (const [entry, budget] of Object.entries(budgets)) {
        const { outputFiles: [file] } = await build({
            stdin: { contents: `export * from '${entry}'`, resolveDir: dir },
            bundle: true, minify: true, format: 'esm', write: false, external: ['react'],
        });
        const size = gzipSync(file.text, { level: 9 }).length / 1000;
        console.log(`# ${entry}: ${size.toFixed(1)} kB`);
        assert.ok(size < budget, `${entry}: ${size.toFixed(1)} kB of ${budget}`);
        assert.equal(/from\s*"react"/.test(file.text), entry === 'blockcast-web', entry);
    }
    const unused = await build({
        stdin: { contents: 'import "blockcast-web/client"; import "blockcast-web/elements"; console.log(1)', resolveDir: dir },
        bundle: true, minify: true, format: 'esm', write: false, logLevel: 'silent',
    });
    assert.ok(unused.outputFiles[0].text.length < 100, 'what is not used is left out');
    const lib = path.join(dir, 'node_modules/blockcast-web/lib');
    assert.match(await fs.readFile(path.join(lib, 'index.js'), 'utf8'), /^"use client";/);
    assert.match(await fs.readFile(path.join(lib, 'index.cjs'), 'utf8'), /^"use client";/);
    assert.doesNotMatch(await fs.readFile(path.join(lib, 'client.js'), 'utf8'), /use client|"react"/);
});

for (const version of ['react18', 'react19']) {
    test(`types must be right in every way of resolving them (${version})`, async () => {
        const dir = await project(version, { sources: ['types'] });
        const ways = {
            bundler: { module: 'esnext', moduleResolution: 'bundler' },
            nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
            node16: { module: 'node16', moduleResolution: 'node16' },
            node10: { module: 'commonjs', moduleResolution: 'node10' },
        };
        for (const [name, way] of Object.entries(ways)) {
            // In a CommonJS project, too, where NodeNext and Node16 take the other half.
            for (const type of /node[1n][6e]/.test(name) ? ['module', 'commonjs'] : ['module']) {
                if (!long && version === 'react18' && type === 'module') {
                    continue;
                }
                const folder = path.join(dir, `${name}-${type}`);
                await fs.mkdir(folder);
                await fs.copyFile(path.join(dir, 'entries.tsx'), path.join(folder, 'entries.tsx'));
                await fs.writeFile(path.join(folder, 'package.json'), JSON.stringify({ type }));
                const common = { target: 'es2022', strict: true, noEmit: true, skipLibCheck: false, skipDefaultLibCheck: true, types: [] };
                await fs.writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({
                    compilerOptions: { ...common, ...way, lib: ['es2022', 'dom', 'dom.iterable'], jsx: 'react-jsx', esModuleInterop: true },
                    files: ['entries.tsx'],
                }));
                await run(bin(dir, 'tsc'), ['-p', folder], { cwd: dir });
            }
        }
        await fs.writeFile(path.join(dir, 'tsconfig.nodom.json'), JSON.stringify({
            compilerOptions: { target: 'es2022', lib: ['es2022'], module: 'nodenext', strict: true, noEmit: true, skipLibCheck: false, skipDefaultLibCheck: true, types: [] },
            files: ['nodom.ts'],
        }));
        await run(bin(dir, 'tsc'), ['-p', 'tsconfig.nodom.json'], { cwd: dir });
    });

    test(`a page must be live, strict and hydrated in two roots (${version})`, async t => {
        const dir = await project(version, { sources: ['react'] });
        await withIcon(dir);
        await run(bin(dir, 'tsc'), ['-p', 'tsconfig.json'], { cwd: dir });
        await run(bin(dir, 'vite'), ['build', '--logLevel=warn'], { cwd: dir });
        const { gw, base } = await mock(t, { dist: path.join(dir, 'dist'), token: null });
        const { page, faults } = await show(t, base, '/');
        await until('a height', async () => /^\d+$/.test(await text(page, 'height')) || text(page, 'height'));
        await until('the receipts of two markets', async () => await text(page, 'markets') === 'ads compute' || text(page, 'markets'));
        await until('the peers', async () => await text(page, 'peers') === '42' || text(page, 'peers'));
        assert.equal(await text(page, 'never'), 'idle');
        assert.match(await text(page, 'connection'), /^connected /);
        await until('the refusal', async () => /no_such_stream/.test(await text(page, 'refused')) || text(page, 'refused'));
        await until('both roots', async () => /^connected: (healthy|degraded|down)$/.test(await page.locator('#two').textContent())
            || page.locator('#two').textContent());
        const seen = await page.evaluate(() => window.seen);
        assert.deepEqual(seen.faults, [], 'no mismatch');
        assert.ok(seen.messages > 0 && seen.entries > 0, JSON.stringify(seen));
        // React tells of errors that a boundary caught; those are meant.
        assert.deepEqual(faults.console.filter(line => !/no_such_stream/.test(line)), []);
        assert.deepEqual([...faults.policy, ...faults.foreign], []);
        assert.equal(gw.handshakes.length, 1, 'one connection for all');
    });

    test(`a server that renders 20,000 addresses must not grow (${version})`, async () => {
        const dir = await project(version, { sources: ['react'] });
        const { stdout, stderr } = await node(dir, ['--expose-gc', 'ssr.mjs'], { env: { NODE_ENV: 'production' } });
        const { html, grown, thrown, relative } = JSON.parse(stdout);
        assert.equal(html, '<p>null idle idle false</p>');
        assert.ok(grown < 2_000_000, `${grown} bytes more`);
        assert.match(thrown, /no data on the server/);
        assert.match(relative, /^<p>null/);
        assert.equal(stderr, '');
    });
}

test('a page without a build must be live', async t => {
    const dir = await project('node', { sources: ['plain'] });
    const dist = path.join(tmp, 'plain');
    await fs.cp(path.join(fixtures, 'plain'), dist, { recursive: true });
    await fs.copyFile(path.join(dir, 'node_modules/blockcast-web/lib/bundle.js'), path.join(dist, 'bundle.js'));
    await withIcon(dist, '.');
    const { base } = await mock(t, { dist });
    const { page, faults } = await show(t, base, '/');
    const value = stream => page.locator(`blockcast-value[stream=${stream}]`).textContent();
    await until('a value', async () => /^[\d,.\s]+$/.test(await value('network_metrics')) || value('network_metrics'));
    await until('a member', async () => /healthy|idle/.test(await value('markets_health')) || value('markets_health'));
    await until('five rows', async () => await page.locator('p.row').count() === 5);
    assert.match(await page.locator('p.row b').first().textContent(), /^rcpt-\d+$/);
    assert.equal(await page.locator('blockcast-status').getAttribute('status'), 'connected');
    assert.equal(await page.locator('blockcast-value').first().getAttribute('status'), 'live');
    await until('own code', async () => await text(page, 'own') === '42' || text(page, 'own'));
    assert.deepEqual(Object.values(faults).flat(), []);
});

test('Vue and Svelte must be live through the client', async t => {
    const dir = await project('frameworks');
    await withIcon(dir);
    await run(bin(dir, 'vite'), ['build', '--logLevel=warn'], { cwd: dir });
    const { base } = await mock(t, { dist: path.join(dir, 'dist') });
    for (const name of ['vue', 'svelte']) {
        const { page, faults } = await show(t, base, `/${name}.html`);
        await until(name, async () => /^\d+$/.test(await text(page, 'height')) || text(page, 'height'));
        assert.deepEqual(Object.values(faults).flat(), [], name);
    }
});

test('Node.js must get messages with "ws", and a clear error without', async t => {
    const dir = await project('node');
    const { gw, ws } = await mock(t, { speed: 20 });
    const lines = async (...args) => (await node(dir, ['watch.mjs', ...args])).stdout.trim().split('\n').map(line => JSON.parse(line));

    const got = await lines(ws, 'ws');
    assert.deepEqual(got.map(({ state }) => state), ['connected', 'connected', 'connected']);
    assert.ok(got[0].seq < got[2].seq && got.every(({ height }) => /^\d+$/.test(height)), JSON.stringify(got));
    assert.equal(gw.handshakes.at(-1).headers['x-of'], 'fresh', 'headers are sent where they can be');

    const [{ error, reason, state, attempt }, ...more] = await lines(ws, 'none');
    assert.match(error, /no WebSocket.*Node\.js before 22.*option webSocket.*"ws"/);
    assert.deepEqual([reason, state, attempt, more], ['unsupported', 'disconnected', 0, []]);

    const [where] = await lines('/ws', 'ws');
    assert.match(where.error, /"\/ws" is no address/);

    // both halves of the package are one program
    const both = await node(dir, ['--input-type=module', '-e', `
        import { createRequire } from 'node:module';
        import { sharedClient } from 'blockcast-web/client';
        const other = createRequire(import.meta.url)('blockcast-web/client');
        console.log(sharedClient('ws://one') === other.sharedClient('ws://one'));`]);
    assert.equal(both.stdout.trim(), 'true');

    if (major >= 22) {
        assert.equal((await lines(ws, 'own')).length, 3, 'its own WebSocket');
    }
});

test('the WebSocket of "ws" and of the browser must fit the option, and so must their fetch', async () => {
    const dir = await project('node', { sources: ['types'] });
    await fs.writeFile(path.join(dir, 'dom.ts'), `
        import { StreamClient } from 'blockcast-web/client';
        import { FakeSocket } from 'blockcast-web/testing';
        export const clients = [
            new StreamClient({ url: 'ws://x', webSocket: WebSocket, fetch }),
            new StreamClient({ url: 'ws://x', webSocket: FakeSocket, fetch: (url, init) => fetch(url, init) }),
        ];
        for await (const m of clients[0].stream('x', { signal: new AbortController().signal })) console.log(m);`);
    await run(bin(dir, 'tsc'), ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--skipDefaultLibCheck', 'ws.ts', 'dom.ts'],
        { cwd: dir });
});

test('Node.js 22 must need no "ws"', { skip: !long && 'with --long' }, async t => {
    const dir = await project('node22', { sources: ['node'] });
    const { gw, ws } = await mock(t, { speed: 20, token: 'a-token-of-many-characters' });
    const { stdout } = await run(path.join(dir, `node_modules/node-linux-${os.arch()}/bin/node`),
        ['watch.mjs', ws, 'own', 'a-token-of-many-characters'], { cwd: dir });
    assert.equal(stdout.trim().split('\n').length, 3, stdout);
    assert.equal(gw.handshakes.at(-1).headers['x-of'], 'fresh');
});

test('React Native must be served without a document and without a URL that can be changed', async () => {
    const dir = await project('node');
    const out = JSON.parse((await node(dir, ['native.cjs'])).stdout);
    assert.equal(out.same, true);
    assert.equal(out.url, 'wss://example.org/ws?x=1');
    assert.deepEqual(out.protocols, []);
    assert.deepEqual(out.headers, { headers: { 'X-Of': 'mine', Authorization: 'Bearer to/ken=' } });
    assert.deepEqual(out.data, [3]);
    assert.ok(out.states.includes('connected'), String(out.states));
    assert.equal(out.paused, 'paused');
    assert.equal(out.sockets, 2);
    assert.equal(out.without.reason, 'address');
});

test('types must be written from a running gateway, and fit its data', async t => {
    const dir = await project('react19', { sources: [] });
    const gw = await gateway(t, {
        node: { dialect: 'seed', seed: 7 },
        http: 'blockcast_zone main 32m;\n' + (await fs.readFile(path.join(root, 'conf/presets/the-block-seed.conf'), 'utf8'))
            .replaceAll('presets/', `${path.join(root, 'conf/presets')}/`),
        server: 'location /ws { blockcast_websocket; } location /api/ { blockcast_api; }',
    });
    const { stderr } = await run(bin(dir, 'blockcast-web'), ['types', `http://127.0.0.1:${gw.port}`, '--out=streams.d.ts'], { cwd: dir });
    assert.match(stderr, /streams\.d\.ts: \d+ streams/);
    await fs.writeFile(path.join(dir, 'use.ts'), `
        import { sharedClient } from 'blockcast-web/client';
        import './streams.js';
        sharedClient('ws://x').subscribe('scheduler', { onData: (data) => {
            // @ts-expect-error the gateway has no such member
            data.no_such_member;
            const known: object = data;
            return known;
        } });
        sharedClient('ws://x').subscribe('peers', { onData: ({ peers }) => peers[0]?.id.toUpperCase() });`);
    await fs.writeFile(path.join(dir, 'tsconfig.json'), JSON.stringify({
        compilerOptions: { target: 'es2022', module: 'nodenext', strict: true, noEmit: true, types: [] }, files: ['use.ts', 'streams.d.ts'],
    }));
    await run(bin(dir, 'tsc'), ['-p', '.'], { cwd: dir });
    const wrong = await run(bin(dir, 'blockcast-web'), ['types', 'http://127.0.0.1:1'], { cwd: dir, ok: false });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /cannot be reached/);
    assert.equal((await run(bin(dir, 'blockcast-web'), ['tapes'], { cwd: dir, ok: false })).code, 2);
});

test('a token must open a real gateway by WebSocket and by REST, and its lack be called by its name', async t => {
    const dir = await project('node');
    const tokens = path.join(tmp, 'tokens');
    await fs.writeFile(tokens, 'first-token-of-sixteen\nsecond-token-of-sixteen other\n');
    await fs.chmod(tmp, 0o755);
    const gw = await gateway(t, {
        node: { dialect: 'seed', seed: 7 },
        http: 'blockcast_zone main 32m;\n' + (await fs.readFile(path.join(root, 'conf/presets/the-block-seed.conf'), 'utf8'))
            .replaceAll('presets/', `${path.join(root, 'conf/presets')}/`),
        server: `blockcast_tokens ${tokens}; location /ws { blockcast_websocket; } location /api/ { blockcast_api; }`
            + ' location /deaf { return 404; }',
    });
    const script = `
        import WebSocket from 'ws';
        import { StreamClient } from 'blockcast-web/client';
        const [port, kind] = process.argv.slice(1);
        let asked = 0;
        const token = { none: undefined, wrong: 'a-token-that-is-not-known', first: 'first-token-of-sixteen',
            renewed: async () => (asked++ === 0 ? 'an-old-token-not-known-now' : 'second-token-of-sixteen') }[kind.replace('rest-', '')];
        // A platform that does not say why a handshake was refused, as a browser does not.
        class Mute extends WebSocket { set onerror(f) { super.onerror = () => f({}); } get onerror() { return super.onerror; } }
        const client = new StreamClient({ url: 'ws://127.0.0.1:' + port + (kind.startsWith('rest-') ? '/deaf' : '/ws'), rest: '/api',
            webSocket: kind === 'mute' ? Mute : WebSocket, token, reconnectInterval: 50, restInterval: 100 });
        const done = () => { console.log(JSON.stringify({ ...client.status, asked, data: client.view('network_metrics').data !== null,
            condition: client.condition('network_metrics').status })); process.exit(); };
        client.subscribe('network_metrics', { onData: done });
        client.onStatus(() => client.status.reason === 'unauthorized' && kind !== 'renewed' && kind !== 'rest-renewed' && done());
        setTimeout(done, 30000).unref();`;
    const ask = async kind => JSON.parse((await node(dir, ['--input-type=module', '-e', script, String(gw.port), kind])).stdout);

    for (const kind of ['none', 'wrong', 'mute', 'rest-none']) {
        const { reason, error, data, condition } = await ask(kind);
        assert.deepEqual([reason, data, condition], ['unauthorized', false, 'unauthorized'], kind);
        assert.match(error, /^unauthorized: the gateway wants a token/, kind);
    }
    assert.deepEqual((({ state, data }) => [state, data])(await ask('first')), ['connected', true]);
    const renewed = await ask('renewed');
    assert.deepEqual([renewed.state, renewed.data, renewed.asked], ['connected', true, 2]);
    const rest = await ask('rest-renewed');
    assert.deepEqual([rest.state, rest.data], ['polling', true]);
});

test('Next.js must render, hydrate and go live (app router)', {
    skip: (major < 18 || (major === 18 && minor < 18)) && 'Next.js 15 needs Node.js 18.18',
}, async t => {
    const dir = await project('next');
    await withIcon(dir, 'app');
    const { base, ws } = await mock(t);
    const env = { NEXT_PUBLIC_GATEWAY: ws, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' };
    await run(bin(dir, 'next'), ['build'], { cwd: dir, env });
    const child = spawn(process.execPath, [path.join(dir, 'node_modules/next/dist/bin/next'), 'start', '-p', '0', '-H', '127.0.0.1'],
        { cwd: dir, env: { ...environment, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => { child.kill('SIGTERM'); });
    let said = '';
    child.stdout.on('data', chunk => { said += chunk; });
    child.stderr.on('data', chunk => { said += chunk; });
    await until('Next.js to listen', () => /Local:\s+http:\/\/\S+:\d+/.test(said) || said, 60);
    const address = `http://127.0.0.1:${/Local:\s+http:\/\/\S+?:(\d+)/.exec(said)[1]}`;
    const html = await (await fetch(address)).text();
    assert.match(html, /data-testid="server">\d+</, 'the server has data');
    assert.match(html, /data-testid="strength">\d+</, 'and renders it');

    const { page, faults } = await show(t, address, '/');
    for (const id of ['early', 'late']) {
        await until(id, async () => /^\d+$/.test(await text(page, id)) || text(page, id));
    }
    await until('the peers', async () => await text(page, 'peers') === '42' || text(page, 'peers'));
    assert.deepEqual(faults.console, [], 'no mismatch');
    assert.doesNotMatch(said, /Error/, said);
    assert.ok(base);
});
