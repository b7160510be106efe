import { useId, type ReactNode } from 'react';
import type { StreamView } from '../client';
import { Freshness } from './Freshness';
import './Panel.css';

interface PanelProps {
  title: string;
  /** The stream whose age and state the panel's head tells. */
  view: StreamView;
  /** Grid area and look. */
  className?: string;
  /** Beside the title. */
  note?: ReactNode;
  /** Between the title and the age. */
  tools?: ReactNode;
  /** Its name in the page's address. */
  id?: string;
  children: ReactNode;
}

/** A card with a title and the age of what is in it. */
export function Panel({ title, view, className = '', note, tools, id: name, children }: PanelProps): ReactNode {
  const id = useId();
  return (
    <section className={`panel ${className}`} data-state={view.state} data-stream={view.stream} data-panel={name} aria-labelledby={id}>
      <header className="panel-head">
        <div className="panel-line">
          <h2 id={id}>{title}</h2>
          {note !== undefined && <span className="panel-note">{note}</span>}
          <Freshness view={view} />
        </div>
        {tools !== undefined && <div className="panel-tools">{tools}</div>}
      </header>
      {view.note !== null && (
        <p className="panel-event" title={view.note}>
          {view.note}
        </p>
      )}
      {children}
    </section>
  );
}
