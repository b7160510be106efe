// The simulated chain: blocks, receipts, the settlement ledger, peers, as a function of a seed and of
// the time; and JSON as the node prints it.

export const MARKETS = ['compute', 'storage', 'energy', 'ads'];
export const U64_MAX = 2n ** 64n - 1n;
const I64_MAX = 2n ** 63n - 1n;
const AUDIT_RING = 256;             // what the node keeps of the settlement ledger
const BLOCK_SECONDS = 1;

// ---------------------------------------------------------------------------------------------
// JSON as the node prints it: members sorted, integers of 64 bits exact, floats with a fraction

class Float { constructor(value) { this.value = value; } }
export const float = (v, digits = 3) => new Float(Number(v.toFixed(digits)));

class Raw { constructor(text) { this.text = text; } }

export function toJson(v) {
    if (v === null || v === undefined) {
        return 'null';
    }
    if (v instanceof Raw) {
        return v.text;
    }
    if (v instanceof Float) {
        return Number.isInteger(v.value) ? `${v.value}.0` : String(v.value);
    }
    if (typeof v === 'bigint') {
        return v.toString();
    }
    if (Array.isArray(v)) {
        return `[${v.map(toJson).join(',')}]`;
    }
    if (typeof v === 'object') {
        const members = Object.keys(v).filter(k => v[k] !== undefined).sort()
            .map(k => `${JSON.stringify(k)}:${toJson(v[k])}`);
        return `{${members.join(',')}}`;
    }
    return JSON.stringify(v);
}

// The members of a JSON object as their source text, so that an id or a result of any size and
// form goes back exactly as it came. `text` must be valid JSON; null when it is no object.
export function rawMembers(text) {
    const members = new Map();
    let i = 0;
    const space = () => { while (' \t\r\n'.includes(text[i]) && i < text.length) i++; };
    const string = () => {
        for (i++; text[i] !== '"'; i++) {
            if (text[i] === '\\') i++;
        }
        i++;
    };
    const value = () => {
        let depth = 0;
        do {
            const c = text[i];
            if (c === '"') {
                string();
            } else if (c === '{' || c === '[') {
                depth++;
                i++;
            } else if (c === '}' || c === ']') {
                depth--;
                i++;
            } else if (depth) {
                i++;
            } else {
                while (i < text.length && !' \t\r\n,}]'.includes(text[i])) i++;
            }
        } while (depth);
    };

    space();
    if (text[i] !== '{') {
        return null;
    }
    i++;
    for (space(); text[i] === '"'; space()) {
        const name = i;
        string();
        const key = JSON.parse(text.slice(name, i));
        space();
        i++;                        // the colon
        space();
        const start = i;
        value();
        members.set(key, { text: text.slice(start, i), start, end: i });
        space();
        if (text[i] === ',') i++;
    }
    return members;
}

// ---------------------------------------------------------------------------------------------
// The simulated chain

// 32 well mixed bits of any number of keys.
function hash32(...keys) {
    let h = 0x811c9dc5;
    for (const key of keys) {
        const s = String(key);
        for (let i = 0; i <= s.length; i++) {
            h = Math.imul(h ^ (i < s.length ? s.charCodeAt(i) : 0xff), 0x01000193);
        }
    }
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
}

export class World {
    // seed: any number or text; start: the wall clock (Unix seconds) at elapsed time 0
    constructor(seed, start) {
        this.seed = seed;
        this.start = start;
        this.chains = 0;
        this.mining = false;
        this.poisoned = false;      // the chain's lock: until the node is started again
        this.past = [];             // the receipts' ids of former chains
        this.newChain(0, 300);
    }

    rnd(...keys) { return hash32(this.seed, ...keys) / 0x100000000; }
    int(n, ...keys) { return Math.floor(this.rnd(...keys) * n); }
    pick(list, ...keys) { return list[this.int(list.length, ...keys)]; }
    hex(digits, ...keys) {
        let s = '';
        for (let i = 0; s.length < digits; i++) {
            s += hash32(this.seed, i, ...keys).toString(16).padStart(8, '0');
        }
        return s.slice(0, digits);
    }

    // A figure between lo and hi that drifts smoothly with time, with a period in seconds.
    drift(name, t, lo, hi, period) {
        const phase = this.rnd('phase', name) * 2 * Math.PI;
        const a = Math.sin(2 * Math.PI * t / period + phase);
        const b = Math.sin(2 * Math.PI * t / (period * 0.37) + 2.1 * phase);
        return lo + (hi - lo) * (0.5 + 0.33 * a + 0.17 * b);
    }

    // Each market sleeps for 20 seconds out of every 4 minutes, at its own time.
    idle(market, t) {
        const at = 40 + 60 * MARKETS.indexOf(market) + 20 * this.rnd('idle');
        return ((t - at) % 240 + 240) % 240 < 20 && t > at;
    }

    // history: how many blocks the chain has when it begins
    newChain(t, history) {
        if (this.chains > 0) {
            this.past.push(this.receipts.map(ref => this.receipt(ref).id));
        }
        this.chain = this.chains++;
        this.t0 = t;
        this.history = history;
        this.height0 = this.chain === 0 ? 100000 + this.int(900000, 'height') : 0;
        this.blocks = 0;            // how many there are by now
        this.empty = false;
        this.receipts = [];         // references, in the order they happened: see refOf()
        this.energy = [];           // the references of the energy market
        this.audit = [];            // the newest records of the settlement ledger
        this.sequence = 0;
        this.balances = new Map();
        this.injected = 0;
        this.now = t;
    }

    poison() {
        this.poisoned = true;
        this.empty = true;
    }

    blockTime(i) {
        return this.t0 + (i - this.history + 0.6 * this.rnd('time', this.chain, i)) * BLOCK_SECONDS;
    }

    // Everything that happened up to t seconds after the start.
    advance(t) {
        this.now = Math.max(this.now, t);
        while (!this.empty && this.blockTime(this.blocks) <= this.now) {
            const i = this.blocks++;
            const n = this.pick([0, 0, 1, 1, 1, 2], 'receipts', this.chain, i);
            for (let j = 0; j < n; j++) {
                this.append({ i, j, market: this.pick(MARKETS, 'market', this.chain, i, j) });
            }
        }
    }

    inject(n, market) {
        for (let k = 0; k < n; k++) {
            const j = 1000 + this.injected++;
            this.append({ i: Math.max(this.blocks - 1, 0), j, market: market ?? MARKETS[j % 4] });
        }
    }

    append(ref) {
        this.receipts.push(ref);
        if (ref.market === 'energy') {
            this.energy.push(ref);
        }
        if (ref.market === 'compute') {
            this.settle(ref);
        }
    }

    // Unsigned 64-bit amounts: a few above 2^53, where a double no longer holds them.
    amount(...keys) {
        const kind = this.int(16, 'amount', ...keys);
        if (kind === 0) {
            const big = BigInt(`0x${this.hex(16, 'big', ...keys)}`);
            return this.pick([big | (1n << 53n) | 1n, 9007199254740993n, U64_MAX], 'bigs', ...keys);
        }
        return BigInt(Math.floor(10 ** (2 + 6 * this.rnd('small', ...keys))));
    }

    receipt({ i, j, market }) {
        const keys = [this.chain, i, j];
        const provider = `${market}-provider-${1 + this.int(12, 'provider', ...keys)}`;
        return {
            id: `rcpt-${this.hex(16, 'receipt', ...keys)}`,
            market,
            block_height: this.height0 + i,
            timestamp: Math.floor(this.start + this.blockTime(i)),
            provider,
            consumer: `account-${this.hex(8, 'account', this.int(40, 'consumer', ...keys))}`,
            amount: this.amount(...keys),
            status: 'completed',
        };
    }

    settle(ref) {
        const r = this.receipt(ref);
        const cut = r.amount > I64_MAX ? I64_MAX : r.amount;
        const penalty = this.int(12, 'penalty', this.chain, ref.i, ref.j) === 0;
        const before = this.balances.get(r.provider) ?? 0n;
        let delta = penalty ? -(cut < before ? cut : before) : cut;
        if (before + delta > U64_MAX) {
            delta = U64_MAX - before;
        }
        this.balances.set(r.provider, before + delta);
        this.audit.push({
            sequence: this.sequence++, timestamp: r.timestamp, entity: r.provider,
            memo: penalty ? 'penalize_sla' : 'accrue', delta, balance: before + delta,
        });
        if (this.sequence % 40 === 0) {
            this.audit.push({
                sequence: this.sequence++, timestamp: r.timestamp, entity: '__anchor__',
                memo: 'anchor', delta: 0, balance: 0, anchor: this.hex(64, 'anchor', this.sequence),
            });
        }
        this.audit.splice(0, this.audit.length - AUDIT_RING);
    }

    energyReceipt(ref) {
        const r = this.receipt(ref);
        return {
            buyer: r.consumer, seller: r.provider, price_paid: r.amount,
            kwh_delivered: 1 + this.int(5000, 'kwh', this.chain, ref.i, ref.j),
            block_settled: r.block_height, treasury_fee: r.amount / 20n, slash_applied: 0,
            meter_reading_hash: this.hex(64, 'meter', this.chain, ref.i, ref.j),
        };
    }

    // One page, newest block first, and inside a block in the order of settlement.
    energyPage(page, size) {
        const out = [];
        let skip = page * size;
        for (let end = this.energy.length; end > 0 && out.length < size;) {
            let begin = end - 1;
            while (begin > 0 && this.energy[begin - 1].i === this.energy[end - 1].i) begin--;
            for (let k = begin; k < end && out.length < size; k++) {
                if (skip-- <= 0) {
                    out.push(this.energyReceipt(this.energy[k]));
                }
            }
            end = begin;
        }
        return out;
    }

    header(i) {
        return {
            height: this.height0 + i, hash: this.hex(64, 'block', this.chain, i),
            difficulty: Math.round(this.drift('difficulty', this.blockTime(i), 900, 1400, 900)),
        };
    }

    // Peers come and go; each has an address, a latency that wanders, counters that only grow.
    peers(t) {
        const out = [];
        for (let k = 0; k < 56; k++) {
            const period = 90 + 600 * this.rnd('period', k);
            const share = 0.35 + 0.6 * this.rnd('share', k);
            if ((t / period + this.rnd('since', k)) % 1 > share) {
                continue;
            }
            const base = 8 + 180 * this.rnd('latency', k) ** 2;
            out.push({
                k, key: this.hex(64, 'peer', k), address: `203.0.113.${1 + k}:${3030 + (k % 5)}`,
                latency: Math.round(this.drift(`latency${k}`, t, 0.7 * base, 1.4 * base, 47)),
                validator: this.rnd('validator', k) < 0.3,
                bytes: Math.floor((t + 86400) * (500 + 20000 * this.rnd('rate', k))),
                requests: Math.floor((t + 86400) * (0.5 + 4 * this.rnd('requests', k))),
            });
        }
        return out;
    }
}
