// @vitest-environment node
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
let outDir: string;
let files: Map<string, Buffer>;
let html: string;

beforeAll(async () => {
  outDir = await mkdtemp(join(tmpdir(), 'blockcast-web-'));
  // In a process of its own, because the environment of a test makes development code.
  const { NODE_ENV: _test, ...env } = process.env;
  const vite = join(root, 'node_modules/vite/bin/vite.js');
  await promisify(execFile)(process.execPath, [vite, 'build', '--outDir', outDir, '--emptyOutDir'], { cwd: root, env });
  files = new Map();
  for (const path of (await readdir(outDir, { recursive: true })) as string[]) {
    if ((await stat(join(outDir, path))).isFile()) {
      files.set(path, await readFile(join(outDir, path)));
    }
  }
  html = String(files.get('index.html'));
}, 120_000);

afterAll(async () => {
  await rm(outDir, { recursive: true, force: true });
});

/** Everything that the browser loads before it can paint: what index.html names, and what that imports at once. */
function firstScripts(): string[] {
  const found = new Set<string>();
  const follow = (path: string): void => {
    if (!found.has(path)) {
      found.add(path);
      for (const [, name] of String(files.get(path)).matchAll(/(?:^|;|\})(?:import|export)(?:[^'"();]*?from)?["']\.\/([^'"]+)["']/g)) {
        follow(`assets/${name}`);
      }
    }
  };
  for (const [, path] of html.matchAll(/(?:src|href)="\.\/([^"]+\.js)"/g)) {
    follow(path as string);
  }
  return [...found];
}

const compressed = (path: string): number => (files.get(`${path}.gz`) as Buffer).length;

describe('the build', () => {
  it('needs less than 150 KB of compressed script for the first paint', () => {
    // If this fails: on a phone the page stays white for seconds.
    const scripts = firstScripts();
    expect(scripts.length).toBeGreaterThan(1);
    const size = scripts.reduce((sum, path) => sum + compressed(path), 0);
    console.log(`first paint: ${(size / 1000).toFixed(1)} kB of compressed script in ${scripts.length} files`);
    expect(size).toBeLessThan(112_000);
  });

  it('names nothing from the root of the host', () => {
    // If this fails: below a prefix (example.com/chain/) the page stays white.
    expect([...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path).filter((path) => path?.startsWith('/'))).toEqual([]);
  });

  it('leaves the charts out of the first paint', () => {
    // If this fails: everyone waits for the chart library before the first figure.
    const first = firstScripts();
    const charts = [...files.keys()].filter((path) => /TimeChart.*\.js$/.test(path));
    expect(charts).toHaveLength(1);
    expect(first).not.toContain(charts[0]);
    expect(first.some((path) => String(files.get(path)).includes('u-over'))).toBe(false);
    expect(compressed(charts[0] as string)).toBeLessThan(32_000);
  });

  it('has a style sheet below 12 KB', () => {
    // If this fails: the page is painted late, because styles hold the painting up.
    const css = [...files.keys()].filter((path) => path.endsWith('.css'));
    expect(css.reduce((sum, path) => sum + compressed(path), 0)).toBeLessThan(12_000);
  });

  it('has nothing inline that a strict content security policy refuses', () => {
    // If this fails: behind the shipped configuration the page stays empty.
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)/);
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:/);
    for (const [path, content] of files) {
      if (path.endsWith('.js')) {
        expect(String(content)).not.toMatch(/[^.\w]eval\(|new Function\(/);
      }
    }
  });

  it('asks no other host for anything', () => {
    // If this fails: a visitor is made known to strangers, and without internet the page breaks.
    for (const [path, content] of files) {
      if (/\.(html|css)$/.test(path)) {
        expect(String(content), path).not.toMatch(/(?:https?:)?\/\/[a-z0-9-]+\.[a-z]/i);
      }
      if (path.endsWith('.js')) {
        // Names in messages of the libraries, and of XML name spaces; none of them is ever fetched.
        const hosts = new Set([...String(content).matchAll(/https?:\/\/([a-z0-9.-]+)/gi)].map(([, host]) => host));
        for (const host of hosts) {
          expect(['www.w3.org', 'react.dev', 'localhost', 'github.com']).toContain(host);
        }
      }
    }
  });

  it('names assets by their content, and puts a compressed copy beside each text', () => {
    // If this fails: after an upgrade browsers show the old page, or nginx's gzip_static finds nothing to send.
    for (const path of files.keys()) {
      if (path.startsWith('assets/')) {
        expect(path).toMatch(/-[\w-]{8}\.(js|css)(\.gz)?$/);
      }
    }
    for (const [path, content] of files) {
      if (/\.(js|css|html|svg)$/.test(path)) {
        expect(files.has(`${path}.gz`), path).toBe(true);
        expect(gunzipSync(files.get(`${path}.gz`) as Buffer).equals(content), path).toBe(true);
      }
    }
  });

  it('ships no source map and no hidden file', () => {
    // If this fails: visitors download what only developers need.
    for (const path of files.keys()) {
      expect(path).not.toMatch(/\.map$|(^|\/)\./);
    }
  });
});

describe('the packages', () => {
  it('are locked exactly, and the lock names no registry', async () => {
    // If this fails: tomorrow's install is another one than today's, or works in one network only.
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
    for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
    const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
    expect(lock).not.toMatch(/"resolved":/);
    expect(lock.match(/"integrity":/g)?.length ?? 0).toBeGreaterThan(50);
  });
});
