import { useEffect } from 'react';
import type { Board } from '../board/types';
import { at, say } from '../board/values';
import { useStreamClient } from '../hooks';
import type { Health } from './health';
import { SHORT } from './words';

/** The page's title changes no more often than this, in ms: some screen readers read it, and each change costs. */
const EVERY = 2000;

/** The tab tells the newest figures, or what is wrong; its icon tells the state. */
export function useHeadline(health: Health, board: Board | null): void {
  const client = useStreamClient();
  const name = board?.title ?? 'blockcast';

  useEffect(() => {
    const well = health.level === 'ok' || health.level === 'info';
    icon(health.kind === 'node-down' || health.level === 'bad' ? 'down' : health.level === 'warn' ? 'warn' : 'ok');
    if (!well) {
      document.title = `⚠ ${SHORT[health.kind]} · ${name}`;
      return;
    }
    const parts = board?.headline ?? [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let written = 0;
    const write = (): void => {
      timer = undefined;
      written = Date.now();
      const words = parts.flatMap(({ stream, field, title, ...format }) => {
        const value = at(client.view(stream).data, field);
        return value === null || value === undefined ? [] : [`${title === undefined ? '' : `${title} `}${say(value, format, field)}`];
      });
      const next = [...words, name].join(' · ');
      if (document.title !== next) {
        document.title = next;
      }
    };
    const soon = (): void => {
      timer ??= setTimeout(write, Math.max(0, written + EVERY - Date.now()));
    };
    write();
    const leave = [...new Set(parts.map(({ stream }) => stream))].map((stream) => client.subscribe(stream, soon));
    return () => {
      clearTimeout(timer);
      leave.forEach((one) => one());
    };
  }, [health, board, client, name]);
}

function icon(state: 'ok' | 'warn' | 'down'): void {
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (link === null) {
    return;
  }
  const href = link.getAttribute('href') ?? '';
  const next = href.replace(/favicon(-\w+)?\.svg/, state === 'ok' ? 'favicon.svg' : `favicon-${state}.svg`);
  if (href !== next) {
    link.setAttribute('href', next);
  }
}
