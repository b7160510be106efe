// @vitest-environment node
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('README', () => {
  it('has examples that compile against the package', async () => {
    // If this fails: whoever copies the example of the README gets an error instead of a dashboard.
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const blocks = [...readme.matchAll(/```tsx?\n([\s\S]*?)```/g)].map(([, code]) => code as string);
    expect(blocks.length).toBeGreaterThanOrEqual(10);

    const virtual = new Map<string, string>();
    blocks.forEach((code, index) => {
      const hooks = code.includes('useWebSocket(') ? "import { useEffect } from 'react';\nimport { useWebSocket } from 'blockcast-web';\n" : '';
      const body = hooks === '' ? code : `export function Example() {\n${code}\nreturn [state, unsubscribe, data.peers?.total, error, send, retryAt, retry];\n}`;
      virtual.set(join(root, `test/readme-${index}.tsx`), `${hooks}${body}\nexport {};\n`);
    });

    const config = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
    const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
    const settings = { ...options, noUnusedLocals: false, baseUrl: root, paths: { 'blockcast-web': ['src/index.ts'], 'blockcast-web/client': ['src/client/index.ts'], 'blockcast-web/testing': ['src/testing/index.ts'] } };
    const host = ts.createCompilerHost(settings);
    const { fileExists, readFile: read, getSourceFile } = host;
    host.fileExists = (path) => virtual.has(path) || fileExists(path);
    host.readFile = (path) => virtual.get(path) ?? read(path);
    host.getSourceFile = (path, target, ...rest) => {
      const text = virtual.get(path);
      return text === undefined ? getSourceFile(path, target, ...rest) : ts.createSourceFile(path, text, target, true);
    };
    const program = ts.createProgram([...virtual.keys()], settings, host);
    const messages = [...virtual.keys()].flatMap((path) => {
      const file = program.getSourceFile(path);
      return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
        ({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      );
    });
    expect(messages).toEqual([]);
  }, 60_000);

  it('keeps its first example to ten lines', async () => {
    // If this fails: the hooks look harder to use than they are.
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const first = /```tsx\n([\s\S]*?)```/.exec(readme)?.[1]?.trim().split('\n').filter((line) => line.trim() !== '') ?? [];
    expect(first.length).toBeLessThanOrEqual(10);
  });
});
