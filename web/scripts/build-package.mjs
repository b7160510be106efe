/**
 * Makes what is published: lib/ with ES modules and CommonJS, the types for both, a bundle for pages without a build, the command,
 * and a folder for each entry, for resolvers that do not read "exports".
 *
 *   node scripts/build-package.mjs [FOLDER]
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = resolve(process.argv[2] ?? root);
const lib = join(target, 'lib');

const entries = {
  index: 'src/index.ts',
  client: 'src/client/index.ts',
  elements: 'src/elements/index.ts',
  testing: 'src/testing/index.ts',
};

// Fields by assignment: short, and the same everywhere.
const esbuild = { tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } } };
const common = { root, configFile: false, publicDir: false, logLevel: 'warn', esbuild };

await rm(lib, { recursive: true, force: true });

// React's own marker has to stay at the top of what has hooks, and of nothing else.
const banner = (chunk) => (chunk.isEntry && chunk.name === 'index' ? "'use client';" : '');

await build({
  ...common,
  build: {
    outDir: lib,
    emptyOutDir: false,
    target: 'es2020',
    minify: false,
    lib: { entry: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, join(root, path)])) },
    rollupOptions: {
      external: ['react'],
      output: [
        { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name].js', banner },
        { format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: 'chunks/[name].cjs', exports: 'named', banner },
      ],
    },
  },
});

await build({
  ...common,
  build: {
    outDir: lib,
    emptyOutDir: false,
    target: 'es2020',
    minify: 'esbuild',
    rollupOptions: {
      input: join(root, 'src/bundle.ts'),
      preserveEntrySignatures: 'strict',
      output: { format: 'es', entryFileNames: 'bundle.js' },
    },
    modulePreload: { polyfill: false },
  },
});

await build({
  ...common,
  build: {
    outDir: lib,
    emptyOutDir: false,
    target: 'node18',
    minify: false,
    ssr: join(root, 'src/cli/main.ts'),
    rollupOptions: { output: { format: 'es', entryFileNames: 'cli.js', banner: '#!/usr/bin/env node' } },
  },
});
await chmod(join(lib, 'cli.js'), 0o755);

// Types: once for each of the two module systems, with whole file names, as NodeNext wants them.
const types = join(lib, 'types');
await promisify(execFile)(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.lib.json'), '--outDir', types]);

const declarations = (await readdir(types, { recursive: true })).filter((path) => path.endsWith('.d.ts'));
const known = new Set(declarations.map((path) => join(types, path)));

for (const path of declarations) {
  const file = join(types, path);
  const text = await readFile(file, 'utf8');
  const complete = (extension) =>
    text.replace(/((?:from|import)\s*\(?\s*['"])(\.{1,2}(?:\/[^'"]*)?)(['"])/g, (_all, before, name, after) => {
      const found = join(dirname(file), name);
      const whole = known.has(`${found}.d.ts`) ? name : known.has(join(found, 'index.d.ts')) ? `${name}/index` : null;
      if (whole === null) {
        throw new Error(`${path}: there are no types of ${name}`);
      }
      return `${before}${whole}${extension}${after}`;
    });
  await writeFile(file, complete('.js'));
  await writeFile(file.replace(/\.d\.ts$/, '.d.cts'), complete('.cjs'));
}

for (const name of Object.keys(entries).filter((entry) => entry !== 'index')) {
  const folder = join(target, name);
  await mkdir(folder, { recursive: true });
  const manifest = {
    main: `../lib/${name}.cjs`,
    module: `../lib/${name}.js`,
    // Metro knows no .cjs, and takes ES modules.
    'react-native': `../lib/${name}.js`,
    types: `../lib/types/${name}/index.d.cts`,
    sideEffects: false,
  };
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

await copyFile(join(root, '..', 'LICENSE'), join(target, 'LICENSE')).catch((error) => {
  if (error.code !== 'ENOENT') {
    throw error;
  }
});
