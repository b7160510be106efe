// The message of bench_message() in common.c, for peers in JavaScript.

// Bytes that vary little, as those of a list of peers.
function data(length) {
    let text = `{"t":"${'0'.repeat(20)}"`;
    let x = 2463534242;

    for (;;) {
        x = (x ^ x << 13) >>> 0;
        x = (x ^ x >>> 17) >>> 0;
        x = (x ^ x << 5) >>> 0;

        const low = (Math.imul(x, 31) & 0xfffff) >>> 0;
        const entry = `,"12D3KooW${x.toString(16).padStart(8, '0')}${low.toString(16).padStart(5, '0')}":`
            + `{"latency_ms":${x % 400},"height":${104000 + x % 64},"state":"open"}`;

        if (text.length + entry.length + 8 > length) {
            break;
        }
        text += entry;
    }

    return `${text},"p":"${'x'.repeat(length - text.length - 8)}"}`;
}

// A function that gives a buffer of so many bytes with the time of now.
export function message(size) {
    const head = '{"type":"bench","data":';
    const tail = ',"timestamp":1700000000,"seq":1000000}';
    const text = head + data(size - head.length - tail.length) + tail;
    const at = head.length + '{"t":"'.length;

    return () => {
        const buffer = Buffer.from(text);
        buffer.write(String(process.hrtime.bigint()).padStart(20, '0'), at, 'latin1');
        return buffer;
    };
}
