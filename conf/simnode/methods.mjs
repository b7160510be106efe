// The methods of the simulated node, in both dialects. A method gets {w: world, t: elapsed seconds,
// p: params object}, returns its result, or throws an RpcError, or throws DROP (the handler died:
// the connection closes without a reply).

import { U64_MAX, float } from './world.mjs';

export class RpcError extends Error {
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}

export const DROP = Symbol('drop');
export const count = (v, otherwise) => (Number.isInteger(v) && v >= 0 ? v : otherwise);
const needChain = w => {
    if (w.empty || w.blocks === 0) {
        throw DROP;
    }
};

const seed = {
    'net.peers': ({ w, t }) => ({
        peers: w.peers(t).map(p => ({
            id: `peer-${p.key.slice(0, 12)}`, address: p.address, latency_ms: p.latency,
            is_validator: p.validator,
        })),
    }),
    'net.stats': ({ w, t }) => ({
        tps: float(w.drift('tps', t, 180, 940, 120), 1),
        bandwidth_in: Math.round(w.drift('in', t, 250000, 2400000, 80)),
        bandwidth_out: Math.round(w.drift('out', t, 180000, 1900000, 95)),
        active_connections: w.peers(t).length + Math.round(w.drift('extra', t, 0, 9, 60)),
    }),
    'light.latest_header': ({ w, t }) => {
        needChain(w);
        return {
            number: w.header(w.blocks - 1).height,
            finality_time: float(w.drift('finality', t, 8, 48, 150), 1),
        };
    },
    'compute_market.stats': ({ w, t }) => ({
        active_jobs: w.idle('compute', t) ? 0 : Math.round(w.drift('jobs', t, 3, 60, 130)),
        providers: Math.round(w.drift('compute providers', t, 9, 18, 600)),
    }),
    'storage.stats': ({ w, t }) => ({
        total_stored: w.idle('storage', t) ? 0 : 7 * 2 ** 40 + Math.floor(t * 3.1e6),
        providers: Math.round(w.drift('storage providers', t, 14, 25, 700)),
    }),
    'energy.market_state': ({ w, t }) => ({
        total_credits: w.idle('energy', t) ? 0 : U64_MAX / 3n + BigInt(Math.floor(t * 17)),
        active_traders: Math.round(w.drift('traders', t, 6, 31, 170)),
    }),
    'ad_market.stats': ({ w, t }) => ({
        active_campaigns: w.idle('ads', t) ? 0 : Math.round(w.drift('campaigns', t, 2, 14, 300)),
        total_impressions: 4200000 + Math.floor(t * 37),
    }),
    'receipt.audit': ({ w, p }) => {
        const n = Math.max(1, count(p.limit, 128));
        return { receipts: w.receipts.slice(-n).reverse().map(r => w.receipt(r)) };
    },
    'scheduler.stats': ({ w, t }) => ({
        pending_operations: Math.round(w.drift('pending', t, 0, 240, 70)),
        avg_wait_time_ms: float(w.drift('wait', t, 4, 120, 90), 1),
        ops_per_block: float(w.drift('per block', t, 30, 220, 110), 1),
        ops_per_second: float(w.drift('per second', t, 30, 220, 110), 1),
    }),
};

// Of the arrays that are empty in a fresh chain only the members below are known. Members of
// credits, campaigns and manifests are named as the node's sources name them.
const real = {
    // Without a block it dies with the chain locked: there is none ever after.
    'light.latest_header': ({ w }) => {
        if (w.poisoned || w.blocks === 0) {
            w.poison();
            throw DROP;
        }
        return w.header(w.blocks - 1);
    },
    'light.headers': ({ w, p }) => {
        if (w.poisoned) {
            throw DROP;
        }
        const from = Math.max(count(p.start, 0) - w.height0, 0);
        const to = Math.min(from + count(p.limit, 200), w.blocks);
        return Array.from({ length: Math.max(to - from, 0) }, (_, k) => w.header(from + k));
    },
    'consensus.difficulty': ({ w }) => ({
        difficulty: w.blocks ? w.header(w.blocks - 1).difficulty : 1,
    }),
    'net.peer_stats_all': ({ w, t, p }) => {
        const from = count(p.offset, 0);
        return w.peers(t).slice(from, from + count(p.limit, 100)).map(x => ({
            peer_id: x.key,
            metrics: {
                requests: x.requests, bytes_sent: x.bytes, sends: 3 * x.requests,
                drops: {}, handshake_fail: {}, handshake_success: 1 + x.k % 4,
                // not measured by peers without QUIC
                last_handshake_ms: x.k % 5 ? x.latency : 0,
                tls_errors: 0, reputation: { score: float(0.6 + 0.4 * w.rnd('score', x.k), 4) },
                last_updated: Math.floor(w.start + t), req_avg: float(x.requests / (t + 86400)),
                byte_avg: float(x.bytes / (t + 86400)), throttled_until: 0, throttle_reason: null,
                backoff_level: 0, sec_start: Math.floor(w.start + t),
            },
        }));
    },
    'net.overlay_status': ({ w, t }) => ({
        active_peers: w.peers(t).length, backend: 'inhouse',
        database_path: '.the_block/overlay/peers.json', persisted_peers: 56,
    }),
    'net.quic_stats': () => [],
    'net.gossip_status': () => ({ status: 'unavailable' }),
    'mempool.stats': ({ w, t }) => ({
        age_p50: Math.round(w.drift('p50', t, 100, 900, 60)),
        age_p95: Math.round(w.drift('p95', t, 900, 4000, 60)), fee_floor: 1,
        fee_p50: Math.round(w.drift('fee50', t, 2, 9, 200)),
        fee_p90: Math.round(w.drift('fee90', t, 9, 40, 200)),
        size: Math.round(w.drift('mempool', t, 0, 700, 45)),
    }),
    'compute_market.stats': ({ w, t }) => ({
        blocktorch: null, industrial_backlog: Math.round(w.drift('backlog', t, 0, 30, 90)),
        industrial_price_base: 5, industrial_price_per_unit: 5, industrial_price_weighted: 5,
        industrial_units_total: Math.floor((t + 3600) * 2),
        industrial_utilization: Math.round(w.drift('utilization', t, 5, 95, 140)),
        lane_starvation: [], lanes: [], pending: [], recent_matches: {},
        settlement_engine: { engine: 'inhouse', legacy_mode: false },
    }),
    'compute_market.scheduler_stats': ({ w, t }) => ({
        active_jobs: w.idle('compute', t) ? 0 : Math.round(w.drift('jobs', t, 3, 60, 130)),
        capability_mismatch: Math.floor((t + 3600) / 45), effective_price: 5, pending: [],
        preemptions: Math.floor((t + 3600) / 200), priority_miss: 0,
        queued_high: Math.round(w.drift('high', t, 0, 6, 50)),
        queued_low: Math.round(w.drift('low', t, 0, 25, 50)),
        queued_normal: Math.round(w.drift('normal', t, 0, 40, 50)), reputation_failure: 0,
        success: w.sequence,
        utilization: { cpu: Math.round(w.drift('cpu', t, 10, 95, 75)) },
    }),
    'compute_market.scheduler_metrics': () => ({ reputation: {}, utilization: {} }),
    'compute_market.provider_balances': ({ w }) => ({
        providers: [...w.balances].sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([provider, balance]) => ({ provider, balance })),
    }),
    'compute_market.recent_roots': () => ({ roots: [] }),
    'compute_market.sla_history': () => [],
    'compute_market.audit': ({ w }) => w.audit,
    'settlement.audit': ({ w }) => w.audit,
    'storage.discover_providers': ({ w, t }) => {
        // as recorded: the same provider may be listed twice
        const names = [];
        const n = Math.round(w.drift('storage providers', t, 14, 25, 700));
        for (let k = 1; k <= n; k++) {
            names.push(k, ...(k % 3 ? [] : [k]));
        }
        return {
            providers: names.map(k => ({
                capacity_bytes: 2 ** 40, escrow_deposit: 1000, expires_at: Math.floor(w.start + t) + 1300,
                last_seen_block: null, latency_ms: 20 + k, price_per_block: k, proof_failures: 0,
                proof_successes: Math.floor(t), provider: `prov${k}`, region: 'us-east',
                success_rate_ppm: 1000000, tags: [], version: 1,
            })),
            status: 'ok',
        };
    },
    'storage.manifests': ({ w, t }) => {
        const n = w.idle('storage', t) ? 0 : Math.round(w.drift('objects', t, 20, 60, 500));
        return {
            manifests: Array.from({ length: n }, (_, k) => ({
                manifest: w.hex(64, 'manifest', k), total_len: 1 + w.int(2 ** 31, 'length', k),
                chunk_count: 1 + w.int(200, 'chunks', k), erasure: 'reed-solomon',
                compression: 'lz77-rle', encryption: null, compression_level: null,
                erasure_fallback: false, compression_fallback: false,
            })),
            policy: {
                compression: { algorithm: 'lz77-rle', emergency: false, fallback: false },
                erasure: { algorithm: 'reed-solomon', emergency: false, fallback: false },
            },
            status: 'ok',
        };
    },
    'storage.audit': () => ({ missing_chunks: 0, reports: [], status: 'ok' }),
    'energy.market_state': ({ w, t }) => ({
        credits: Array.from({ length: w.idle('energy', t) ? 0 : 9 }, (_, k) => ({
            amount_kwh: 40 + Math.round(w.drift(`credit${k}`, t, 0, 900, 200)),
            meter_reading_hash: w.hex(64, 'credit', k), provider: `energy-provider-${1 + k}`,
            timestamp: w.height0 + w.blocks,
        })),
        disputes: [],
        governance: {
            expiry_blocks: 0, min_stake: 1000, mode: 'real_time', oracle_timeout_blocks: 0,
            quorum_threshold_ppm: 0,
        },
        providers: Array.from({ length: 12 }, (_, k) => ({
            available_kwh: Math.round(w.drift(`kwh${k}`, t, 100, 9000, 240)), capacity_kwh: 10000,
            provider_id: `energy-provider-${1 + k}`, price_per_kwh: 3 + k,
        })),
        // the node lists every one; here the newest hundred
        receipts: w.energy.slice(-100).map(ref => w.energyReceipt(ref)), status: 'ok',
    }),
    'energy.receipts': ({ w, p }) => {
        const page = count(p.page, 0);
        const size = Math.min(Math.max(count(p.page_size, 25), 1), 250);
        return {
            page, page_size: size, receipts: w.energyPage(page, size), status: 'ok',
            total: w.energy.length,
        };
    },
    'energy.credits': () => ({ credits: [], page: 0, page_size: 25, status: 'ok', total: 0 }),
    'energy.disputes': () => ({ disputes: [], page: 0, page_size: 25, status: 'ok', total: 0 }),
    'ad_market.inventory': ({ w, t }) => ({
        campaigns: Array.from(
            { length: w.idle('ads', t) ? 0 : Math.round(w.drift('campaigns', t, 2, 14, 300)) },
            (_, k) => ({
                id: `campaign-${k}`, advertiser_account: `account-${w.hex(8, 'advertiser', k)}`,
                creatives: [`creative-${k}`], remaining_budget_usd_micros: 5000000 - 1000 * k,
                reserved_budget_usd_micros: 0,
            })),
        cohort_prices: [],
        distribution: {
            hardware_percent: 15, host_percent: 30, liquidity_percent: 5, verifier_percent: 10,
            viewer_percent: 40,
        },
        oracle: { price_usd_micros: 1000000 }, status: 'ok',
    }),
    'ad_market.readiness': ({ w, t }) => ({
        blockers: [], host_count: 40, last_updated: Math.floor(w.start + t), provider_count: 14,
        ready: true, settlement_count: Math.floor((t + 3600) / 3), status: 'ok',
        unique_viewers: 300 + Math.round(w.drift('viewers', t, 0, 500, 400)), window_secs: 21600,
    }),
    'ad_market.broker_state': ({ w, t }) => ({
        campaigns: [], generated_at_micros: Math.floor((w.start + t) * 1e6), status: 'ok',
    }),
    'governor.decisions': () => [],
    'governor.status': () => ({ status: 'disabled' }),
    'inflation.params': () => ({
        beta_storage_sub: 50, gamma_read_sub: 20, industrial_backlog: 0, industrial_multiplier: 100,
        industrial_utilization: 0, kappa_cpu_sub: 10, lambda_bytes_out_sub: 5, rent_rate_per_byte: 0,
    }),
    'mesh.peers': () => ({ peers: [] }),
    metrics: () => 'telemetry disabled',
    'microshard.roots.last': () => [],
    price_board_get: () => { throw new RpcError(-33000, 'no price data'); },
    whoami: () => ({ address: '', handle: null }),
};

export const NEEDS_CHAIN = ['light.latest_header', 'light.headers', 'consensus.difficulty'];

// In `both`, a method of both dialects answers with the members of both.
export function methodsOf(dialect) {
    const methods = new Map();
    for (const table of { seed: [seed], real: [real], both: [real, seed] }[dialect]) {
        for (const [name, fn] of Object.entries(table)) {
            const other = methods.get(name);
            methods.set(name, other ? call => ({ ...other(call), ...fn(call) }) : fn);
        }
    }
    return methods;
}
