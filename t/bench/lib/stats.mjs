// Medians, spreads, ratios, and how they are written.

export function median(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const half = sorted.length >> 1;

    if (sorted.length === 0) {
        return NaN;
    }
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// (max - min) / median: what runs of the same thing differ by.
export function spread(values) {
    const finite = values.filter(Number.isFinite);
    return finite.length < 2 ? NaN : (Math.max(...finite) - Math.min(...finite)) / median(finite);
}

export function number(value, digits = 0) {
    if (!Number.isFinite(value)) {
        return '–';
    }
    return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// The ratio of two medians as text; none when either varied by more than `noise` from run to run.
export function ratio(values, floor, noise) {
    if (values.length < 2 || floor.length < 2) {
        return 'one run';
    }
    if (!(spread(values) <= noise) || !(spread(floor) <= noise)) {
        return 'noisy';
    }
    return `${number(median(values) / median(floor), 2)} ×`;
}

// 8,706 ±4 % (1.12 ×): the second is half of the spread.
export function cell(values, floor, noise, digits = 0) {
    const all = values ?? [];
    const finite = all.filter(Number.isFinite);

    if (finite.length === 0) {
        return '–';
    }
    const around = finite.length > 1 ? ` ±${number(50 * spread(finite))} %` : '';
    return `${number(median(finite), digits)}${around}`
        + (floor && floor !== values ? ` (${ratio(finite, floor, noise)})` : '');
}

export function table(head, rows) {
    return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
        .map(row => `| ${row.join(' | ')} |`).join('\n');
}
