// Nodes of other chains, as they speak: Bitcoin Core, Substrate, Solana, CometBFT. Each has a chain of
// made-up blocks that grows, reorganises or is begun anew on command, and answers as its original does,
// errors, HTTP status and all.

import crypto from 'node:crypto';
import http from 'node:http';

const hash = (...keys) => crypto.createHash('sha256').update(keys.join('/')).digest('hex');
const little = (n, bytes) => `0x${Array.from({ length: bytes },
    (_, i) => Number((BigInt(n) >> BigInt(8 * i)) & 255n).toString(16).padStart(2, '0')).join('')}`;

export class RpcError extends Error {
    constructor(code, message, data) {
        super(message);
        Object.assign(this, { code, data });
    }
}

class Dialect {
    constructor(options = {}) {
        this.o = options;
        this.blocks = [];
        this.asked = {};
        this.lacks = new Set();
        this.begin = 1795000000;
    }

    // n more blocks; those of different branches are different
    grow(n, branch = 'a', more = {}) {
        for (let i = 0; i < n; i++) {
            const height = this.blocks.length;
            this.blocks.push({
                height, hash: hash(branch, height), parent: this.blocks.at(-1)?.hash ?? null,
                time: this.begin + 6 * height, txs: height % 5, ...more,
            });
        }
        return this;
    }

    get top() { return this.blocks.at(-1); }

    async listen(t) {
        const server = http.createServer((req, res) => {
            let body = '';
            req.on('data', d => { body += d; });
            req.on('end', () => this.request(req, res, body));
        });
        await new Promise(resolve => { server.listen(0, '127.0.0.1', resolve); });
        t.after(() => { server.closeAllConnections(); server.close(); });
        this.port = server.address().port;
        const auth = this.o.auth ? `${this.o.auth}@` : '';
        this.url = `http://${auth}127.0.0.1:${this.port}/`;
        return this;
    }

    // {result} or {error}; what is not there is an error of the dialect's own
    run(method, params) {
        this.asked[method] = (this.asked[method] ?? 0) + 1;
        try {
            const f = this.methods()[method];
            if (!f || this.lacks.has(method)) {
                throw new RpcError(-32601, 'Method not found');
            }
            return { result: f(...(Array.isArray(params) ? params : [params ?? {}])) };
        } catch (e) {
            if (!(e instanceof RpcError)) throw e;
            return { error: { code: e.code, message: e.message, ...(e.data === undefined ? {} : { data: e.data }) } };
        }
    }

    say(res, status, value, headers = {}) {
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers });
        res.end(text);
    }

    request(req, res, body) {
        const { id, method, params } = JSON.parse(body);
        this.say(res, 200, { jsonrpc: '2.0', id, ...this.run(method, params) });
    }
}

// Up to version 27 JSON-RPC 1.0 whatever is asked: no "jsonrpc", "error":null beside a result, errors with
// HTTP 500, or 404 for an unknown method; from 28 on 2.0 to whom asks for it. 401 without the password.
export class Bitcoin extends Dialect {
    request(req, res, body) {
        if (this.o.auth
            && req.headers.authorization !== `Basic ${Buffer.from(this.o.auth).toString('base64')}`)
        {
            this.say(res, 401, '', { 'www-authenticate': 'Basic realm="jsonrpc"' });
            return;
        }
        const { id, jsonrpc, method, params } = JSON.parse(body);
        const answer = this.run(method, params);
        if (jsonrpc === '2.0' && (this.o.version ?? 27) >= 28) {
            this.say(res, 200, { jsonrpc: '2.0', ...answer, id });
            return;
        }
        const status = !answer.error ? 200 : { '-32601': 404, '-32600': 400 }[answer.error.code] ?? 500;
        this.say(res, status, { result: answer.result ?? null, error: answer.error ?? null, id });
    }

    methods() {
        const find = h => this.blocks.find(b => b.hash === h) ?? (() => { throw new RpcError(-5, 'Block not found'); })();
        return {
            getblockchaininfo: () => ({
                chain: this.o.chain ?? 'main', blocks: this.top.height, headers: this.top.height + 2, bestblockhash: this.top.hash,
                difficulty: 109782075598905.16, time: this.top.time, mediantime: this.top.time - 3000,
                verificationprogress: 0.9999984, initialblockdownload: false, chainwork: '00', size_on_disk: 700123456789,
                pruned: false, warnings: '',
            }),
            getnetworkinfo: () => ({
                version: 270000, subversion: '/Satoshi:27.0.0/', protocolversion: 70016, connections: 12, connections_in: 2,
                connections_out: 10, relayfee: 0.00001, incrementalfee: 0.00001, warnings: '',
            }),
            getnetworkhashps: () => 7.5e20,
            getblockhash: n => {
                if (!Number.isInteger(n)) throw new RpcError(-3, 'JSON value of type string is not of expected type number');
                if (n < 0 || n > this.top.height) throw new RpcError(-8, 'Block height out of range');
                return this.blocks[n].hash;
            },
            getblock: (h, verbosity = 1) => {
                const b = find(h);
                if (verbosity !== 1) throw new RpcError(-8, 'only 1 here');
                return {
                    hash: b.hash, confirmations: 1, height: b.height, version: 536870912, versionHex: '20000000',
                    merkleroot: hash('merkle', b.hash), time: b.time, mediantime: b.time - 3000, nonce: 4000000000 + b.height,
                    bits: '17028c61', difficulty: 109782075598905.16, chainwork: '00', nTx: b.txs + 1,
                    ...(b.parent ? { previousblockhash: b.parent } : {}), strippedsize: 900, size: 1500000 + b.height,
                    weight: 3993000, tx: Array.from({ length: b.txs + 1 }, (_, i) => hash('tx', b.hash, i)),
                };
            },
            getmempoolinfo: () => ({
                loaded: true, size: 51234, bytes: 30123456, usage: 160123456, total_fee: 1.23456789, maxmempool: 300000000,
                mempoolminfee: 0.00001, minrelaytxfee: 0.00001, incrementalrelayfee: 0.00001, unbroadcastcount: 0, fullrbf: false,
            }),
            estimatesmartfee: n => (n > 100 ? { errors: ['Insufficient data or no feerate found'], blocks: n }
                : { feerate: 0.00012345, blocks: n }),
            getpeerinfo: () => [
                { id: 3, addr: '203.0.113.7:8333', network: 'ipv4', services: '0409', lastsend: 1, lastrecv: 1, bytessent: 123,
                    bytesrecv: 456, conntime: 1794990000, pingtime: 0.0421, minping: 0.04, version: 70016,
                    subver: '/Satoshi:26.0.0/', inbound: false, startingheight: 3, synced_headers: 9, synced_blocks: 9 },
                { id: 4, addr: '[2001:db8::1]:50123', network: 'ipv6', bytessent: 1, bytesrecv: 2, conntime: 1794990001,
                    version: 70015, subver: '', inbound: true, startingheight: -1, synced_headers: -1, synced_blocks: -1 },
            ],
        };
    }
}

// Finalized blocks are `behind` blocks behind; storage is in SCALE.
export class Substrate extends Dialect {
    methods() {
        const hex = n => `0x${n.toString(16)}`;
        const final = () => this.blocks[Math.max(this.blocks.length - 1 - (this.o.behind ?? 2), 0)];
        const find = h => (h === undefined ? this.top : this.blocks.find(b => `0x${b.hash}` === h));
        const header = b => b && {
            parentHash: b.parent ? `0x${b.parent}` : `0x${'0'.repeat(64)}`, number: hex(b.height),
            stateRoot: `0x${hash('state', b.hash)}`, extrinsicsRoot: `0x${hash('root', b.hash)}`, digest: { logs: ['0x0642'] },
        };
        const storage = {
            '0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb': b => little(1000 * b.time, 8),
            '0xc2261276cc9d1f8598ea4b6a74b15c2f57c875e4cff74148e4628f264b974c80': () => little(15432109876543210987n, 16),
            '0xcec5070d609dd3497f72bde07fc96ba088dcde934c658227ee1dfafcd6e16903': () => `0xa504${'11'.repeat(32)}`,
            '0x3f1467a096bcd71a5b6a0c8155e208103f2edf3bdf381debe331ab7446addfdc': () => little(10n ** 18n, 16),
        };
        return {
            chain_getHeader: h => header(find(h)) ?? null,
            chain_getFinalizedHead: () => `0x${final().hash}`,
            chain_getBlockHash: n => (Array.isArray(n) ? n.map(x => (this.blocks[x] ? `0x${this.blocks[x].hash}` : null))
                : `0x${(n === undefined ? this.top : this.blocks[n]).hash}`),
            chain_getBlock: h => {
                const b = find(h);
                return b ? { block: { header: header(b), extrinsics: Array(b.txs + 1).fill('0x280402000b') }, justifications: null } : null;
            },
            system_health: () => ({ peers: 31, isSyncing: false, shouldHavePeers: true }),
            system_syncState: () => ({ startingBlock: 0, currentBlock: this.top.height, highestBlock: this.top.height + 1 }),
            state_getRuntimeVersion: () => ({ specName: 'polkadot', implName: 'parity-polkadot', authoringVersion: 0,
                specVersion: 1003004, implVersion: 0, apis: [['0xdf6acb689907609b', 5]], transactionVersion: 26, stateVersion: 1 }),
            system_chain: () => this.o.chain ?? 'Polkadot', system_name: () => 'Parity Polkadot',
            system_version: () => '1.16.1-835e0767fe8',
            system_properties: () => ({ ss58Format: 0, tokenDecimals: [10], tokenSymbol: ['DOT'] }),
            state_getStorage: (key, h) => { const b = find(h); return (b && storage[key]?.(b)) ?? null; },
            author_pendingExtrinsics: () => ['0x2804', '0x280402'],
            system_peers: () => {
                if (this.o.safe !== false) throw new RpcError(-32601, 'RPC call is unsafe to be called externally');
                return [{ peerId: '12D3KooW', roles: 'FULL', bestHash: `0x${this.top.hash}`, bestNumber: this.top.height }];
            },
        };
    }
}

// Slots are blocks here, but for those in `skipped`; finalized is 3 slots behind.
export class Solana extends Dialect {
    skipped = new Set();

    methods() {
        const final = () => Math.max(this.blocks.length - 4, 0);
        const there = s => s >= 0 && s <= final() && !this.skipped.has(s);
        const before = s => { let p = s - 1; while (p > 0 && this.skipped.has(p)) p--; return Math.max(p, 0); };
        return {
            getSlot: () => final(),
            getEpochInfo: () => ({ absoluteSlot: this.blocks.length - 1, blockHeight: this.blocks.length - 1 - this.skipped.size,
                epoch: 27, slotIndex: 108000, slotsInEpoch: 432000, transactionCount: 412345678901 }),
            getHealth: () => {
                if (this.o.behind) {
                    throw new RpcError(-32005, `Node is behind by ${this.o.behind} slots`, { numSlotsBehind: this.o.behind });
                }
                return 'ok';
            },
            getRecentPerformanceSamples: () => [{ slot: final(), numTransactions: 245678, numSlots: 150, samplePeriodSecs: 60,
                numNonVoteTransactions: 90000 }],
            getVersion: () => ({ 'feature-set': 2891131721, 'solana-core': '2.0.15' }),
            getBlockTime: s => (there(s) ? this.blocks[s].time : null),
            getBlocks: (from, to) => {
                if (to - from > 500000) throw new RpcError(-32602, 'Slot range too large; max 500000');
                return Array.from({ length: Math.max(Math.min(to, final()) - from + 1, 0) }, (_, i) => from + i).filter(there);
            },
            getBlock: (s, c) => {
                if (c.maxSupportedTransactionVersion !== 0) throw new RpcError(-32015, 'Transaction version (0) is not supported');
                if (!there(s)) throw new RpcError(-32009, `Slot ${s} was skipped, or missing in long-term storage`);
                const parent = before(s);
                return { blockHeight: s - [...this.skipped].filter(x => x < s).length, blockTime: this.blocks[s].time,
                    blockhash: this.blocks[s].hash, parentSlot: parent, previousBlockhash: this.blocks[parent].hash };
            },
            getRecentPrioritizationFees: () => Array.from({ length: 150 }, (_, i) => ({ slot: i, prioritizationFee: i * 100 })),
            getSupply: () => ({ context: { slot: final() }, value: { total: 598765432109876543, circulating: 478901234567890123,
                nonCirculating: 119864197541986420, nonCirculatingAccounts: [] } }),
            getVoteAccounts: () => ({
                current: [1, 2, 3].map(k => ({ votePubkey: `v${k}`, nodePubkey: `n${k}`, activatedStake: 130000000000000000 + k,
                    commission: 5, lastVote: 1, epochVoteAccount: true, epochCredits: [], rootSlot: 1 })),
                delinquent: [{ votePubkey: 'v9', nodePubkey: 'n9', activatedStake: 42000000001, commission: 100, lastVote: 0 }],
            }),
            getClusterNodes: () => ['2.0.15', '2.0.15', '1.18.26', null].map((version, k) => ({ pubkey: `n${k}`,
                gossip: `203.0.113.${k}:8001`, tpu: null, rpc: null, version, featureSet: 1, shredVersion: 50093 })),
        };
    }
}

// Integers are strings; an unknown method is HTTP 404, another error 500.
export class Comet extends Dialect {
    request(req, res, body) {
        const { id, method, params } = JSON.parse(body);
        const answer = this.run(method, params);
        const status = !answer.error ? 200 : answer.error.code === -32601 ? 404 : 500;
        this.say(res, status, { jsonrpc: '2.0', id, ...answer });
    }

    methods() {
        const up = h => h.toUpperCase();
        const at = t => new Date(t * 1000).toISOString().replace('.000Z', '.123456789Z');
        const internal = data => { throw new RpcError(-32603, 'Internal error', data); };
        return {
            status: () => ({
                node_info: { protocol_version: { p2p: '8', block: '11', app: '0' }, id: 'ab'.repeat(20), network: this.o.chain ?? 'cosmoshub-4',
                    version: '0.38.12', moniker: 'node' },
                sync_info: { latest_block_hash: up(this.top.hash), latest_app_hash: 'AA', latest_block_height: `${this.top.height}`,
                    latest_block_time: at(this.top.time), earliest_block_height: `${this.o.earliest ?? 1}`, catching_up: false },
                validator_info: { address: 'CC', pub_key: { type: 'tendermint/PubKeyEd25519', value: 'x' }, voting_power: '0' },
            }),
            net_info: () => ({ listening: true, listeners: ['Listener(@)'], n_peers: '1', peers: [{
                node_info: { id: 'cd'.repeat(20), moniker: 'peer', version: '0.37.4', network: 'cosmoshub-4' }, is_outbound: true,
                connection_status: { Duration: '168901057956119' }, remote_ip: '203.0.113.9' }] }),
            abci_info: () => ({ response: { data: 'GaiaApp', version: 'v21.0.0', last_block_height: `${this.top.height}` } }),
            blockchain: ({ minHeight, maxHeight }) => {
                if (typeof minHeight !== 'string') throw new RpcError(-32602, 'Invalid params', 'error converting json params to arguments');
                const max = Math.min(Number(maxHeight), this.top.height);
                const min = Math.max(Number(minHeight), this.o.earliest ?? 1, max - 19);
                if (min > max) internal(`min height ${min} can't be greater than max height ${max}`);
                return { last_height: `${this.top.height}`, block_metas: Array.from({ length: max - min + 1 }, (_, i) => {
                    const b = this.blocks[max - i];
                    return { block_id: { hash: up(b.hash), parts: { total: 1, hash: 'EE' } }, block_size: `${20000 + b.height}`,
                        header: { version: { block: '11' }, chain_id: 'cosmoshub-4', height: `${b.height}`, time: at(b.time),
                            last_block_id: { hash: up(b.parent ?? '') }, proposer_address: 'DD', app_hash: 'FF' },
                        num_txs: `${b.txs}` };
                }) };
            },
            validators: ({ page, per_page: size }) => {
                const n = Number(page);
                if (n > 2) internal(`page should be within [1, 2] range, given ${n}`);
                return { block_height: `${this.top.height}`, total: '180', count: `${n === 1 ? 100 : 80}`,
                    validators: Array.from({ length: n === 1 ? Number(size) : 80 }, (_, k) => ({ address: `A${n}${k}`,
                        pub_key: { type: 'x', value: 'x' }, voting_power: `${1000000 + k}`, proposer_priority: '-12' })) };
            },
            num_unconfirmed_txs: () => ({ n_txs: '30', total: '82', total_bytes: '19974', txs: null }),
        };
    }
}
