import type { Connection } from './Connection';
import type { Failure } from './failures';
import type { Http } from './Http';
import type { StreamInfo, StreamState } from './messages';
import type { Settings } from './options';
import { RestPoller } from './RestPoller';
import { isStreamState, type Session } from './Session';
import type { Signatures } from './Signatures';
import type { Slots } from './Slots';
import { BlockcastError, type ErrorReason, type StatusStore } from './status';
import { resolveHttp, restUrls } from './urls';

export interface FallbackParts {
  url: string;
  settings: Settings;
  http: Http;
  slots: Slots;
  session: Session;
  signatures: Signatures;
  connection: Connection;
  status: StatusStore;
}

export interface FallbackHandlers {
  onUp(): void;
  onDown(): void;
}

/** REST, beside a WebSocket that does not get through: delivers, and tells why that one does not. */
export class Fallback {
  private readonly parts: FallbackParts;
  private readonly handlers: FallbackHandlers;
  private poller: RestPoller | null = null;
  private infos: Promise<StreamInfo[]> | null = null;

  constructor(parts: FallbackParts, handlers: FallbackHandlers) {
    this.parts = parts;
    this.handlers = handlers;
  }

  start(): void {
    this.rest()?.start();
  }

  stop(): void {
    this.poller?.stop();
  }

  /** What is known of the streams may have changed. */
  forget(): void {
    this.infos = null;
  }

  /** What `/api/streams` says, asked once until `forget`. */
  describe(): Promise<StreamInfo[]> {
    const poller = this.rest();
    if (poller === null) {
      return Promise.reject(new BlockcastError('no REST address', 'unsupported'));
    }
    if (this.infos === null) {
      const infos = poller.list().then(({ streams }) => streams);
      infos.catch(() => {
        if (this.infos === infos) {
          this.infos = null;
        }
      });
      this.infos = infos;
    }
    return this.infos;
  }

  /** A browser does not tell why a WebSocket was refused; the same gateway's REST does. */
  async diagnose(failure: Failure): Promise<void> {
    const { connection } = this.parts;
    const poller = this.rest();
    if (failure.reason !== 'unreachable' || poller === null || poller.active) {
      return;
    }
    const attempt = connection.attemptNumber;
    try {
      await poller.list();
      connection.explain(attempt, { reason: 'blocked', text: 'the gateway answers, but lets no WebSocket through, or something between does not' });
    } catch (error) {
      if (error instanceof BlockcastError && (error.reason === 'unauthorized' || error.reason === 'forbidden')) {
        connection.explain(attempt, { reason: error.reason, text: error.message });
      }
    }
  }

  private rest(): RestPoller | null {
    const { url, settings, http, slots, session, signatures, connection, status } = this.parts;
    const { rest } = settings;
    if (rest === false || !/^wss?:/.test(url)) {
      return null;
    }
    this.poller ??= new RestPoller({
      urls: rest === undefined ? restUrls(url) : [resolveHttp(rest, url)],
      http,
      interval: () => settings.restInterval,
      backoff: () => connection.backoff,
      random: settings.random,
      wanted: () => slots.wanted().map((name) => ({ name, seq: slots.view(name).seq })),
      signature: (name) => signatures.current(name, session.now()),
      onUnsigned: (name) => signatures.forget(name),
      onEpoch: (epoch) => void session.readEpoch(epoch),
      onList: (list) => {
        connection.lastMessage = Date.now();
        this.infos = Promise.resolve(list);
        for (const info of list) {
          const slot = slots.get(info.name);
          if (slot?.status({ state: restState(info.state), age: info.age, error: info.error }, session.now())) {
            slots.notify(info.name);
          }
        }
        const names = list.filter((info) => !info.keyed).map((info) => info.name);
        if (names.join('\n') !== status.current.streams?.join('\n')) {
          status.change({ streams: names });
        }
      },
      onMessage: (name, message) => session.data(name, message, true),
      onRefused: (name, error, code) => {
        if (slots.get(name)?.refused(error, code)) {
          slots.notify(name);
        }
      },
      onUp: () => {
        this.handlers.onUp();
        status.change({ state: 'polling', connected: true, lostAt: null });
      },
      onDown: (error, reason) => this.down(error, reason),
    });
    return this.poller;
  }

  private down(error: string, reason: ErrorReason): void {
    const { status } = this.parts;
    if (status.current.state === 'polling') {
      this.handlers.onDown();
      status.change({ state: 'reconnecting', connected: false, lostAt: Date.now(), error, reason });
    } else if (reason === 'unauthorized' || reason === 'forbidden') {
      status.change({ error, reason });
    }
  }
}

/** REST knows more states than a listener meets: a stream that nobody listens to is `idle`, and not live. */
function restState(state: string | null): StreamState {
  return isStreamState(state) ? state : 'stale';
}
