import type { ReactNode } from 'react';
import type { StreamView } from '../client';
import { useStreamClient } from '../hooks';
import { duration, fullTime } from '../app/format';
import { useTicking } from '../app/now';
import { Icon } from './Icon';
import './Freshness.css';

/** How old a stream's data is, and whether it is still the newest. */
export function Freshness({ view }: { view: StreamView }): ReactNode {
  const client = useStreamClient();
  const { timestamp, state } = view;
  const text = useTicking(() => {
    const age = timestamp === null ? 0 : Math.max(0, client.now() - timestamp);
    return state === 'stale' ? duration(age) : live(age);
  });

  if (view.data === null || view.timestamp === null) {
    return (
      <span key="none" className="freshness" data-state={view.error === null ? 'waiting' : 'failed'}>
        <Icon name={view.error === null ? 'clock' : 'warn'} size={13} />
        {view.error === null ? 'waiting for data' : 'no data yet'}
      </span>
    );
  }

  const title = `Data of ${fullTime(view.timestamp)}${view.seq === null ? '' : `, number ${view.seq} of this stream`}`;

  if (view.state === 'stale') {
    return (
      <span key={`stale ${text.length}`} className="freshness" data-state="stale" title={view.error === null ? title : `${title}. ${view.error}`}>
        <Icon name="warn" size={13} />
        <span className="freshness-word">stale,</span> {text} old
      </span>
    );
  }
  return (
    <span key={`live ${text.length}`} className="freshness" data-state="live" title={title}>
      <span className="dot" aria-hidden="true" />
      <span className="visually-hidden">live, updated </span>
      {text}
    </span>
  );
}

/** In steps of five seconds: what is live needs no running clock, and a page that changes every second costs. */
function live(age: number): string {
  return age < 4 ? 'now' : `${duration(age < 90 ? Math.round(age / 5) * 5 : age)} ago`;
}
