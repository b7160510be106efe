// Runs presets without nginx: reads the .conf files, makes the calls a stream names, runs its programs
// with libjq the way the module does, and keeps previous, state and the keys
// of a log. What a preset delivers here, it must deliver in nginx.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { rawMembers } from '../../../conf/simnode/world.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const conf = path.join(here, '../../../conf');

// ------------------------------------------------------------------------------------------ conf

// nginx's tokens: words, quoted strings, ; { } and comments.
export function tokens(text) {
    const out = [];
    let i = 0;
    while (i < text.length) {
        const c = text[i];
        if (' \t\r\n'.includes(c)) {
            i++;
        } else if (c === '#') {
            while (i < text.length && text[i] !== '\n') i++;
        } else if (';{}'.includes(c)) {
            out.push({ sign: c });
            i++;
        } else if (c === '"' || c === "'") {
            let s = '';
            for (i++; text[i] !== c; i++) {
                if (i >= text.length) throw new Error('a string does not end');
                if (text[i] === '\\' && `"'\\`.includes(text[i + 1])) i++;
                s += text[i];
            }
            i++;
            out.push({ word: s });
        } else {
            const start = i;
            while (i < text.length && !' \t\r\n;{'.includes(text[i])) i++;
            out.push({ word: text.slice(start, i) });
        }
    }
    return out;
}

// The streams of a preset: name, interval, calls, program (text), log {field, key},
// history (its words).
export function parseConf(name) {
    const streams = [];
    let words = [];
    let stream = null;
    const read = file => fs.readFileSync(path.join(conf, file), 'utf8');
    for (const { word, sign } of tokens(read(`presets/${name}.conf`))) {
        if (word !== undefined) {
            words.push(word);
            continue;
        }
        if (sign === '{') {
            if (words[0] !== 'blockcast_stream' || words.length !== 2) {
                throw new Error(`${name}.conf: a block ${words.join(' ')}`);
            }
            stream = { name: words[1], calls: [], max_size: '64k' };
            streams.push(stream);
        } else if (sign === '}') {
            stream = null;
        } else {
            const [directive, ...args] = words;
            const option = list => Object.fromEntries(list.map(a => {
                const at = a.indexOf('=');
                return [a.slice(0, at), a.slice(at + 1)];
            }));
            switch (directive) {
            case 'blockcast_call': {
                const [call, method, ...rest] = args;
                const o = option(rest);
                stream.calls.push({
                    name: call, method, params: o.params, timeout: o.timeout,
                    program: o.params_jq ?? (o.params_jq_file && read(o.params_jq_file)),
                    fallback: rest.filter(a => a.startsWith('fallback=')).map(a => a.slice(9)),
                    each: o.each && Number(o.each),
                });
                break;
            }
            case 'blockcast_jq_file': stream.program = read(args[0]); break;
            case 'blockcast_log': stream.log = { field: args[0], ...option(args.slice(1)) }; break;
            case 'blockcast_history': stream.history = args; break;
            case 'blockcast_interval':
            case 'blockcast_stale':
            case 'blockcast_always':
            case 'blockcast_head':
            case 'blockcast_max_size':
                stream[directive.slice(10)] = args[0];
                break;
            default: throw new Error(`${name}.conf: unknown directive ${directive}`);
            }
        }
        words = [];
    }
    return streams;
}

// -------------------------------------------------------------------------------------------- jq

// jq before 1.7 keeps numbers as doubles: there the module hands large integers to the program as
// marked strings, prints them as they were, and lets type, tonumber and tostring take them as numbers.
const MARK = '\uE000int:';
const TEXT = '\uE001int:';
const runner = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'blockcast-jq-')), 'jq');
process.on('exit', () => fs.rmSync(path.dirname(runner), { recursive: true, force: true }));
const built = spawnSync('cc', ['-o', runner, path.join(here, 'jq.c'), '-ljq'], { encoding: 'utf8' });
if (built.status !== 0) {
    throw new Error(`cc cannot build jq.c (packages gcc and libjq-dev): ${built.error ?? built.stderr}`);
}
const exact = spawnSync(runner, ['.', conf], { input: '18446744073709551615' })
    .stdout.toString().split('\n')[0] === '18446744073709551615';
const PRELUDE = exact ? '' : `
def bc_int: type == "string" and startswith("${MARK}");
def bc_tonumber: tonumber; def bc_tostring: tostring; def bc_type: type;
def tonumber: if bc_int then .[5:] | bc_tonumber else bc_tonumber end;
def tostring: if bc_int then "${TEXT}" + .[5:] else bc_tostring end;
def type: if bc_int then "number" else bc_type end;
`;
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const inexact = n => /^-?\d+$/.test(n) && (BigInt(n) > 2n ** 53n || BigInt(n) < -(2n ** 53n));

function mark(text) {
    return exact ? text
        : text.replace(STRING_OR_NUMBER, m => (m[0] !== '"' && inexact(m) ? `"${MARK}${m}"` : m));
}

function unmark(text) {
    const number = new RegExp(`"${MARK}(-?\\d+)"(?!:)`, 'g');
    return text.replace(number, '$1').replaceAll(MARK, '').replaceAll(TEXT, '');
}

// "include" has to stay at a program's beginning.
const IMPORTS = /^(?:\s|#[^\n]*\n|include "[^"]*"\s*;)*/;

// One process for each program, that takes one input after the other.
class Runner {
    constructor(program) {
        this.waiting = [];
        this.rest = '';
        this.outputs = [];
        this.errors = '';
        const imports = IMPORTS.exec(program)[0];
        this.child = spawn(runner, [imports + PRELUDE + program.slice(imports.length), conf]);
        this.child.stderr.setEncoding('utf8').on('data', d => { this.errors += d; });
        this.child.stdin.on('error', () => { });
        this.child.stdout.setEncoding('utf8').on('data', d => {
            const lines = (this.rest + d).split('\n');
            this.rest = lines.pop();
            lines.forEach(line => this.line(line));
        });
        this.child.on('close', () => {
            this.ended = new Error(`does not compile: ${unmark(this.errors.trim())}`);
            this.waiting.splice(0).forEach(({ reject }) => reject(this.ended));
        });
        this.hold(false);
    }

    // Whether it keeps Node.js from ending.
    hold(on) {
        for (const x of [this.child, this.child.stdin, this.child.stdout, this.child.stderr]) {
            x[on ? 'ref' : 'unref']();
        }
    }

    line(line) {
        if (line[0] !== '\x1e') {
            this.outputs.push(unmark(line));
            return;
        }
        const { resolve } = this.waiting.shift();
        resolve(line.length > 1 ? { error: unmark(line.slice(1)) } : { outputs: this.outputs });
        this.outputs = [];
        this.hold(this.waiting.length > 0);
    }

    ask(input) {
        return new Promise((resolve, reject) => {
            if (this.ended) {
                reject(this.ended);
                return;
            }
            this.hold(true);
            this.waiting.push({ resolve, reject });
            this.child.stdin.write(`${mark(input)}\n`);
        });
    }
}

const runners = new Map();

// Runs a program on many inputs: for each {outputs: JSON texts} or {error: the program's message}.
export function jqMany(program, inputs) {
    if (!runners.has(program)) {
        runners.set(program, new Runner(program));
    }
    return Promise.all(inputs.map(input => runners.get(program).ask(input)));
}

// The outputs of a program, at most max, as JSON texts; throws the program's message.
export async function jq(program, input, max = 256) {
    const [{ outputs, error }] = await jqMany(program, [input]);
    if (error !== undefined) {
        throw new Error(error);
    }
    return outputs.slice(0, max);
}

// ----------------------------------------------------------------------------------------- calls

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });

// The result's text, or {code, message}.
export function call(url, method, params, timeout = 2000) {
    return new Promise(resolve => {
        const fail = (message, code = null) => resolve({ error: { code, message } });
        const req = http.request(url, {
            method: 'POST', agent, timeout, headers: { 'content-type': 'application/json' },
        }, res => {
            let text = '';
            res.setEncoding('utf8').on('data', d => { text += d; });
            res.on('aborted', () => fail('truncated'));
            res.on('end', () => {
                let m;
                try {
                    JSON.parse(text);
                    m = rawMembers(text);
                } catch {
                    return fail('not JSON');
                }
                // "error":null beside a result is JSON-RPC 1.0; errors of it come with other statuses than 200
                const error = m?.has('error') ? JSON.parse(m.get('error').text) : null;
                if (m?.get('id')?.text !== '1' || (res.statusCode !== 200 && typeof error?.code !== 'number')) {
                    return fail(`status ${res.statusCode}`);
                }
                if (error !== null) {
                    return fail(error.message, error.code);
                }
                return m.has('result') ? resolve({ result: m.get('result').text }) : fail('no result');
            });
        });
        req.on('timeout', () => req.destroy(new Error('timed out')));
        req.on('error', e => fail(e.message));
        req.end(`{"jsonrpc":"2.0","id":1,"method":${JSON.stringify(method)}`
            + `${params === undefined ? '' : `,"params":${params}`}}`);
    });
}

const milliseconds = t => (t?.endsWith('ms') ? parseInt(t, 10) : parseInt(t ?? '2', 10) * 1000);

export class Stream {
    constructor(stream, url) {
        Object.assign(this, { stream, url, previous: 'null', state: 'null', last: 'null' });
        this.keys = new Set();
        this.asked = [];                // what the last poll asked: [method, params]
        this.notes = [];                // what all polls told
        this.gaps = [];                 // ... did not deliver, {from, to}
        this.stale = null;              // why the last one got nowhere
    }

    // The input of a program: results and errors are maps of JSON texts and errors.
    input(results, errors, time) {
        const object = pairs => `{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${v}`).join(',')}}`;
        return object([
            ['results', object([...results])],
            ['errors', object([...errors].map(([k, e]) => [k, JSON.stringify(e)]))],
            ['methods', '{}'], ['previous', this.previous], ['state', this.state],
            ['last', this.last], ['time', String(time)],
        ]);
    }

    async one(c, params) {
        for (const method of [c.method, ...c.fallback]) {
            this.asked.push([method, params]);
            const answer = await call(this.url, method, params, milliseconds(c.timeout));
            if (answer.error?.code !== -32601 || method === [c.method, ...c.fallback].at(-1)) {
                return answer;
            }
        }
        return undefined;
    }

    // One poll: the data as an object {data, text}, a log's new entries as texts; throws what the
    // program says.
    async poll(time = Date.now() / 1000) {
        const results = new Map();
        const errors = new Map();
        this.asked = [];
        const store = (name, answer) => (answer.error ? errors.set(name, answer.error)
            : results.set(name, answer.result));
        const simple = this.stream.calls.filter(c => !c.program);
        await Promise.all(simple.map(async c => store(c.name, await this.one(c, c.params))));
        for (const c of this.stream.calls.filter(x => x.program)) {
            const params = (await jq(c.program, this.input(results, errors, time), c.each ?? 1))
                .filter(p => p !== 'null');
            if (params.length === 0) {
                continue;
            }
            const answers = await Promise.all(params.map(p => this.one(c, p)));
            const failed = answers.findIndex(a => a.error);
            const good = failed < 0 ? answers : answers.slice(0, failed);
            if (failed >= 0) {
                store(c.name, answers[failed]);
            }
            if (good.length > 0) {          // with each=, those before the first that failed
                store(c.name, { result: c.each ? `[${good.map(a => a.result).join(',')}]`
                    : good[0].result });
            }
        }
        const [data, state, ...reports] = await jq(this.stream.program, this.input(results, errors, time));
        this.state = state ?? this.state;
        this.stale = null;
        for (const report of reports.flatMap(text => JSON.parse(text)).filter(r => r !== null)) {
            const { note, gap, stale } = typeof report === 'string' ? { note: report } : report;
            this.notes.push(...[note ?? []].flat());
            if (gap) {
                assert.deepEqual(Object.keys(gap), ['from', 'to']);
                this.gaps.push(gap);
            }
            this.stale = stale ?? this.stale;
        }
        if (!this.stream.log) {
            this.previous = data;
            return { data: JSON.parse(data), text: data };
        }
        const entries = [];
        for (const text of elements(rawMembers(data).get(this.stream.log.field).text)) {
            const key = rawMembers(text).get(this.stream.log.key).text;
            if (!this.keys.has(key)) {
                this.keys.add(key);
                entries.push(text);
                this.last = text;
            }
        }
        return { entries: entries.map(t => JSON.parse(t)), texts: entries, text: data };
    }
}

// The elements of a JSON array as their texts.
export function elements(text) {
    const out = [];
    let depth = 0;
    let start = 1;
    for (let i = 0; i < text.length; i++) {
        if (text[i] === '"') {
            for (i++; text[i] !== '"'; i++) {
                if (text[i] === '\\') i++;
            }
        } else if ('[{'.includes(text[i])) {
            depth++;
        } else if (']}'.includes(text[i])) {
            depth--;
        }
        if ((text[i] === ',' && depth === 1) || depth === 0) {
            if (text.slice(start, i).trim()) out.push(text.slice(start, i));
            start = i + 1;
        }
    }
    return out;
}

export function preset(name, url) {
    return Object.fromEntries(parseConf(name).map(s => [s.name, new Stream(s, url)]));
}
