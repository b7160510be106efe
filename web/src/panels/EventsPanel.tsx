import type { ReactNode } from 'react';
import { useEvents, type Event, type EventKind } from '../app/events';
import { clock, duration, fullTime, label } from '../app/format';
import { Icon, type IconName } from '../ui/Icon';
import '../ui/Panel.css';
import './EventsPanel.css';

const KINDS: Record<EventKind, { icon: IconName; title: string; tone: string }> = {
  reorg: { icon: 'refresh', title: 'Reorganisation', tone: 'warn' },
  note: { icon: 'info', title: 'Note', tone: 'info' },
  gap: { icon: 'warn', title: 'Gap', tone: 'warn' },
  node: { icon: 'bad', title: 'Node down', tone: 'bad' },
  lost: { icon: 'warn', title: 'Connection lost', tone: 'warn' },
  restart: { icon: 'refresh', title: 'Restart', tone: 'warn' },
  stall: { icon: 'clock', title: 'Stall', tone: 'warn' },
};

/** What happened to the chain, the node and the gateway while this page looked. */
export function EventsPanel({ id, className, title }: { id: string; className: string; title?: string }): ReactNode {
  const events = useEvents();
  return (
    <section className={`panel ${className}`} data-panel={id} aria-labelledby={`${id}-title`}>
      <header className="panel-head">
        <div className="panel-line">
          <h2 id={`${id}-title`}>{title ?? 'What happened'}</h2>
          <span className="panel-note">while this page looked</span>
        </div>
      </header>
      {events.length === 0 ? (
        <p className="panel-empty events-empty">
          <Icon name="ok" size={22} />
          No reorganisation, gap, restart or outage so far.
        </p>
      ) : (
        <ol className="events" tabIndex={0} aria-label="Events, newest first">
          {events.slice(0, 50).map((event) => (
            <Row key={`${event.time}-${event.kind}-${event.text}`} event={event} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Row({ event }: { event: Event }): ReactNode {
  const { icon, title, tone } = KINDS[event.kind];
  return (
    <li data-tone={tone}>
      <Icon name={icon} size={15} />
      <time title={fullTime(event.time)}>{clock(event.time)}</time>
      <span className="events-text">
        <b>{title}</b>
        {event.end !== null && <span className="events-for"> for {duration(event.end - event.time)}</span>}
        {event.open && <span className="events-for"> since then</span>}
        <span className="events-detail">
          {event.text}
          {event.stream !== null && ` (${label(event.stream).toLowerCase()})`}
        </span>
      </span>
    </li>
  );
}
