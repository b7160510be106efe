import type { ReactNode } from 'react';
import type { Drawn } from '../src/charts/course';
import TimeChart from '../src/charts/TimeChart';

const write = (value: number): string => value.toFixed(1);
const say = (value: number | null): string => (value === null ? '' : `${value.toFixed(1)} gwei`);

/** The dashboard's own chart. */
export default function Chart({ drawn, titles, start, end }: { drawn: Drawn; titles: readonly string[]; start: number; end: number }): ReactNode {
  return <TimeChart drawn={drawn} titles={titles} start={start} end={end} marks={NONE} write={write} say={say} bytes={false} label="Fees" />;
}

const NONE: never[] = [];
