import { useEffect, useState, type ReactNode } from 'react';
import type { StreamClient } from '../client';
import { Icon, type IconName } from '../ui/Icon';
import { clock, duration, label } from './format';
import type { Health, HealthKind } from './health';
import { useNow } from './now';
import { SHORT } from './words';
import '../ui/badge.css';
import '../ui/button.css';
import './Banner.css';

const ICONS: Record<HealthKind, IconName> = {
  live: 'ok',
  connecting: 'clock',
  waiting: 'clock',
  polling: 'info',
  'catching-up': 'clock',
  'partly-stale': 'warn',
  'node-down': 'bad',
  reconnecting: 'refresh',
  disconnected: 'bad',
  offline: 'warn',
  paused: 'pause',
  incompatible: 'bad',
};

/** The connection in one word, always in sight. */
export function Pill({ health }: { health: Health }): ReactNode {
  return (
    <span key={health.kind} className="pill" data-level={health.level} data-kind={health.kind}>
      <Icon name={ICONS[health.kind]} size={14} />
      {SHORT[health.kind]}
    </span>
  );
}

/** What is wrong, since when, and what happens next. Nothing while all is well. */
export function Banner({ client, health, streams }: { client: StreamClient; health: Health; streams: number }): ReactNode {
  const message = explain(health, streams);
  const patient = usePatience(health.kind);
  const seen = message !== null && health.kind !== 'connecting' && !patient;

  return (
    <>
      {/* Read out when it changes; the counting seconds are not. */}
      <p className="visually-hidden" role="status">
        {message === null ? 'Live' : `${message.title} ${message.detail ?? ''}`}
      </p>
      {seen && (
        <div className="banner" data-level={health.level} data-kind={health.kind} aria-hidden={message.action === undefined ? 'true' : undefined}>
          <Icon name={ICONS[health.kind]} size={20} />
          <div className="banner-text">
            <p className="banner-title">
              {message.title}
              {health.retryAt !== null && health.kind !== 'polling' && <Countdown to={health.retryAt} />}
            </p>
            {message.detail !== undefined && <p className="banner-detail">{message.detail}</p>}
            {health.nodeRetryAt !== null && (
              <p className="banner-next">
                The gateway asks it again
                <Countdown to={health.nodeRetryAt} />.
              </p>
            )}
            {health.since !== null && <Since client={client} since={health.since} />}
          </div>
          {message.action === 'retry' && (
            <button type="button" className="button" onClick={() => client.retry()}>
              Try now
            </button>
          )}
          {message.action === 'reload' && (
            <button type="button" className="button" onClick={() => location.reload()}>
              Reload
            </button>
          )}
        </div>
      )}
    </>
  );
}

/** What is over in a moment is told by the word in the head alone: a banner that flashes tells nothing. */
const PATIENCE = 3000;

function usePatience(kind: HealthKind): boolean {
  const passing = kind === 'catching-up' || kind === 'waiting';
  const [over, setOver] = useState(false);
  useEffect(() => {
    setOver(false);
    if (!passing) {
      return;
    }
    const timer = setTimeout(() => setOver(true), PATIENCE);
    return () => clearTimeout(timer);
  }, [passing]);
  return passing && !over;
}

interface Message {
  title: string;
  detail?: string;
  action?: 'retry' | 'reload';
}

export function explain(health: Health, streams: number): Message | null {
  const error = health.error === null ? undefined : sentence(health.error);
  switch (health.kind) {
    case 'live':
      return null;
    case 'connecting':
      return { title: 'Connecting to the gateway' };
    case 'waiting':
      return { title: 'Waiting for the node’s first answer', detail: error };
    case 'polling':
      return { title: 'Live updates are blocked, asking every few seconds instead', detail: 'This network lets no WebSocket through. Figures are a little later than usual.' };
    case 'catching-up':
      return { title: 'Waiting for fresh data from the node' };
    case 'partly-stale':
      return {
        title: `${health.streams.length} of ${streams} streams are stale: ${health.streams.map((name) => label(name).toLowerCase()).join(', ')}`,
        detail: error,
      };
    case 'node-down':
      return { title: 'The node does not answer', detail: error };
    case 'reconnecting':
      return { title: 'Reconnecting', detail: error, action: 'retry' };
    case 'offline':
      return { title: 'This device is offline', detail: 'The page comes back by itself when the network does.', action: 'retry' };
    case 'paused':
      return { title: 'Paused while the tab was hidden' };
    case 'disconnected':
      return { title: 'Disconnected', detail: error, action: 'reload' };
    case 'incompatible':
      return { title: 'This page is older than the gateway', detail: error, action: 'reload' };
  }
}

function sentence(text: string): string {
  // A word that begins a sentence; not the name of a function.
  const first = /^[a-z]+(?:[\s,:]|\.?$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function Countdown({ to }: { to: number }): ReactNode {
  useNow();
  const seconds = Math.ceil((to - Date.now()) / 1000);
  return <span className="banner-count"> {seconds > 0 ? `in ${seconds} s` : 'now'}</span>;
}

function Since({ client, since }: { client: StreamClient; since: number }): ReactNode {
  useNow();
  return (
    <p className="banner-since">
      Showing the last good data, from <time>{clock(since)}</time>, {duration(client.now() - since)} ago.
    </p>
  );
}
