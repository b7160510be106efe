import { canonical } from './json';
import { isObject, mergePatch } from './mergePatch';
import type { DataMessage, GapNotice, NodeState, StatusMessage, StreamKind, StreamState } from './messages';

/** One entry of a log stream as the client keeps it. */
export interface LogEntry<T = Record<string, unknown>> {
  /** Unique within the stream for as long as the page lives; grows with every entry. */
  readonly key: number;
  readonly value: T;
  /** The seq of the message that brought it. */
  readonly seq: number | null;
  /** Local clock, ms. */
  readonly receivedAt: number;
  /** Entries are missing between this one and the next older one. */
  readonly gap: GapNotice | null;
}

/** What is known of one stream. A new object for every change, so that comparing references is enough. */
export interface StreamView<D = unknown> {
  readonly stream: string;
  readonly kind: StreamKind | null;
  /** Snapshot stream: its newest value. Log stream: the newest message's data; all entries are in `entries`. */
  readonly data: D | null;
  /** Log streams only: newest first, at most `maxEntries`; see `keepEntries` too. */
  readonly entries: readonly LogEntry[];
  /** Log entries ever received, also those no longer kept. */
  readonly received: number;
  readonly seq: number | null;
  /** Unix seconds of the poll that made the data. */
  readonly timestamp: number | null;
  /** `waiting` before the first data, `stale` when the node or the connection stopped delivering, else `live`. */
  readonly state: StreamState;
  /** Gateway's clock (Unix seconds) at the last proof that the data was fresh. */
  readonly freshAt: number | null;
  readonly error: string | null;
  /** The gateway's code of a refusal, such as `unknown_stream`; null for a stream that was not refused. */
  readonly refused: string | null;
  /** What the gateway said of the stream's node, until that answers again. */
  readonly node: NodeState | null;
  /** Seconds until the gateway asks that node again, as of the status message; `nodeRetryAt` counts for a countdown. */
  readonly retryIn: number | null;
  /** The same as a time: local clock, ms. */
  readonly nodeRetryAt: number | null;
  /** Gateway's clock (Unix seconds) of the last status message, null before the first. */
  readonly statusAt: number | null;
  /** Something worth a word that happened within the last minute, such as "the chain is shorter than before". */
  readonly note: string | null;
  /** The last announced gap of a log stream. */
  readonly gap: GapNotice | null;
}

/** One message as a subscriber gets it: of a log only what is new. */
export interface StreamMessage<D = unknown> {
  readonly stream: string;
  readonly kind: StreamKind;
  readonly data: D;
  readonly seq: number | null;
  /** Unix seconds of the poll that made the data. */
  readonly timestamp: number | null;
  /** Log streams: entries are missing before these. */
  readonly gap: GapNotice | null;
  /** Log streams: the member of `data` that has the entries. */
  readonly field: string | null;
}

export type Accepted = 'applied' | 'same' | 'ignored' | 'resync';

const NO_ENTRIES: readonly LogEntry[] = [];
/** A note is news for this long, in seconds. */
const NOTED = 60;

/**
 * Memory of one stream: takes messages as they come, whatever their order, and keeps the state they add up to.
 * It knows nothing of sockets; `StreamClient` feeds it and acts on `resync`.
 */
export class StreamSlot {
  readonly name: string;
  view: StreamView;

  /** A merge patch came for data that is not held: messages are of no use until a new subscribe is answered. */
  resyncing = false;

  /** What the last accepted message brought, or null when that was nothing new. */
  fresh: StreamMessage | null = null;

  private readonly maxEntries: number;
  private readonly keepEntries: number;
  /** Entries kept now: what was asked for, or as many as the gateway itself has shown to keep. */
  private limit: number;
  private nextKey = 1;
  private reported: StreamState | null = null;
  private disconnected = true;
  private field: string | null = null;
  private notedAt = 0;

  constructor(name: string, maxEntries: number, keepEntries = maxEntries) {
    this.name = name;
    this.maxEntries = maxEntries;
    this.keepEntries = Math.min(keepEntries, maxEntries);
    this.limit = this.keepEntries;
    this.view = emptyView(name);
  }

  /** Forgets everything: the gateway started over. */
  reset(): void {
    this.view = { ...emptyView(this.name), kind: this.view.kind };
    this.fresh = null;
    this.limit = this.keepEntries;
    this.reported = null;
    this.resyncing = false;
  }

  /** The gateway answered a subscribe: from here on the stream is live unless it says otherwise. Returns whether the view changed. */
  subscribed(now: number): boolean {
    this.resyncing = false;
    this.reported = null;
    return this.settle(false, now, null);
  }

  /** The connection is lost, and with it the right to call anything live. */
  stale(): boolean {
    if (this.disconnected && this.view.state !== 'live') {
      return false;
    }
    this.disconnected = true;
    return this.update({ state: this.view.data === null ? 'waiting' : 'stale' });
  }

  /** The gateway refused this stream, for the reason that `code` names. */
  refused(error: string, code: string): boolean {
    return this.update({ error, refused: code });
  }

  /** The gateway does not send this stream any more. Without an `error` that is still to be mended. */
  ended(error: string | null, code: string): boolean {
    return this.update({ state: this.view.data === null ? 'waiting' : 'stale', error, refused: error === null ? null : code });
  }

  /** The gateway reported an error about this stream that is no refusal. */
  failed(error: string): boolean {
    return this.update({ error });
  }

  /** What is held, as one message, for whoever comes later; null when that is nothing. Of a log what came after `since`. */
  replay(since: number | null): StreamMessage | null {
    const { data, entries, kind, seq, timestamp } = this.view;
    if (data === null) {
      return null;
    }
    const base = { stream: this.name, seq, timestamp, gap: null };
    if (kind !== 'log' || this.field === null) {
      return { ...base, kind: 'snapshot', data, field: null };
    }
    const values = entries.filter((entry) => since === null || entry.seq === null || entry.seq > since).map(({ value }) => value);
    return { ...base, kind: 'log', data: { [this.field]: values.reverse(), count: values.length }, field: this.field };
  }

  /**
   * A data message. `now` is the gateway's clock in Unix seconds; `polled` tells that it came by REST, where the gateway
   * repeats entries that were there before.
   */
  accept(message: DataMessage, now: number, receivedAt: number, polled = false): Accepted {
    const seq = typeof message.seq === 'number' ? message.seq : null;
    const last = this.view.seq;
    this.fresh = null;

    if (this.resyncing && !polled) {
      return 'ignored';
    }

    if (seq !== null && last !== null) {
      if (seq < last) {
        return 'ignored';
      }
      if (seq === last) {
        return this.repeat(message, now) ? 'same' : 'ignored';
      }
    }

    if (message.delta !== undefined) {
      return this.acceptDelta(message, now);
    }

    if (message.data === undefined) {
      return 'ignored';
    }

    const field = logField(message.data, this.view.kind);
    const next = !polled && seq !== null && last !== null && seq === last + 1;

    if (field === null) {
      this.take(message, message.data, now);
      return 'applied';
    }

    // A jump in seq is no loss: the gateway puts several batches into one message when it is behind, and tells a gap.
    this.append(message, field, now, receivedAt, polled, next);
    return 'applied';
  }

  /** A status message. `now` is the gateway's clock. Returns whether the view changed. */
  status(message: Pick<StatusMessage, 'state' | 'age' | 'error' | 'node' | 'retry_in' | 'note' | 'timestamp'>, now: number): boolean {
    this.reported = message.state;
    this.disconnected = false;

    const age = typeof message.age === 'number' ? message.age : null;
    const error = errorText(message.error);
    const node = message.node === 'down' || message.node === 'limited' ? message.node : null;
    const retryIn = node !== null && typeof message.retry_in === 'number' ? message.retry_in : null;
    const note = typeof message.note === 'string' && message.note !== '' ? message.note : null;
    if (note !== null) {
      this.notedAt = now;
    }

    return this.update({
      node,
      retryIn,
      nodeRetryAt: retryIn === null ? null : Date.now() + retryIn * 1000,
      statusAt: typeof message.timestamp === 'number' ? message.timestamp : now,
      note,
      refused: null,
      state: message.state === 'waiting' && this.view.data !== null ? 'stale' : message.state,
      error: message.state === 'live' ? null : error,
      freshAt: age !== null && this.view.data !== null ? now - age : this.view.freshAt,
    });
  }

  /** The resync was not answered: take the next message as it comes. */
  giveUpResync(): void {
    this.resyncing = false;
  }

  private acceptDelta(message: DataMessage, now: number): Accepted {
    if (this.view.data === null || message.base !== this.view.seq) {
      this.resyncing = true;
      return 'resync';
    }
    this.take(message, mergePatch(this.view.data, message.delta), now);
    return 'applied';
  }

  /** The same seq again: no new data, but a proof that it is still the newest. */
  private repeat(message: DataMessage, now: number): boolean {
    const timestamp = message.timestamp ?? this.view.timestamp;
    return this.settle(true, now, timestamp);
  }

  private take(message: DataMessage, data: unknown, now: number): void {
    this.disconnected = false;
    this.update({
      kind: this.view.kind ?? 'snapshot',
      data,
      seq: message.seq ?? null,
      timestamp: message.timestamp ?? now,
      freshAt: message.timestamp ?? now,
      ...this.wellAgain(now),
    });
    this.reported = null;
    this.fresh = {
      stream: this.name,
      kind: 'snapshot',
      data,
      seq: this.view.seq,
      timestamp: this.view.timestamp,
      gap: null,
      field: null,
    };
  }

  /** Data came, so that the node is there. */
  private wellAgain(now: number): Pick<StreamView, 'state' | 'error' | 'refused' | 'node' | 'retryIn' | 'nodeRetryAt' | 'note'> {
    return {
      state: 'live',
      error: null,
      refused: null,
      node: null,
      retryIn: null,
      nodeRetryAt: null,
      note: now - this.notedAt < NOTED ? this.view.note : null,
    };
  }

  private append(
    message: DataMessage,
    field: string,
    now: number,
    receivedAt: number,
    polled: boolean,
    next: boolean,
  ): void {
    const held = this.view.entries;
    let values = (message.data as Record<string, unknown>)[field] as Record<string, unknown>[];
    let gap = message.gap ?? null;

    // After anything but the direct successor the message may repeat what is held.
    if (!next && held.length > 0) {
      const known = new Set(held.slice(0, Math.max(values.length * 2, 256)).map((entry) => canonical(entry.value)));
      const unknown = values.filter((value) => !known.has(canonical(value)));
      if (polled && gap === null && values.length > 0 && unknown.length === values.length) {
        gap = { since: this.view.seq ?? 0, oldest: message.seq ?? 0 };
      }
      values = unknown;
    }

    this.limit = Math.max(this.limit, Math.min(values.length, this.maxEntries));

    const seq = message.seq ?? null;
    const added: LogEntry[] = values.map((value, index) => ({
      key: this.nextKey++,
      value,
      seq,
      receivedAt,
      gap: index === 0 && held.length > 0 ? gap : null,
    }));
    added.reverse();

    this.disconnected = false;
    this.reported = null;
    this.update({
      kind: 'log',
      data: message.data,
      entries: added.length > 0 ? [...added, ...held].slice(0, this.limit) : held,
      received: this.view.received + added.length,
      seq: seq ?? this.view.seq,
      timestamp: message.timestamp ?? now,
      freshAt: message.timestamp ?? now,
      ...this.wellAgain(now),
      gap: gap ?? this.view.gap,
    });
    this.field = field;
    this.fresh =
      values.length === 0 && gap === null
        ? null
        : {
            stream: this.name,
            kind: 'log',
            data: { ...(message.data as object), [field]: values, count: values.length },
            seq: this.view.seq,
            timestamp: this.view.timestamp,
            gap,
            field,
          };
  }

  /** Brings the state back after an interruption, when what is held turned out to be still true. */
  private settle(proven: boolean, now: number, timestamp: number | null): boolean {
    this.disconnected = false;
    if (this.view.data === null) {
      return this.update({ state: 'waiting', error: null, refused: null });
    }
    if (this.reported === 'stale') {
      return this.update({ timestamp: timestamp ?? this.view.timestamp });
    }
    // A log with nothing new gets no message after "subscribed": its answer is the proof.
    if (proven || this.view.kind === 'log') {
      return this.update({
        ...this.wellAgain(now),
        timestamp: timestamp ?? this.view.timestamp,
        freshAt: Math.max(timestamp ?? 0, this.view.freshAt ?? 0) || now,
      });
    }
    return false;
  }

  private update(change: Partial<StreamView>): boolean {
    let changed = false;
    for (const name of Object.keys(change) as (keyof StreamView)[]) {
      if (!Object.is(change[name], this.view[name])) {
        changed = true;
        break;
      }
    }
    if (changed) {
      this.view = { ...this.view, ...change };
    }
    return changed;
  }
}

/** A stream that nothing is known of. */
export function emptyView(stream: string): StreamView {
  return {
    stream,
    kind: null,
    data: null,
    entries: NO_ENTRIES,
    received: 0,
    seq: null,
    timestamp: null,
    state: 'waiting',
    freshAt: null,
    error: null,
    refused: null,
    node: null,
    retryIn: null,
    nodeRetryAt: null,
    statusAt: null,
    note: null,
    gap: null,
  };
}

/**
 * The name of the member that holds a log message's entries, or null when the data is no log message. A log stream's data is
 * `{FIELD: [objects], "count": n}` and nothing else.
 */
export function logField(data: unknown, kind: StreamKind | null = null): string | null {
  if (kind === 'snapshot' || !isObject(data)) {
    return null;
  }
  const names = Object.keys(data).filter((name) => name !== 'count');
  const field = names.length === 1 ? names[0] : names.find((name) => kind === 'log' && Array.isArray(data[name]));
  if (field === undefined || !Array.isArray(data[field]) || (kind !== 'log' && typeof data.count !== 'number')) {
    return null;
  }
  return field;
}

/** An error as one sentence, whatever shape the gateway gave it. */
export function errorText(error: unknown): string | null {
  if (error === undefined || error === null || error === '') {
    return null;
  }
  if (typeof error === 'string') {
    return error;
  }
  if (isObject(error)) {
    const message = typeof error.message === 'string' ? error.message : canonical(error);
    return error.code === undefined ? message : `${message} (${String(error.code)})`;
  }
  return String(error);
}
