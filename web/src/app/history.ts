import { isObject, type StreamClient, type StreamView } from '../client';

/** The numbers of one stream over time. A new object for every change; the arrays in it are not to be written to. */
export interface Series {
  /** Unix seconds, growing. */
  readonly times: readonly number[];
  /** For each number of the stream its values at `times`; null where there was none: the line breaks there. */
  readonly values: ReadonlyMap<string, readonly (number | null)[]>;
}

const KEY = 'blockcast.history';
const SAVE_EVERY = 30_000;
/** Points kept of each stream: an hour of a stream that comes every two seconds. */
const MOST = 1800;
const EMPTY: Series = { times: [], values: new Map() };

interface Track {
  times: number[];
  columns: Map<string, (number | null)[]>;
  view: Series;
  /** Data was missing since the last point, or may have been. */
  interrupted: boolean;
  /** Shortest time between two points so far, in seconds. */
  step: number;
}

/**
 * Remembers the numbers of the streams that someone shows, so that each figure has its recent course. It survives a reload of the
 * page in the session's storage. What was not seen is a gap: nothing is drawn across an interruption.
 */
export class History {
  private readonly client: StreamClient;
  private readonly tracks = new Map<string, Track>();
  private readonly listeners = new Map<string, Set<() => void>>();
  private readonly used = new Map<string, number>();
  private readonly leave = new Map<string, () => void>();
  private epoch: string | null = null;
  private dirty = false;

  constructor(client: StreamClient) {
    this.client = client;
    this.load();
    client.onStatus(() => this.onStatus());
    client.onEpoch(() => this.clear());
    if (typeof window !== 'undefined') {
      setInterval(() => this.save(), SAVE_EVERY);
      window.addEventListener('pagehide', () => this.save());
      document.addEventListener('visibilitychange', () => this.save());
    }
  }

  read(stream: string): Series {
    return this.tracks.get(stream)?.view ?? EMPTY;
  }

  /** Records `stream` until the returned function is called, and runs `listener` after each new point. */
  subscribe(stream: string, listener: () => void): () => void {
    const set = this.listeners.get(stream) ?? new Set();
    this.listeners.set(stream, set);
    const own = (): void => listener();
    set.add(own);

    const users = (this.used.get(stream) ?? 0) + 1;
    this.used.set(stream, users);
    if (users === 1) {
      this.leave.set(
        stream,
        this.client.subscribe(stream, () => this.record(this.client.view(stream))),
      );
    }
    return () => {
      set.delete(own);
      const left = (this.used.get(stream) ?? 1) - 1;
      this.used.set(stream, left);
      if (left === 0) {
        this.leave.get(stream)?.();
        this.leave.delete(stream);
        const track = this.tracks.get(stream);
        if (track !== undefined) {
          track.interrupted = true;
        }
      }
    };
  }

  record(view: StreamView): void {
    const track = this.track(view.stream);
    if (view.state !== 'live' || view.data === null || view.timestamp === null || view.kind === 'log') {
      track.interrupted = true;
      return;
    }

    const last = track.times.at(-1);
    if (last !== undefined && view.timestamp <= last) {
      return;
    }

    const numbers = flatten(view.data);
    if (last !== undefined) {
      const step = view.timestamp - last;
      if (!track.interrupted) {
        track.step = Math.min(track.step, Math.max(step, 0.5));
        if (step > 2 * track.step) {
          // The gateway sends nothing while nothing changes: until just now the value was the old one.
          this.push(track, view.timestamp - track.step, (column) => column.at(-1) ?? null);
        }
      } else if (step > longest(track.step)) {
        this.push(track, last + track.step / 2, () => null);
      }
    }
    track.interrupted = false;

    for (const name of numbers.keys()) {
      if (!track.columns.has(name)) {
        track.columns.set(name, new Array<null>(track.times.length).fill(null));
      }
    }
    this.push(track, view.timestamp, (_column, name) => numbers.get(name) ?? null);
    this.changed(view.stream, track);
  }

  clear(): void {
    for (const [stream, track] of this.tracks) {
      track.times = [];
      track.columns = new Map();
      this.changed(stream, track);
    }
  }

  save(): void {
    if (!this.dirty) {
      return;
    }
    this.dirty = false;
    const streams = Object.fromEntries(
      [...this.tracks].map(([stream, track]) => [
        stream,
        { step: track.step, times: track.times, columns: Object.fromEntries(track.columns) },
      ]),
    );
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ url: this.client.url, epoch: this.epoch, streams }));
    } catch {
      // Storage is full or off: the history then ends with the page.
    }
  }

  private onStatus(): void {
    const { connected, epoch } = this.client.status;
    if (epoch !== null && epoch !== this.epoch) {
      if (this.epoch !== null) {
        this.clear(); // of a gateway that lost its state, or of another one
      }
      this.epoch = epoch;
    }
    if (!connected) {
      for (const track of this.tracks.values()) {
        track.interrupted = true;
      }
    }
  }

  private load(): void {
    try {
      const saved: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
      if (!isObject(saved) || saved.url !== this.client.url || !isObject(saved.streams)) {
        return;
      }
      this.epoch = typeof saved.epoch === 'string' ? saved.epoch : null;
      for (const [stream, entry] of Object.entries(saved.streams)) {
        const track = readTrack(entry);
        if (track !== null) {
          this.tracks.set(stream, track);
        }
      }
    } catch {
      // Nothing of ours: start empty.
    }
  }

  private track(stream: string): Track {
    let track = this.tracks.get(stream);
    if (track === undefined) {
      track = { times: [], columns: new Map(), view: EMPTY, interrupted: false, step: 3 };
      this.tracks.set(stream, track);
    }
    return track;
  }

  private push(track: Track, time: number, value: (column: (number | null)[], name: string) => number | null): void {
    for (const [name, column] of track.columns) {
      column.push(value(column, name));
    }
    track.times.push(time);
    // In blocks, so that the copying is rare.
    if (track.times.length > MOST + 100) {
      track.times = track.times.slice(-MOST);
      for (const [name, column] of track.columns) {
        track.columns.set(name, column.slice(-MOST));
      }
    }
  }

  private changed(stream: string, track: Track): void {
    track.view = { times: track.times, values: track.columns };
    this.dirty = true;
    for (const listener of [...(this.listeners.get(stream) ?? [])]) {
      listener();
    }
  }
}

/** After an interruption longer than this (seconds) the line breaks; a shorter one is a reload that nobody should see. */
function longest(step: number): number {
  return Math.max(3 * step, 10);
}

function readTrack(entry: unknown): Track | null {
  if (!isObject(entry) || !isObject(entry.columns) || !isNumbers(entry.times)) {
    return null;
  }
  const { times } = entry;
  const columns = new Map<string, (number | null)[]>();
  for (const [name, column] of Object.entries(entry.columns)) {
    if (!Array.isArray(column) || column.length !== times.length) {
      return null;
    }
    columns.set(name, column.map((value: unknown) => (typeof value === 'number' ? value : null)));
  }
  return {
    times,
    columns,
    view: { times, values: columns },
    interrupted: true,
    step: typeof entry.step === 'number' ? entry.step : 3,
  };
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

/** The numbers in a stream's data by their path, lists left out: `markets.compute.active_jobs`. */
export function flatten(data: unknown, prefix = '', into = new Map<string, number | null>()): Map<string, number | null> {
  if (!isObject(data) || prefix.split('.').length > 4) {
    return into;
  }
  for (const [name, value] of Object.entries(data)) {
    const path = prefix + name;
    if (typeof value === 'number' || typeof value === 'bigint') {
      into.set(path, Number(value));
    } else if (value === null) {
      into.set(path, null);
    } else {
      flatten(value, `${path}.`, into);
    }
  }
  return into;
}
