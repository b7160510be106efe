import { sharedClient, type StreamClient, type StreamClientOptions, type StreamView } from '../client';

/**
 * Custom elements for pages without a framework:
 *
 *     <blockcast-value stream="network_metrics" member="network_strength">…</blockcast-value>
 *     <blockcast-log stream="receipts" limit="20"><template><p><b data-member="id"></b></p></template></blockcast-log>
 *     <blockcast-status></blockcast-status>
 *
 * Each may have `url` and `token`; without a `url` it takes that of the nearest element around it that has one. What an element shows
 * is plain text in the page's own styles, and its attribute `status` tells how it is.
 */

// A server has no HTMLElement, and may import this all the same.
const Base = (typeof HTMLElement === 'undefined' ? class {} : HTMLElement) as typeof HTMLElement;

abstract class BlockcastElement extends Base {
  static get observedAttributes(): string[] {
    return ['url', 'token', 'stream', 'member', 'limit', 'digits'];
  }

  protected client: StreamClient | null = null;
  private leave: (() => void) | null = null;

  connectedCallback(): void {
    this.start();
  }

  disconnectedCallback(): void {
    this.stop();
  }

  attributeChangedCallback(): void {
    if (this.isConnected && this.leave !== null) {
      this.stop();
      this.start();
    }
  }

  private start(): void {
    const url = this.closest('[url]')?.getAttribute('url') ?? undefined;
    const token = this.closest('[token]')?.getAttribute('token') ?? undefined;
    const options: StreamClientOptions = token === undefined ? {} : { token };
    this.client = sharedClient(url, options);
    this.leave = this.listen(this.client);
  }

  private stop(): void {
    this.leave?.();
    this.leave = null;
  }

  protected abstract listen(client: StreamClient): () => void;

  protected note(status: string): void {
    if (this.getAttribute('status') !== status) {
      this.setAttribute('status', status);
    }
  }
}

/** One stream: tells its status as an attribute, its data as an event `data`. */
abstract class StreamElement extends BlockcastElement {
  protected listen(client: StreamClient): () => void {
    const stream = this.getAttribute('stream') ?? '';
    const show = (): void => {
      this.note(client.condition(stream).status);
      this.render(client.view(stream));
    };
    return client.subscribe<unknown>(stream, {
      onChange: show,
      onStatus: show,
      onData: (data) => this.dispatchEvent(new CustomEvent('data', { detail: data })),
    });
  }

  protected abstract render(view: StreamView): void;
}

/** A member of a snapshot stream, by its path: `markets.compute.active_jobs`. */
export class BlockcastValue extends StreamElement {
  protected render(view: StreamView): void {
    if (view.data !== null) {
      const value = at(view.data, this.getAttribute('member'));
      const digits = this.getAttribute('digits');
      this.textContent =
        typeof value === 'number' && digits !== null
          ? value.toLocaleString(undefined, { minimumFractionDigits: Number(digits), maximumFractionDigits: Number(digits) })
          : text(value);
    }
  }
}

/** The newest entries of a log, each a copy of the `template` inside with its `data-member` elements filled in. */
export class BlockcastLog extends StreamElement {
  private readonly rows = new Map<number, Element[]>();

  protected render(view: StreamView): void {
    const limit = Number(this.getAttribute('limit') ?? 20);
    const entries = view.entries.slice(0, Number.isFinite(limit) ? limit : 20);
    const keys = new Set(entries.map(({ key }) => key));
    for (const [key, elements] of this.rows) {
      if (!keys.has(key)) {
        elements.forEach((element) => element.remove());
        this.rows.delete(key);
      }
    }
    for (const entry of entries.slice().reverse()) {
      if (!this.rows.has(entry.key)) {
        const row = this.row(entry.value);
        this.rows.set(entry.key, row);
        this.prepend(...row);
      }
    }
  }

  private row(value: unknown): Element[] {
    const template = this.querySelector('template');
    if (template === null) {
      const row = document.createElement('div');
      row.textContent = text(value);
      return [row];
    }
    const copy = template.content.cloneNode(true) as DocumentFragment;
    for (const part of copy.querySelectorAll('[data-member]')) {
      part.textContent = text(at(value, part.getAttribute('data-member')));
    }
    return [...copy.children];
  }
}

/** The connection in one word. */
export class BlockcastStatus extends BlockcastElement {
  protected listen(client: StreamClient): () => void {
    const show = (): void => {
      const { state, error } = client.status;
      this.note(state);
      this.textContent = state;
      this.title = error ?? '';
    };
    show();
    const leave = [client.hold(), client.onStatus(show)];
    return () => leave.forEach((one) => one());
  }
}

/** Makes the elements known to the page. Safe to call twice, and on a server. */
export function defineElements(): void {
  if (typeof customElements === 'undefined') {
    return;
  }
  const elements = { 'blockcast-value': BlockcastValue, 'blockcast-log': BlockcastLog, 'blockcast-status': BlockcastStatus };
  for (const [name, element] of Object.entries(elements)) {
    if (customElements.get(name) === undefined) {
      customElements.define(name, element);
    }
  }
}

function at(value: unknown, path: string | null): unknown {
  let found = value;
  for (const name of path === null || path === '' ? [] : path.split('.')) {
    found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[name] : undefined;
  }
  return found;
}

function text(value: unknown): string {
  if (value === null || value === undefined) {
    return '–';
  }
  if (typeof value === 'number' || typeof value === 'bigint') {
    return value.toLocaleString();
  }
  return typeof value === 'object' ? JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? String(item) : item)) : String(value);
}
