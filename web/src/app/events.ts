import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { isObject, type StreamClient, type StreamView } from '../client';
import { useStreamClient } from '../hooks';
import { label } from './format';

export type EventKind = 'reorg' | 'note' | 'gap' | 'node' | 'lost' | 'restart' | 'stall';

/** Something that happened to the chain, its node or the gateway while this page looked. */
export interface Event {
  readonly kind: EventKind;
  /** Unix seconds; `end` is null for what takes no time, and for what has not ended. */
  readonly time: number;
  readonly end: number | null;
  readonly open: boolean;
  readonly stream: string | null;
  readonly text: string;
}

const KEY = 'blockcast.events';
const MOST = 100;

/** A note that tells of a reorganisation, as the presets word it. */
const REORG = /reorgani[sz]|shorter than before|does not stand on|replace|another (chain|one)/i;

export class Events {
  private readonly client: StreamClient;
  private readonly listeners = new Set<() => void>();
  private readonly watched = new Map<string, () => void>();
  private readonly notes = new Map<string, string>();
  private readonly gaps = new Map<string, unknown>();
  private list: readonly Event[] = [];

  constructor(client: StreamClient) {
    this.client = client;
    this.list = recall();
    client.onEpoch(() => this.add({ kind: 'restart', stream: null, text: 'The gateway started over: what it had kept is gone' }));
    client.onStatus(() => this.onStatus());
  }

  read = (): readonly Event[] => this.list;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Watches these streams, beside those that are watched already. */
  watch(streams: readonly string[]): () => void {
    for (const stream of streams) {
      if (!this.watched.has(stream)) {
        this.watched.set(stream, this.client.subscribe(stream, () => this.onView(this.client.view(stream))));
      }
    }
    return () => {
      this.watched.forEach((leave) => leave());
      this.watched.clear();
    };
  }

  private onStatus(): void {
    const { connected, state, streams } = this.client.status;
    const lost = !connected && streams !== null && (state === 'reconnecting' || state === 'disconnected');
    this.during('lost', null, lost, 'No connection to the gateway');
  }

  private onView(view: StreamView): void {
    if (view.note !== null && view.note !== this.notes.get(view.stream)) {
      // The same happening is told by several streams, each in its own words.
      const kind = REORG.test(view.note) ? 'reorg' : 'note';
      const recent = this.list.some((event) => event.kind === kind && event.text === sentence(view.note as string) && this.client.now() - event.time < 90);
      if (!recent) {
        this.add({ kind, stream: view.stream, text: sentence(view.note) });
      }
    }
    if (view.note === null) {
      this.notes.delete(view.stream);
    } else {
      this.notes.set(view.stream, view.note);
    }
    if (view.gap !== null && view.gap !== this.gaps.get(view.stream)) {
      this.add({ kind: 'gap', stream: view.stream, text: `Some ${label(view.stream).toLowerCase()} are missing: they came while this page was away` });
    }
    this.gaps.set(view.stream, view.gap);
    const down = [...this.watched.keys()].map((stream) => this.client.view(stream)).find(({ node }) => node === 'down');
    this.during('node', null, down !== undefined && this.client.status.connected, `The node did not answer${down?.error ? `: ${down.error}` : ''}`);
  }

  /** Something that begins and ends. */
  private during(kind: EventKind, stream: string | null, on: boolean, text: string): void {
    const index = this.list.findIndex((event) => event.kind === kind && event.open);
    if (on && index === -1) {
      this.add({ kind, stream, text, open: true });
    } else if (!on && index !== -1) {
      const event = this.list[index] as Event;
      const ended = { ...event, open: false, end: this.client.now() };
      this.set(this.list.map((one, place) => (place === index ? ended : one)));
    }
  }

  private add({ kind, stream, text, open = false }: Pick<Event, 'kind' | 'stream' | 'text'> & { open?: boolean }): void {
    this.set([{ kind, stream, text, open, time: this.client.now(), end: null }, ...this.list].slice(0, MOST));
  }

  private set(list: readonly Event[]): void {
    this.list = list;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(list));
    } catch {
      // Remembered until the page is left.
    }
    this.listeners.forEach((listener) => listener());
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function recall(): readonly Event[] {
  try {
    const saved: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return Array.isArray(saved)
      ? saved.filter((one): one is Event => isObject(one) && typeof one.time === 'number' && typeof one.text === 'string').map((one) => ({ ...one, open: false }))
      : [];
  } catch {
    return [];
  }
}

const all = new WeakMap<StreamClient, Events>();

function eventsOf(client: StreamClient): Events {
  let events = all.get(client);
  if (events === undefined) {
    events = new Events(client);
    all.set(client, events);
  }
  return events;
}

/** What happened, newest first. */
export function useEvents(): readonly Event[] {
  const events = eventsOf(useStreamClient());
  return useSyncExternalStore(events.subscribe, events.read, events.read);
}

/** Keeps an eye on these streams for as long as the component is there. */
export function useWatch(streams: readonly string[]): void {
  const events = eventsOf(useStreamClient());
  const names = streams.join('\n');
  const watch = useCallback(() => events.watch(names === '' ? [] : names.split('\n')), [events, names]);
  useEffect(() => watch(), [watch]);
}
