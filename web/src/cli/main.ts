/** `npx blockcast-web types URL`: writes the types of a running gateway's streams, from their newest data. */
import { writeFile } from 'node:fs/promises';
import { StreamClient, fetchStream, BlockcastError, type StreamInfo } from '../client';
import { newShape, observe, typeOf } from './inferType';

const USAGE = `usage: blockcast-web types URL [--token=TOKEN] [--out=FILE] [--module=NAME]

Asks the gateway at URL (http://localhost:8000) for its streams, and writes their types, as far as
their newest data tells them: declare module 'blockcast-web' { interface Streams { ... } }.

  --token=TOKEN  bearer token (default: that of the environment, BLOCKCAST_TOKEN)
  --out=FILE     default: standard output
  --module=NAME  what the program imports (default: blockcast-web)
`;

async function main(args: string[]): Promise<number> {
  const options = new Map<string, string>();
  const words: string[] = [];
  for (const arg of args) {
    const option = /^--(token|out|module)=(.+)$/.exec(arg);
    if (option !== null) {
      options.set(option[1] as string, option[2] as string);
    } else {
      words.push(arg);
    }
  }
  const [command, url] = words;
  if (command === '--help' || command === '-h') {
    process.stdout.write(USAGE);
    return 0;
  }
  if (command !== 'types' || url === undefined || words.length > 2 || words.some((word) => word.startsWith('-'))) {
    process.stderr.write(USAGE);
    return 2;
  }

  const token = options.get('token') ?? process.env.BLOCKCAST_TOKEN;
  const base = /^[a-z]+:\/\//i.test(url) ? url : `http://${url}`;
  const rest = /\/api\/?$/.test(base) ? base.replace(/\/$/, '') : undefined;
  const settings = { ...(token === undefined ? {} : { token }), ...(rest === undefined ? {} : { rest }) };
  const streams = await new StreamClient({ url: base, ...settings }).describe();
  const parts: string[] = [];
  for (const info of streams) {
    parts.push(await typesOf(info, rest ?? base, settings));
  }

  const text =
    `// Written by "blockcast-web types ${base}" from the newest data of each stream: a member that was null or\n` +
    '// missing just then may have more types than these.\n' +
    `import '${options.get('module') ?? 'blockcast-web'}';\n\n` +
    `declare module '${options.get('module') ?? 'blockcast-web'}' {\n  interface Streams {\n${parts.join('')}  }\n}\n`;

  const out = options.get('out');
  if (out === undefined) {
    process.stdout.write(text);
  } else {
    await writeFile(out, text);
    process.stderr.write(`${out}: ${streams.length} streams\n`);
  }
  return 0;
}

async function typesOf(info: StreamInfo, url: string, settings: object): Promise<string> {
  const name = /^[A-Za-z_$][\w$]*$/.test(info.name) ? info.name : JSON.stringify(info.name);
  try {
    const { data } = await newest(url, info.name, settings);
    return `    ${name}: ${typeOf(observe(newShape(), data), '    ')};\n`;
  } catch (error) {
    return `    // ${error instanceof Error ? error.message : String(error)}\n    ${name}: unknown;\n`;
  }
}

/** A stream that nobody listened to has no data until it is polled once: wait for that. */
async function newest(url: string, stream: string, settings: object): ReturnType<typeof fetchStream> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fetchStream(url, stream, settings);
    } catch (error) {
      if (!(error instanceof BlockcastError) || error.code !== 503 || tries >= 10) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`blockcast-web: ${error instanceof BlockcastError || error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
