import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { Plugin } from 'vite';

const compress = promisify(gzip);
const WORTH_IT = /\.(html|js|css|svg|json|txt|webmanifest)$/;

/**
 * Puts a `.gz` beside each text file of the build, as nginx's `gzip_static` looks for it. A file that would not become smaller
 * gets none.
 */
export function gzipAssets(): Plugin {
  let outDir = 'dist';
  return {
    name: 'gzip-assets',
    apply: 'build',
    configResolved(config) {
      outDir = config.build.outDir;
    },
    async closeBundle() {
      for (const path of await files(outDir)) {
        if (!WORTH_IT.test(path)) {
          continue;
        }
        const source = await readFile(path);
        const compressed = await compress(source, { level: constants.Z_BEST_COMPRESSION });
        if (compressed.length < source.length) {
          await writeFile(`${path}.gz`, compressed);
        }
      }
    },
  };
}

async function files(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if ((await stat(path)).isDirectory()) {
      found.push(...(await files(path)));
    } else {
      found.push(path);
    }
  }
  return found;
}
