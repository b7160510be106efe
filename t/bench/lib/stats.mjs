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

// The middle of sorted values: from the first quartile to the third.
function quartiles(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const at = q => {
        const i = q * (sorted.length - 1);
        const low = Math.floor(i);
        return sorted[low] + (i - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
    };
    return [at(0.25), at(0.75)];
}

// A ratio as text: the median of the ratios of each round, whose two runs were next to each other and share the
// machine's mood, and from where to where these go. None when the middle half of them is wider than `noise`.
export function ratio(values, floor, noise) {
    const pairs = values.map((value, i) => value / floor[i]).filter(Number.isFinite);

    if (pairs.length < 2) {
        return 'one run';
    }
    const middle = median(pairs);
    const [low, high] = quartiles(pairs);

    if (!((high - low) / middle <= noise)) {
        return 'noisy';
    }
    return `**${number(middle, 2)} ×**, ${number(Math.min(...pairs), 2)} to ${number(Math.max(...pairs), 2)}`;
}

// 8,706 ±4 % (**1.12 ×**, 1.08 to 1.15): ± is half of the spread. One value for each round; NaN: there is none.
export function cell(values, floor, noise, digits = 0) {
    const all = values ?? [];
    const finite = all.filter(Number.isFinite);

    if (finite.length === 0) {
        return '–';
    }
    const around = finite.length > 1 ? ` ±${number(50 * spread(finite))} %` : '';
    return `${number(median(finite), digits)}${around}`
        + (floor && floor !== values ? ` (${ratio(all, floor, noise)})` : '');
}

export function table(head, rows) {
    return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
        .map(row => `| ${row.join(' | ')} |`).join('\n');
}
