import { isObject, type StreamClient, type StreamView } from '../client';
import { readHistory, type Course } from './historyDocument';

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

/** Between what the gateway told and what came first there may be this long (seconds): nobody listened, and it asked seldom. */
const JOINT = 75;
/** After being away for longer than this (ms) the gateway is asked again what was meanwhile. */
const AWAY = 10_000;

interface Track {
  times: number[];
  columns: Map<string, (number | null)[]>;
  view: Series;
  /** Data was missing since the last point, or may have been. */
  interrupted: boolean;
  /** The last point is one that the gateway told: it would have told of a hole, too. */
  joined: boolean;
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
  /** Streams whose history is asked for right now, and those of which the gateway keeps none. */
  private readonly asking = new Set<string>();
  private readonly none = new Set<string>();
  private lostAt: number | null = null;
  private epoch: string | null = null;
  private dirty = false;

  constructor(client: StreamClient) {
    this.client = client;
    this.load();
    client.onStatus(() => this.onStatus());
    client.onEpoch(() => {
      this.none.clear();
      this.clear();
    });
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
      void this.ask(stream);
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

  /** What the gateway knows of the time before this page. Where it keeps nothing, or cannot be asked, the page has what it saw itself. */
  private async ask(stream: string): Promise<void> {
    if (this.asking.has(stream) || this.none.has(stream) || this.client.view(stream).kind === 'log') {
      return;
    }
    this.asking.add(stream);
    try {
      const document = await this.client.history(stream, '1h');
      const course = readHistory(document);
      if (course === null) {
        this.none.add(stream);
      } else if (course.times.length > 0) {
        this.merge(stream, course);
      }
    } catch {
      // Asked again with the next connection.
    } finally {
      this.asking.delete(stream);
    }
  }

  /** Puts the gateway's course before what came since, instead of what the page has of that time itself. */
  merge(stream: string, course: Course): void {
    const track = this.track(stream);
    const [old, own] = [track.times, track.columns];
    const last = course.times.at(-1) as number;
    const after = old.findIndex((time) => time > last);
    const kept = after === -1 ? old.length : after;

    // A number that the gateway keeps no course of has what this page saw of it.
    const seen = course.times.map((time) => near(old, time, course.step));
    const columns = new Map<string, (number | null)[]>();
    const named = new Map([...course.mean.keys()].map((name) => [[...own.keys()].find((path) => isNamed(path, name)) ?? name, name]));
    for (const name of new Set([...named.keys(), ...own.keys()])) {
      const before = course.mean.get(named.get(name) ?? name);
      const column = own.get(name);
      columns.set(name, [
        ...(before ?? seen.map((index) => (index === -1 ? null : (column?.[index] ?? null)))),
        ...(column === undefined ? new Array<null>(old.length - kept).fill(null) : column.slice(kept)),
      ]);
    }
    track.times = [...course.times, ...old.slice(kept)];
    track.joined = kept === old.length;
    track.columns = columns;
    this.changed(stream, track);
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
      if (track.joined && step < JOINT) {
        // The line goes on from what the gateway told.
      } else if (!track.interrupted) {
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
    track.joined = false;

    for (const name of numbers.keys()) {
      if (!track.columns.has(name)) {
        // The gateway's own name for it, from before there was any data.
        const given = [...track.columns.keys()].find((other) => isNamed(name, other) && !numbers.has(other));
        track.columns.set(name, (given === undefined ? undefined : track.columns.get(given)) ?? new Array<null>(track.times.length).fill(null));
        if (given !== undefined) {
          track.columns.delete(given);
        }
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
      this.lostAt ??= Date.now();
      for (const track of this.tracks.values()) {
        track.interrupted = true;
      }
    } else if (this.lostAt !== null) {
      if (Date.now() - this.lostAt > AWAY) {
        for (const stream of this.leave.keys()) {
          void this.ask(stream);
        }
      }
      this.lostAt = null;
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
      track = { times: [], columns: new Map(), view: EMPTY, interrupted: false, joined: false, step: 3 };
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

/**
 * Whether a gateway calls the number at `path` so: it names a number as its configuration says, which in the presets is the path's end,
 * `compute_active_jobs` of `markets.compute.active_jobs`.
 */
function isNamed(path: string, name: string): boolean {
  const flat = path.replace(/\./g, '_');
  return flat === name || (path.includes('.') && flat.endsWith(`_${name}`));
}

/** Index of the newest of `times` that is not after `time`, and not long before it; -1 when there is none. */
function near(times: readonly number[], time: number, step: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= time + step / 2) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > 0 && time - (times[low - 1] as number) <= 2 * step ? low - 1 : -1;
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
    joined: false,
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
