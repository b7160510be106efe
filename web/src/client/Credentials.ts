import { DEFAULTS, type Settings } from './options';

type Held = string | null;

/** The token of one client: asked for when it is needed, and again when it was not taken. */
export class Credentials {
  private readonly settings: Settings;
  private held: Held | undefined;
  private pending: Promise<Held> | null = null;

  constructor(settings: Settings = DEFAULTS) {
    this.settings = settings;
  }

  /** For a new connection: a function is asked anew. Throws or rejects what the function does. */
  fresh(): Held | Promise<Held> {
    const { token } = this.settings;
    if (typeof token !== 'function') {
      return (this.held = token || null);
    }
    if (this.pending !== null) {
      return this.pending;
    }
    const answer = token();
    if (typeof answer !== 'object' || answer === null) {
      return (this.held = answer || null);
    }
    const pending = Promise.resolve(answer).then(
      (value) => {
        this.pending = null;
        return (this.held = value || null);
      },
      (error: unknown) => {
        this.pending = null;
        throw error;
      },
    );
    this.pending = pending;
    return pending;
  }

  /** For one more request: the token of before, if there was one. */
  current(): Held | Promise<Held> {
    return this.held === undefined ? this.fresh() : this.held;
  }

  /** The token was not taken. Returns whether another one can be had. */
  expire(): boolean {
    this.held = undefined;
    return typeof this.settings.token === 'function';
  }
}

/** What a subprotocol may be made of (RFC 9110, section 5.6.2); no other token can be sent as one. */
export function fitsSubprotocol(token: string): boolean {
  return /^[\w!#$%&'*+\-.^`|~]+$/.test(token);
}
