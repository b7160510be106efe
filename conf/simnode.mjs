#!/usr/bin/env node
// A simulated The Block node: plain Node.js (18 or newer), no packages.
//
//   node conf/simnode.mjs --port 9933 [--host 127.0.0.1] [--dialect seed|real|both]
//        [--seed N] [--start UNIXTIME] [--time-scale X] [--token T] [--rate-limit N]
//        [--ban SECONDS] [--energy-limit N] [--replay DIR] [--set METHOD=RESULT]
//
// It answers JSON-RPC over HTTP the way the real node does: POST / only, one request per POST,
// Host must be localhost or 127.0.0.1, keep-alive of 90 s, HTTP 429 and a ban above the rate limit,
// a smaller limit of their own for the energy methods. Two dialects:
//   seed  the methods the design document's server was written against
//   real  the public methods of the real node
//   both  all of them (default); methods that both know answer with the fields of both
// The data moves and is a function of the seed and of the time since the start (and of what the
// control path was told, in order): the same seed and the same elapsed time give the same answers.
// --start fixes the wall clock at the start, so that timestamps repeat too.
//
// Control path, exempt from Host check and limits (JSON in, JSON out):
//   GET    /control/stats     counts: requests, by_method, by_second, connections, in flight
//   POST   /control/stats     {} sets the counts back to zero
//   POST   /control/fault     {"method":"NAME"|"*","fault":KIND,"count":N,"ms":N,"bytes":N,...}
//   DELETE /control/fault     all faults, or {"method":"NAME"} those of one method
//   POST   /control/set       {"method":"NAME","result":RAW} answered byte for byte ("error":RAW
//                             for an error object; neither: back to the simulation)
//   GET    /control/receipts  the ids of all receipts, in their order, chain by chain
//   POST   /control/receipts  {"n":N,"market":"energy"} N more receipts, at once
//   POST   /control/reset     another, shorter chain
//   POST   /control/empty     {"empty":true|false} a chain without a block; false: it mines from now
//                             on, unless one light.latest_header of an empty chain stopped that
//   POST   /control/mining    {"on":true|false} the chain is locked: calls that need it hang;
//                             {"hold":true}: and all others with them, as soon as one does
//   POST   /control/restart   {"down_ms":N} not listening, every connection cut, for that long
//   POST   /control/clock     {"elapsed":SECONDS,"freeze":true} sets (and stops) the time
//
// Fault kinds: unknown drop hang rate_limited banned energy_limited host_403 truncate
// truncate_chunked not_json empty_body wrong_id no_id both neither array huge other_type null
// unavailable error http_500 slow

import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { MARKETS, World, rawMembers, toJson } from './simnode/world.mjs';
import { DROP, NEEDS_CHAIN, RpcError, count, methodsOf } from './simnode/methods.mjs';

// ---------------------------------------------------------------------------------------------
// The server

const FAULTS = new Set(['unknown', 'drop', 'hang', 'rate_limited', 'banned', 'energy_limited',
    'host_403', 'truncate', 'truncate_chunked', 'not_json', 'empty_body', 'wrong_id', 'no_id',
    'both', 'neither', 'array', 'huge', 'other_type', 'null', 'unavailable', 'error', 'http_500',
    'slow']);

const errorText = (code, message, id = 'null') =>
    `{"error":{"code":${code},"message":${JSON.stringify(message)}},"id":${id},"jsonrpc":"2.0"}`;
const resultText = (result, id) => `{"id":${id},"jsonrpc":"2.0","result":${result}}`;

export class Node {
    constructor(options) {
        this.o = {
            host: '127.0.0.1', port: 0, dialect: 'both', seed: 1, timeScale: 1, rateLimit: 100,
            ban: 60, energyLimit: 5, ...options,
        };
        this.o.start ??= Math.floor(Date.now() / 1000);
        this.methods = methodsOf(this.o.dialect);
        this.world = new World(this.o.seed, this.o.start);
        this.begun = process.hrtime.bigint();
        this.frozen = null;
        this.faults = [];
        this.fixed = new Map();         // method -> {result} or {error}, as text
        if (this.o.set) {
            const [, method, result] = /^([^=]+)=(.*)$/s.exec(this.o.set);
            this.fixed.set(method, { result });
        }
        this.callers = new Map();       // address -> what the limits remember of it
        this.sockets = new Set();
        this.waiting = new Set();       // calls that wait for the end of the mining
        this.inFlight = new Map();
        this.clearStats();
        this.server = http.createServer((req, res) => this.request(req, res));
        this.server.keepAliveTimeout = 90000;
        this.server.on('connection', s => {
            this.sockets.add(s);
            this.stats.connections++;
            this.stats.max_open_connections =
                Math.max(this.stats.max_open_connections, this.sockets.size);
            s.on('close', () => this.sockets.delete(s));
        });
    }

    elapsed() {
        const s = Number(process.hrtime.bigint() - this.begun) / 1e9;
        return this.frozen ?? s * this.o.timeScale;
    }

    listen() {
        return new Promise((resolve, reject) => {
            this.server.once('error', reject);
            this.server.listen(this.o.port, this.o.host, () => {
                this.server.off('error', reject);
                this.o.port = this.server.address().port;
                resolve(this);
            });
        });
    }

    close() {
        this.server.close();
        this.sockets.forEach(s => s.destroy());
    }

    get url() { return `http://${this.o.host}:${this.o.port}`; }

    clearStats() {
        this.stats = {
            requests: 0, errors: 0, refused_host: 0, rate_limited: 0, banned: 0, connections: 0,
            max_open_connections: this.sockets?.size ?? 0, by_method: {}, by_second: {},
            max_in_flight: {}, recent: [],
        };
    }

    request(req, res) {
        const chunks = [];
        let size = 0;
        req.on('data', c => {
            size += c.length;
            if (size > 1 << 20) {
                req.destroy();
                return;
            }
            chunks.push(c);
        });
        req.on('end', () => {
            const body = Buffer.concat(chunks).toString();
            if (req.url.startsWith('/control/')) {
                this.world.advance(this.elapsed());
                this.control(req, res, body);
            } else {
                this.rpc(req, res, body);
            }
        });
        req.on('error', () => { });
    }

    send(res, status, text, headers = {}) {
        res.writeHead(status, {
            'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers,
        });
        res.end(text);
    }

    // Over the limit: once "rate limited", then "banned" for the ban period.
    limited(req) {
        const now = Date.now();
        const caller = this.caller(req);
        if (caller.banned > now) {
            this.stats.banned++;
            return errorText(-32002, 'banned');
        }
        if (now - caller.second >= 1000) {
            caller.second = now;
            caller.requests = 0;
        }
        if (++caller.requests > this.o.rateLimit) {
            caller.banned = now + this.o.ban * 1000;
            this.stats.rate_limited++;
            return errorText(-32001, 'rate limited');
        }
        return null;
    }

    caller(req) {
        const address = req.socket.remoteAddress;
        if (!this.callers.has(address)) {
            this.callers.set(address,
                { second: 0, requests: 0, banned: 0, eSecond: 0, energy: 0, eBanned: 0 });
        }
        return this.callers.get(address);
    }

    // The energy methods' own limit says so in the body of a 200.
    energyLimited(req) {
        const now = Date.now();
        const caller = this.caller(req);
        if (caller.eBanned > now) {
            throw new RpcError(-32002, 'banned');
        }
        if (now - caller.eSecond >= 1000) {
            caller.eSecond = now;
            caller.energy = 0;
        }
        if (++caller.energy > this.o.energyLimit) {
            caller.eBanned = now + 1000;
            throw new RpcError(-32001, 'rate limited');
        }
    }

    rpc(req, res, body) {
        const host = (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
        this.stats.requests++;
        const second = Math.floor(Date.now() / 1000);
        this.stats.by_second[second] = (this.stats.by_second[second] ?? 0) + 1;
        delete this.stats.by_second[second - 300];

        if (host !== 'localhost' && host !== '127.0.0.1') {
            this.stats.refused_host++;
            this.send(res, 403, '');
            return;
        }
        const limit = this.limited(req);
        if (limit !== null) {
            this.send(res, 429, limit, { connection: 'close' });
            return;
        }
        if (req.method !== 'POST' || req.url !== '/') {         // how the node answers is not known
            this.send(res, 404, '');
            return;
        }

        let members;
        try {
            JSON.parse(body);
            members = rawMembers(body);
        } catch {
            members = null;
        }
        if (members === null) {                     // not JSON, or a batch
            this.send(res, 200, errorText(-32700, 'parse error'));
            return;
        }
        const get = name => (members.has(name) ? JSON.parse(members.get(name).text) : undefined);
        const id = members.get('id')?.text ?? 'null';
        const method = get('method');
        if (typeof method !== 'string') {
            this.send(res, 200, errorText(-32600, 'invalid request', id));
            return;
        }
        const p = get('params');
        const params = p && typeof p === 'object' && !Array.isArray(p) ? p : {};

        this.stats.by_method[method] = (this.stats.by_method[method] ?? 0) + 1;
        this.stats.recent.push({ time: Date.now() / 1000, method, params: p ?? null });
        this.stats.recent.splice(0, this.stats.recent.length - 200);
        const flying = (this.inFlight.get(method) ?? 0) + 1;
        this.inFlight.set(method, flying);
        this.stats.max_in_flight[method] = Math.max(this.stats.max_in_flight[method] ?? 0, flying);
        res.on('close', () => this.inFlight.set(method, this.inFlight.get(method) - 1));

        const fault = this.takeFault(method);
        const locked = this.world.mining
            && (NEEDS_CHAIN.includes(method) || (this.world.hold && this.waiting.size > 0));
        if (locked && !fault) {
            const answer = () => this.answer(req, res, { method, params, id });
            this.waiting.add(answer);
            res.on('close', () => this.waiting.delete(answer));
        } else if (fault?.fault === 'slow') {
            setTimeout(() => this.answer(req, res, { method, params, id }), fault.ms ?? 1000);
        } else {
            this.answer(req, res, { method, params, id, fault });
        }
    }

    answer(req, res, { method, params, id, fault }) {
        if (res.destroyed) {
            return;
        }
        if (fault) {
            this.faulty(req, res, { method, params, id, fault });
            return;
        }
        const text = this.reply(req, method, params, id);
        if (text === DROP) {
            req.socket.destroy();
            return;
        }
        this.send(res, 200, text);
    }

    // The reply's text, or DROP.
    reply(req, method, params, id) {
        try {
            if (this.o.token && method.startsWith('energy.')
                && req.headers.authorization !== `Bearer ${this.o.token}`)
            {
                throw new RpcError(-33009, 'unauthorized');
            }
            if (method.startsWith('energy.')) {
                this.energyLimited(req);
            }
            if (this.fixed.has(method)) {
                const { result, error } = this.fixed.get(method);
                return error === undefined ? resultText(result, id)
                    : `{"error":${error},"id":${id},"jsonrpc":"2.0"}`;
            }
            if (this.o.replay) {
                return this.replay(method, id);
            }
            const fn = this.methods.get(method);
            if (!fn) {
                throw new RpcError(-32601, 'method not found');
            }
            const t = this.elapsed();
            this.world.advance(t);
            return resultText(toJson(fn({ w: this.world, t, p: params })), id);
        } catch (e) {
            if (e === DROP) {
                return DROP;
            }
            if (!(e instanceof RpcError)) {
                throw e;
            }
            this.stats.errors++;
            return errorText(e.code, e.message, id);
        }
    }

    // A recorded reply byte for byte, but for its id.
    replay(method, id) {
        const file = path.join(this.o.replay, `${path.basename(method)}.json`);
        if (!fs.existsSync(file)) {
            throw new RpcError(-32601, 'method not found');
        }
        const text = fs.readFileSync(file, 'utf8');
        const at = rawMembers(text)?.get('id');
        return at ? text.slice(0, at.start) + id + text.slice(at.end) : text;
    }

    takeFault(method) {
        const match = f => f.method === method || f.method === '*';
        const at = this.faults.findIndex(match);
        if (at < 0) {
            return null;
        }
        const fault = this.faults[at];
        if (fault.count !== undefined && --fault.count <= 0) {
            this.faults.splice(at, 1);
        }
        return fault;
    }

    faulty(req, res, { method, params, id, fault }) {
        const good = () => {
            const text = this.reply(req, method, params, id);
            return text === DROP ? resultText('null', id) : text;
        };
        const ok = (text, headers) => this.send(res, 200, text, headers);
        const half = (text, headers) => {
            res.writeHead(200, { 'content-type': 'application/json', ...headers });
            res.write(text.slice(0, Math.ceil(text.length / 2)), () => req.socket.destroy());
        };

        switch (fault.fault) {
        case 'unknown': return ok(errorText(-32601, 'method not found', id));
        case 'drop': return req.socket.destroy();
        case 'hang':
            if (fault.ms) {
                setTimeout(() => req.socket.destroy(), fault.ms);
            }
            return undefined;
        case 'rate_limited':
            return this.send(res, 429, errorText(-32001, 'rate limited'), { connection: 'close' });
        case 'banned': return this.send(res, 429, errorText(-32002, 'banned'));
        case 'energy_limited': return ok(errorText(-32001, 'rate limited', id));
        case 'host_403': return this.send(res, 403, '');
        case 'truncate': {
            const text = good();
            return half(text, { 'content-length': Buffer.byteLength(text) });
        }
        case 'truncate_chunked': return half(good());
        case 'not_json': return ok('<html><body>upstream says hello</body></html>');
        case 'empty_body': return ok('');
        case 'wrong_id': return ok(resultText('{"wrong":true}', '987654321'));
        case 'no_id': return ok('{"jsonrpc":"2.0","result":{"wrong":true}}');
        case 'both':
            return ok(`{"error":{"code":-32000,"message":"both"},"id":${id},"jsonrpc":"2.0",`
                + '"result":{"wrong":true}}');
        case 'neither': return ok(`{"id":${id},"jsonrpc":"2.0"}`);
        case 'array': return ok(`[${good()}]`);
        case 'huge':
            return ok(resultText(`{"huge":"${'x'.repeat(count(fault.bytes, 4 << 20))}"}`, id));
        case 'other_type': return ok(resultText(fault.result ?? '"telemetry disabled"', id));
        case 'null': return ok(resultText('null', id));
        case 'unavailable': return ok(resultText('{"status":"unavailable"}', id));
        case 'error':
            return ok(errorText(fault.code ?? -32000, fault.message ?? 'simulated failure', id));
        default: return this.send(res, 500, 'internal error', { 'content-type': 'text/plain' });
        }
    }

    control(req, res, body) {
        const say = (value, status = 200) => this.send(res, status, JSON.stringify(value));
        const bad = message => say({ error: message }, 400);
        let p;
        try {
            p = body.trim() === '' ? {} : JSON.parse(body);
        } catch (e) {
            bad(`not JSON: ${e.message}`);
            return;
        }
        const raw = name => rawMembers(body)?.get(name)?.text;

        switch (`${req.method} ${req.url.slice('/control/'.length)}`) {
        case 'GET stats':
            say({
                ...this.stats, open_connections: this.sockets.size,
                in_flight: Object.fromEntries(this.inFlight), elapsed: this.elapsed(),
                height: this.world.height0 + this.world.blocks - 1,
                receipts: this.world.receipts.length, energy_receipts: this.world.energy.length,
                settlements: this.world.sequence, faults: this.faults,
            });
            return;
        case 'POST stats':
            this.clearStats();
            break;
        case 'POST fault':
            if (!FAULTS.has(p.fault)) {
                bad(`fault must be one of ${[...FAULTS].join(', ')}, not ${JSON.stringify(p.fault)}`);
                return;
            }
            this.faults.push({ method: '*', ...p, ...(raw('result') && { result: raw('result') }) });
            break;
        case 'DELETE fault':
            this.faults = this.faults.filter(f => p.method !== undefined && f.method !== p.method);
            break;
        case 'POST set':
            if (typeof p.method !== 'string') {
                bad('method must name the method to answer');
                return;
            }
            this.fixed.delete(p.method);
            if (raw('result') !== undefined || raw('error') !== undefined) {
                this.fixed.set(p.method, { result: raw('result'), error: raw('error') });
            }
            break;
        case 'GET receipts':
            say({
                chains: [...this.world.past,
                    this.world.receipts.map(ref => this.world.receipt(ref).id)],
            });
            return;
        case 'POST receipts':
            if (count(p.n, -1) < 0 || (p.market && !MARKETS.includes(p.market))) {
                bad(`n must be a number, market one of ${MARKETS.join(', ')}`);
                return;
            }
            this.world.inject(p.n, p.market);
            break;
        case 'POST reset':
            this.world.poisoned = false;
            this.world.newChain(this.elapsed(), 5);
            break;
        case 'POST empty':
            this.world.newChain(this.elapsed(), 0);
            this.world.empty = p.empty !== false || this.world.poisoned;
            break;
        case 'POST mining':
            this.world.mining = p.on !== false;
            this.world.hold = p.hold === true;
            if (!this.world.mining) {
                this.waiting.forEach(answer => answer());
                this.waiting.clear();
            }
            break;
        case 'POST clock':
            if (typeof p.elapsed === 'number') {
                this.begun = process.hrtime.bigint()
                    - BigInt(Math.round(p.elapsed / this.o.timeScale * 1e9));
            }
            this.frozen = p.freeze ? p.elapsed ?? this.elapsed() : null;
            break;
        case 'POST restart':
            say({ ok: true });
            res.on('finish', () => {
                this.close();
                if (this.world.poisoned) {
                    this.world.poisoned = false;
                    this.world.empty = false;
                }
                setTimeout(() => this.listen(), count(p.down_ms, 1000));
            });
            return;
        default:
            say({ error: `no such control path: ${req.method} ${req.url}` }, 404);
            return;
        }
        say({ ok: true });
    }
}

// ---------------------------------------------------------------------------------------------
// Command line

function parse(argv) {
    const number = v => (/^\d+(\.\d+)?$/.test(v ?? '') ? Number(v) : NaN);
    const options = {
        port: number, host: String, dialect: String, seed: number, start: number,
        'time-scale': number, 'rate-limit': number, ban: number, 'energy-limit': number,
        token: String, replay: String, set: String,
    };
    const o = { port: 9933 };
    for (let i = 0; i < argv.length; i += 2) {
        const name = argv[i].replace(/^--/, '');
        const value = options[name]?.(argv[i + 1]);
        if (value === undefined || argv[i + 1] === undefined || Number.isNaN(value)) {
            throw new Error(options[name] ? `${argv[i]} has a bad value: ${argv[i + 1]}`
                : `unknown option ${argv[i]}; there are: --${Object.keys(options).join(' --')}`);
        }
        o[name.replace(/-(.)/g, (_, c) => c.toUpperCase())] = value;
    }
    if (o.dialect && !['seed', 'real', 'both'].includes(o.dialect)) {
        throw new Error(`--dialect must be seed, real or both, not ${o.dialect}`);
    }
    if (o.set && !/^[^=]+=./s.test(o.set)) {
        throw new Error(`--set must be METHOD=RESULT, not ${o.set}`);
    }
    if (o.replay && !fs.existsSync(o.replay)) {
        throw new Error(`--replay: there is no folder ${o.replay}`);
    }
    return o;
}

if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
    try {
        const node = await new Node(parse(process.argv.slice(2))).listen();
        process.on('SIGTERM', () => process.exit(0));
        process.on('SIGINT', () => process.exit(0));
        console.log(`simulated node (${node.o.replay ? `replay of ${node.o.replay}` : node.o.dialect}`
            + `, seed ${node.o.seed}) listens on ${node.url}`);
    } catch (e) {
        console.error(`simnode: ${e.message}`);
        process.exit(1);
    }
}
