import type { ReactNode } from 'react';
import './Value.css';

/** What stands where the node gave no value: never a zero. */
export function NotReported(): ReactNode {
  return <span className="not-reported">not reported</span>;
}

/** A figure with its unit; `null` and a missing one are "not reported". */
export function Figure({ value, unit, title }: { value: string | null | undefined; unit?: string; title?: string }): ReactNode {
  if (value === null || value === undefined) {
    return <NotReported />;
  }
  // Another number of digits is another element: what is behind it is then where it is, and was not moved.
  return (
    <span key={value.length} className="figure" title={title}>
      <span className="figure-value">{value}</span>
      {unit !== undefined && <span className="figure-unit">{unit}</span>}
    </span>
  );
}
