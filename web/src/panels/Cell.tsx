import type { ReactNode } from 'react';
import { clock, fullTime, isNumeric } from '../app/format';
import type { Format } from '../board/types';
import { AMOUNT, failed, guess, succeeded, write } from '../board/values';
import { Icon } from '../ui/Icon';
import { NotReported } from '../ui/Value';
import { MarketTag } from './Cells';
import '../ui/badge.css';

/** A value in a table, as its format says. */
export function Cell({ value, format = {}, name, empty }: { value: unknown; format?: Format; name: string; empty?: string }): ReactNode {
  if (value === null || value === undefined || value === '') {
    return empty === undefined ? <NotReported /> : <span className="cell-empty">{empty}</span>;
  }
  if (Array.isArray(value)) {
    return `${value.length} ${value.length === 1 ? 'entry' : 'entries'}`;
  }
  const as = format.as ?? guess(name, value);
  if (as === 'market') {
    return <MarketTag market={value} />;
  }
  const written = write(value, format, name);
  if (written === null) {
    return <NotReported />;
  }
  if (as === 'status') {
    const tone = succeeded(value) ? 'ok' : failed(value) ? 'bad' : 'idle';
    return (
      <span className="badge" data-tone={tone}>
        <Icon name={tone === 'ok' ? 'ok' : tone === 'bad' ? 'bad' : 'info'} size={13} />
        {written.text}
      </span>
    );
  }
  if (as === 'time' && isNumeric(value)) {
    return <time title={fullTime(Number(value))}>{clock(Number(value))}</time>;
  }
  const known = as === 'name' && written.whole !== null;
  const mono = as === 'hash' || (as === 'name' && !known);
  return (
    <span className={mono ? 'mono' : known ? 'cell-name' : as === 'exact' || AMOUNT.test(name) ? 'amount' : undefined} title={written.whole ?? (typeof value === 'string' ? written.text : undefined)}>
      {written.text}
      {written.unit !== '' && (
        <span className="figure-unit">
          {written.unit === '%' ? '' : ' '}
          {written.unit}
        </span>
      )}
    </span>
  );
}
