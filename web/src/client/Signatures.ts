import { unkeyed } from './keys';
import type { KeySignature, Settings } from './options';

/** A signature that ends sooner than this (seconds) is not worth sending. */
const SOON = 2;

/** The signatures of a client's keys: each is asked for when it is needed, and held until it ends. */
export class Signatures {
  private readonly settings: Settings;
  private readonly held = new Map<string, KeySignature>();

  constructor(settings: Settings) {
    this.settings = settings;
  }

  /** Whether there is someone to ask for one of the stream that is called `name` here. */
  wanted(name: string): boolean {
    return this.settings.signKey !== undefined && unkeyed(name).key !== undefined;
  }

  get(name: string): KeySignature | undefined {
    return this.held.get(name);
  }

  /** A signature that holds at `now` (the gateway's clock, Unix seconds); null when there is none. Rejects with what the function does. */
  async current(name: string, now: number): Promise<KeySignature | null> {
    const held = this.held.get(name);
    if (held !== undefined && held.expires > now + SOON) {
      return held;
    }
    const { stream, key } = unkeyed(name);
    const signature = (this.wanted(name) ? await this.settings.signKey?.(stream, key as string) : null) ?? null;
    if (signature === null) {
      this.held.delete(name);
    } else {
      this.held.set(name, signature);
    }
    return signature;
  }

  /** It was not taken, or is not any more, or nobody needs it. */
  forget(name: string): void {
    this.held.delete(name);
  }
}
