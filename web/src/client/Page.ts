import type { Page, Settings } from './options';

/** The browser's document and window, or what is there of them: React Native has neither, a worker no document. */
export const browserPage: Page = {
  hidden: () => typeof document !== 'undefined' && document.visibilityState === 'hidden',
  online: () => typeof navigator === 'undefined' || navigator.onLine !== false,
  watch(changed) {
    const targets: [EventTarget, string][] = [];
    if (typeof document !== 'undefined' && typeof document.addEventListener === 'function') {
      targets.push([document, 'visibilitychange']);
    }
    if (typeof window !== 'undefined' && typeof window.addEventListener === 'function') {
      targets.push([window, 'online'], [window, 'offline']);
    }
    const listener = (event: Event): void => {
      // What the event says counts: some browsers fire it before navigator.onLine has changed.
      reported = event.type === 'online' ? true : event.type === 'offline' ? false : undefined;
      changed();
      reported = undefined;
    };
    targets.forEach(([target, type]) => target.addEventListener(type, listener));
    return () => targets.forEach(([target, type]) => target.removeEventListener(type, listener));
  },
};

let reported: boolean | undefined;

export interface PageHandlers {
  /** Nobody has looked for `hiddenTimeout`. */
  onPause(): void;
  /** Someone looks again, or the network is back. */
  onWake(): void;
  onOnline(online: boolean): void;
}

/** The page that a client lives in: when to let go, and when to be back at once. */
export class PageLifeCycle {
  private readonly settings: Settings;
  private readonly handlers: PageHandlers;
  private leave: (() => void) | null = null;
  private hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  private wasHidden = false;
  private wasOnline = true;

  constructor(settings: Settings, handlers: PageHandlers) {
    this.settings = settings;
    this.handlers = handlers;
  }

  private get page(): Page {
    return this.settings.page ?? browserPage;
  }

  get hidden(): boolean {
    return this.page.hidden();
  }

  get online(): boolean {
    return reported ?? this.page.online?.() ?? true;
  }

  start(): void {
    this.stop();
    this.wasHidden = this.hidden;
    this.wasOnline = this.online;
    this.leave = this.page.watch(() => this.changed());
    if (this.wasHidden) {
      this.wait();
    }
  }

  stop(): void {
    clearTimeout(this.hiddenTimer);
    this.leave?.();
    this.leave = null;
  }

  private changed(): void {
    const { hidden, online, handlers } = this;
    const back = online && !this.wasOnline;
    const shown = !hidden && this.wasHidden;
    if (hidden !== this.wasHidden) {
      this.wasHidden = hidden;
      clearTimeout(this.hiddenTimer);
      if (hidden) {
        this.wait();
      }
    }
    if (online !== this.wasOnline) {
      this.wasOnline = online;
      handlers.onOnline(online);
    }
    if (back || shown) {
      handlers.onWake();
    }
  }

  private wait(): void {
    if (this.settings.hiddenTimeout > 0) {
      this.hiddenTimer = setTimeout(() => this.handlers.onPause(), this.settings.hiddenTimeout);
    }
  }
}
