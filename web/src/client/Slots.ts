import { canonical } from './json';
import { isObject } from './mergePatch';
import type { Settings } from './options';
import { StreamSlot, type StreamMessage, type StreamView } from './StreamSlot';

/** Log streams: members that must be equal to the value, or to one of the values. */
export type Filter = Readonly<Record<string, FilterValue | readonly FilterValue[]>>;
export type FilterValue = string | number | bigint | boolean | null;

/** Where to go on in a log: after this seq, of this epoch if that is known. */
export type Since = number | { readonly seq: number; readonly epoch?: string | null };

/** What one subscriber of a stream wants. */
export interface Subscriber {
  /** Runs after each change of the view. */
  changed?: (() => void) | undefined;
  /** Gets each message that brought something. */
  message?: ((message: StreamMessage) => void) | undefined;
  since?: Since | undefined;
  delta?: boolean | undefined;
  filter?: Filter | undefined;
  /** Entries that it had before the stream was asked for from the start again. */
  had?: ReadonlySet<string> | undefined;
}

/** What is asked of the gateway for all subscribers of a stream together. */
export interface Request {
  since: Since | null;
  delta: boolean;
  /** Only when all want the same. */
  filter: Filter | null;
}

/** The memory of all streams, and who listens to which of them. */
export class Slots {
  private readonly settings: Settings;
  private readonly slots = new Map<string, StreamSlot>();
  private readonly subscribers = new Map<string, Set<Subscriber>>();

  constructor(settings: Settings) {
    this.settings = settings;
  }

  get(stream: string): StreamSlot | undefined {
    return this.slots.get(stream);
  }

  slot(stream: string): StreamSlot {
    let slot = this.slots.get(stream);
    if (slot === undefined) {
      slot = new StreamSlot(stream, this.settings.maxEntries, this.settings.keepEntries);
      this.slots.set(stream, slot);
    }
    return slot;
  }

  view(stream: string): StreamView {
    return this.slot(stream).view;
  }

  add(stream: string, subscriber: Subscriber): void {
    this.slot(stream);
    const set = this.subscribers.get(stream) ?? new Set<Subscriber>();
    this.subscribers.set(stream, set);
    set.add(subscriber);
  }

  /** Returns whether it was the last one. */
  remove(stream: string, subscriber: Subscriber): boolean {
    const set = this.subscribers.get(stream);
    set?.delete(subscriber);
    return set === undefined || set.size === 0;
  }

  isWanted(stream: string): boolean {
    return (this.subscribers.get(stream)?.size ?? 0) > 0;
  }

  wanted(): string[] {
    return [...this.subscribers.keys()].filter((stream) => this.isWanted(stream));
  }

  forget(stream: string): void {
    this.subscribers.delete(stream);
  }

  request(stream: string): Request {
    const all = [...(this.subscribers.get(stream) ?? [])];
    const filter = all[0]?.filter ?? null;
    const since = all.map((one) => one.since).sort((a, b) => seqOf(a) - seqOf(b))[0];
    return {
      since: all.length > 0 && all.every((one) => one.since !== undefined) ? (since ?? null) : null,
      delta: this.settings.delta && all.every((one) => one.delta !== false),
      filter: filter !== null && all.every((one) => sameFilter(one.filter, filter)) ? filter : null,
    };
  }

  /** What a stream holds is forgotten, because it comes again; who had it does not get it twice. */
  forgetHeld(stream: string): void {
    const slot = this.slot(stream);
    const had = new Set(slot.view.entries.map(({ value }) => canonical(value)));
    for (const subscriber of this.subscribers.get(stream) ?? []) {
      subscriber.had = had;
    }
    slot.reset();
    this.notify(stream);
  }

  notify(stream: string): void {
    for (const { changed } of [...(this.subscribers.get(stream) ?? [])]) {
      changed?.();
    }
  }

  deliver(stream: string, message: StreamMessage): void {
    for (const subscriber of [...(this.subscribers.get(stream) ?? [])]) {
      deliverTo(subscriber, message);
    }
  }

  /** Runs `change` on every slot, and tells the subscribers of those where it returns true. */
  each(change: (slot: StreamSlot) => boolean): void {
    for (const slot of this.slots.values()) {
      if (change(slot)) {
        this.notify(slot.name);
      }
    }
  }
}

/** Hands a message over as this subscriber wants it. What a callback throws is the callback's, and stops nobody else. */
export function deliverTo(subscriber: Subscriber, message: StreamMessage): void {
  const { filter, had } = subscriber;
  if (subscriber.message === undefined) {
    return;
  }
  subscriber.had = undefined;
  const wanted =
    filter === undefined && had === undefined
      ? message
      : keepEntries(message, (value) => (filter === undefined || matches(value, filter)) && !had?.has(canonical(value)));
  if (wanted !== null) {
    safely(() => subscriber.message?.(wanted));
  }
}

export function safely(run: () => void): void {
  try {
    run();
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}

export function matches(value: unknown, filter: Filter): boolean {
  return (
    isObject(value) &&
    Object.keys(filter).every((name) => {
      const wanted = filter[name];
      return (Array.isArray(wanted) ? (wanted as readonly FilterValue[]) : [wanted]).some((one) => same(value[name], one));
    })
  );
}

/** A number and the bigint of the same value are equal; a text is only equal to itself. */
function same(value: unknown, wanted: unknown): boolean {
  const numeric = (item: unknown): boolean => typeof item === 'number' || typeof item === 'bigint';
  return value === wanted || (numeric(value) && numeric(wanted) && String(value) === String(wanted));
}

function keepEntries(message: StreamMessage, keep: (value: unknown) => boolean): StreamMessage | null {
  if (message.kind !== 'log' || message.field === null) {
    return message;
  }
  const data = withEntries(message.data, message.field, keep);
  return (data as { count: number }).count > 0 || message.gap !== null ? { ...message, data } : null;
}

/** A log message's data with the entries that match. */
export function filterData(data: unknown, field: string, filter: Filter): unknown {
  return withEntries(data, field, (value) => matches(value, filter));
}

function withEntries(data: unknown, field: string, keep: (value: unknown) => boolean): unknown {
  const values = ((data as Record<string, unknown>)[field] as unknown[]).filter(keep);
  return { ...(data as object), [field]: values, count: values.length };
}

export function sameFilter(one: Filter | null | undefined, other: Filter | null | undefined): boolean {
  return canonical(one ?? null) === canonical(other ?? null);
}

export function seqOf(since: Since | undefined): number {
  return typeof since === 'object' ? since.seq : (since ?? 0);
}
