import type { Connection } from './Connection';
import { incompatibility, messageOf } from './failures';
import { parseExact } from './json';
import { keyed, unkeyed } from './keys';
import { isObject } from './mergePatch';
import type { DataMessage, ErrorMessage, StatusMessage, StreamState, SubscribedMessage, SubscribeMessage, WelcomeMessage } from './messages';
import { sameFilter, seqOf, type Filter, type Slots } from './Slots';
import type { KeySignature } from './options';
import type { Signatures } from './Signatures';
import type { ConnectionStatus, StatusStore } from './status';
import { errorText, type StreamSlot } from './StreamSlot';

/** A resync that is not answered in this time (ms) is given up. */
const RESYNC_WAIT = 10_000;

/** What is said over a connection: asks for the streams that are wanted, and puts what comes into their slots. */
export class Session {
  private readonly slots: Slots;
  private readonly status: StatusStore;
  private readonly connection: Connection;
  private readonly signatures: Signatures;
  private readonly onEpoch: () => void;
  /** Streams that the gateway was asked for on this connection, with the filter it was told. */
  private readonly subscribed = new Map<string, Filter | null>();
  /** Those of them that it does not send: a signature is waited for, or has ended (null). */
  private readonly withheld = new Map<string, object | null>();
  /** Names that the gateway has for keys, as `0xab` for `0xAB`, and what they are called here. */
  private readonly aliases = new Map<string, Set<string>>();
  private readonly resyncTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private clockOffset: number | null = null;
  private nextId = 1;

  /** `onEpoch` runs when the gateway started over and everything held was dropped. */
  constructor(slots: Slots, status: StatusStore, connection: Connection, signatures: Signatures, onEpoch: () => void) {
    this.slots = slots;
    this.status = status;
    this.connection = connection;
    this.signatures = signatures;
    this.onEpoch = onEpoch;
  }

  /** The gateway's clock, Unix seconds: the local one, corrected by what its messages said. */
  now(): number {
    return Date.now() / 1000 + (this.clockOffset ?? 0);
  }

  /** A new connection: asks for everything that is wanted. */
  start(): void {
    this.slots.wanted().forEach((stream) => this.sendSubscribe(stream));
  }

  /** The connection is gone, and with it what was asked for. */
  end(): void {
    this.subscribed.clear();
    this.withheld.clear();
    this.aliases.clear();
    this.resyncTimers.forEach((timer) => clearTimeout(timer));
    this.resyncTimers.clear();
  }

  /** Asks the gateway for `stream`, if it has not been, or for more of it than before. */
  ask(stream: string): void {
    if (!this.connection.ready) {
      return;
    }
    const told = this.subscribed.get(stream);
    if (told === undefined) {
      this.sendSubscribe(stream);
    } else if (told !== null && !sameFilter(told, this.slots.request(stream).filter)) {
      // What was filtered out is needed now, from the start.
      this.slots.forgetHeld(stream);
      this.resubscribe(stream);
    }
  }

  private sendSubscribe(stream: string): void {
    if (this.signatures.wanted(stream)) {
      this.subscribed.set(stream, this.slots.request(stream).filter);
      this.sign(stream, null);
    } else {
      this.saySubscribe(stream, null);
    }
  }

  /** Subscribes with a signature; with a newer one than `before`, which has ended. */
  private sign(stream: string, before: KeySignature | null): void {
    const turn = {};
    this.withheld.set(stream, turn);
    const over = (error: string, code: string): void => {
      this.withheld.set(stream, null);
      if (this.slots.get(stream)?.ended(error, code) === true) {
        this.slots.notify(stream);
      }
    };
    this.signatures.current(stream, this.now()).then(
      (signature) => {
        if (this.withheld.get(stream) !== turn) {
          return; // another connection, or nobody wants it any more
        }
        if (before !== null && (signature === null || signature.expires <= before.expires)) {
          over(endOf(stream, null), 'expired');
          return;
        }
        this.withheld.delete(stream);
        this.saySubscribe(stream, signature);
      },
      (error: unknown) => {
        if (this.withheld.get(stream) === turn) {
          over(`no signature for ${unkeyed(stream).key}: ${messageOf(error)}`, 'unsigned');
        }
      },
    );
  }

  private saySubscribe(stream: string, signature: KeySignature | null): void {
    const { view } = this.slots.slot(stream);
    const { since, delta, filter } = this.slots.request(stream);
    const message: SubscribeMessage = { type: 'subscribe', ...unkeyed(stream), ...(signature && { expires: signature.expires, signature: signature.signature }), id: `sub:${this.nextId++}:${stream}` };
    let { epoch } = this.status.current;
    if (view.kind === 'log' && view.seq !== null) {
      message.since = view.seq;
    } else if (since !== null) {
      message.since = seqOf(since);
      epoch = typeof since === 'object' && since.epoch ? since.epoch : null;
    }
    if (message.since !== undefined && epoch !== null) {
      message.epoch = /^\d+$/.test(epoch) ? BigInt(epoch) : epoch;
    }
    if (delta) {
      message.delta = true;
    }
    if (filter !== null) {
      message.filter = filter;
    }
    if (this.connection.send(message)) {
      this.subscribed.set(stream, filter);
    }
  }

  /** A repeated subscribe delivers nothing anew, so leave first. */
  private resubscribe(stream: string): void {
    this.connection.send({ type: 'unsubscribe', ...unkeyed(stream) });
    this.sendSubscribe(stream);
  }

  /** Leaves `stream`, when nobody wants it. */
  leave(stream: string): void {
    if (this.slots.isWanted(stream)) {
      return;
    }
    this.slots.forget(stream);
    this.signatures.forget(stream);
    const sent = this.subscribed.delete(stream) && !this.withheld.has(stream);
    this.withheld.delete(stream);
    if (this.alone(stream) && sent) {
      this.connection.send({ type: 'unsubscribe', ...unkeyed(stream) });
    }
    // What is held stays, for whoever comes back; but nobody vouches for it now.
    this.slots.get(stream)?.stale();
  }

  /** Forgets what a key is called here; false when the gateway has another one of these for the same. */
  private alone(name: string): boolean {
    for (const [canonical, names] of this.aliases) {
      if (names.delete(name)) {
        if (names.size > 0) {
          return false;
        }
        this.aliases.delete(canonical);
      }
    }
    return true;
  }

  /** What a message about a stream, or a key of it, is called here. */
  private names(stream: string, key: unknown): string[] {
    if (typeof key !== 'string') {
      return [stream];
    }
    const name = keyed(stream, key);
    return [...(this.aliases.get(name) ?? [name])];
  }

  /** A message as it came. */
  receive(text: string): void {
    this.connection.heard();

    let message: unknown;
    try {
      message = parseExact(text);
    } catch {
      this.status.change({ error: 'the gateway sent something that is not JSON', reason: 'protocol' });
      return;
    }
    if (!isObject(message) || typeof message.type !== 'string') {
      return;
    }

    switch (message.type) {
      case 'welcome':
        this.welcome(message as unknown as WelcomeMessage);
        return;
      case 'subscribed':
        this.acknowledged(String(message.stream), message.key, message.id);
        return;
      case 'unsubscribed':
        this.ended(message as unknown as SubscribedMessage);
        return;
      case 'pong':
        this.readClock(message.timestamp);
        return;
      case 'status':
        this.streamStatus(message as unknown as StatusMessage);
        return;
      case 'error':
        this.refused(message as unknown as ErrorMessage);
        return;
      default:
        this.names(message.type, message.key).forEach((name) => this.data(name, message as unknown as DataMessage, false));
    }
  }

  private welcome(message: WelcomeMessage): void {
    this.readClock(message.timestamp);

    const late = this.connection.ready;
    const startedOver = this.readEpoch(message.epoch === undefined ? null : String(message.epoch), {
      streams: Array.isArray(message.available_streams)
        ? message.available_streams.map(String).filter((name) => !(isObject(message.keyed) && name in message.keyed))
        : this.status.current.streams,
      keyed: isObject(message.keyed) ? (message.keyed as Record<string, string>) : {},
      incompatible: incompatibility(message.protocol),
    });
    if (late && startedOver) {
      // What was asked for meanwhile counted on the old state.
      [...this.subscribed.keys()].forEach((stream) => this.resubscribe(stream));
    }
    this.connection.becomeReady();
  }

  /** Another epoch than before means that the gateway lost its state. */
  readEpoch(epoch: string | null, more: Partial<ConnectionStatus> = {}): boolean {
    const previous = this.status.current.epoch;
    this.status.change({ ...more, epoch: epoch ?? previous });
    const startedOver = epoch !== null && previous !== null && epoch !== previous;
    if (startedOver) {
      this.startOver();
    }
    return startedOver;
  }

  private startOver(): void {
    this.slots.each((slot) => {
      slot.reset();
      return true;
    });
    this.onEpoch();
  }

  private acknowledged(said: string, key: unknown, id: unknown): void {
    const stream = (typeof key === 'string' && typeof id === 'string' ? /^sub:\d+:(.*)$/s.exec(id)?.[1] : undefined) ?? said;
    const slot = this.slots.get(stream);
    if (slot === undefined) {
      return;
    }
    if (typeof key === 'string') {
      const name = keyed(said, key);
      this.aliases.set(name, (this.aliases.get(name) ?? new Set()).add(stream));
    }
    clearTimeout(this.resyncTimers.get(stream));
    this.resyncTimers.delete(stream);
    if (slot.subscribed(this.now())) {
      this.slots.notify(stream);
    }
  }

  /** The gateway sends a key no longer, by itself: its signature has expired. That one is not sent again. */
  private ended(message: SubscribedMessage): void {
    const { code } = message;
    if (typeof code !== 'string') {
      return; // the answer to a message of ours
    }
    for (const name of this.names(String(message.stream), message.key)) {
      const slot = this.slots.get(name);
      if (slot === undefined || !this.subscribed.has(name) || this.withheld.has(name)) {
        continue;
      }
      const before = this.signatures.get(name) ?? null;
      this.signatures.forget(name);
      const again = this.signatures.wanted(name) && before !== null;
      if (slot.ended(again ? null : endOf(name, message.message), code)) {
        this.slots.notify(name);
      }
      if (again) {
        this.sign(name, before);
      } else {
        this.withheld.set(name, null);
      }
    }
  }

  private streamStatus(message: StatusMessage): void {
    for (const name of this.names(message.stream, message.key)) {
      const slot = this.slots.get(name);
      if (slot !== undefined && isStreamState(message.state) && slot.status(message, this.now())) {
        this.slots.notify(slot.name);
      }
    }
  }

  private refused(message: ErrorMessage): void {
    const asked = typeof message.id === 'string' ? /^sub:\d+:(.*)$/s.exec(message.id)?.[1] : undefined;
    const stream = message.key === undefined ? (asked?.includes('/') ? asked : (message.stream ?? asked)) : asked;
    const slot = stream === undefined ? undefined : this.slots.get(stream);
    const text = errorText(message.message) ?? 'the gateway reported an error';
    if (stream !== undefined) {
      this.signatures.forget(stream);
    }
    if (slot === undefined) {
      this.status.change({ error: text, reason: 'refused' });
    } else if (asked === undefined ? slot.failed(text) : slot.refused(text, String(message.code ?? 'refused'))) {
      this.slots.notify(slot.name);
    }
  }

  /** A stream's data; `polled` tells that it came by REST. */
  data(stream: string, message: DataMessage, polled: boolean): void {
    const slot = this.slots.get(stream);
    if (slot === undefined) {
      return;
    }
    if (polled && startedOver(slot, message)) {
      this.startOver();
    }
    this.readClock(message.timestamp, false);
    const before = slot.view;
    const accepted = slot.accept(message, this.now(), Date.now(), polled);
    if (accepted === 'resync' && !polled) {
      this.resync(slot);
      return;
    }
    if (slot.view !== before) {
      this.slots.notify(stream);
    }
    if (slot.fresh !== null) {
      this.slots.deliver(stream, slot.fresh);
    }
  }

  /** A patch for data that is not held: the full value comes with a new subscription. */
  private resync(slot: StreamSlot): void {
    this.resubscribe(slot.name);
    clearTimeout(this.resyncTimers.get(slot.name));
    this.resyncTimers.set(
      slot.name,
      setTimeout(() => slot.giveUpResync(), RESYNC_WAIT),
    );
  }

  /** `exact`: the message was made now, and not some time ago. */
  private readClock(timestamp: unknown, exact = true): void {
    if (typeof timestamp !== 'number') {
      return;
    }
    const offset = timestamp - Date.now() / 1000;
    // Delays only ever make the gateway's clock look late, and a whole second hides a fraction: keep the greatest.
    // A clock that was set back meanwhile is believed at once.
    if (this.clockOffset === null || offset > this.clockOffset || (exact && this.clockOffset - offset > 5)) {
      this.clockOffset = offset;
    }
  }
}

/** For people: that they may see a key no longer, and why. */
function endOf(name: string, why: unknown): string {
  const { stream, key } = unkeyed(name);
  return `the permission for ${key ?? stream} has ended: ${errorText(why) ?? 'the signature has expired, and there is no newer one'}`;
}

export function isStreamState(state: unknown): state is StreamState {
  return state === 'waiting' || state === 'live' || state === 'stale';
}

/** By REST there may be no epoch: a seq that went back while the time went on tells that the gateway started over. */
function startedOver(slot: StreamSlot, message: DataMessage): boolean {
  const { seq, timestamp } = slot.view;
  return (
    seq !== null &&
    timestamp !== null &&
    typeof message.seq === 'number' &&
    typeof message.timestamp === 'number' &&
    message.seq < seq &&
    message.timestamp > timestamp
  );
}
