import { useMemo, type ReactNode } from 'react';
import { Area, CartesianGrid, ComposedChart, Line, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import type { Drawn } from '../src/charts/course';
import { clock, clockShort } from '../src/app/format';

/** The same chart as Recharts has it, without its animation. */
export default function Chart({ drawn, titles, start, end }: { drawn: Drawn; titles: readonly string[]; start: number; end: number }): ReactNode {
  const rows = useMemo(() => drawn.times.map((time, index) => ({ time, first: drawn.lines[0]?.[index], second: drawn.lines[1]?.[index] })), [drawn]);
  return (
    <ResponsiveContainer width="100%" height="100%">
      <ComposedChart data={rows}>
        <CartesianGrid stroke="var(--line)" vertical={false} />
        <XAxis dataKey="time" type="number" domain={[start, end]} tickFormatter={clockShort} minTickGap={40} stroke="var(--text-muted)" fontSize={12} />
        <YAxis width={60} stroke="var(--text-muted)" fontSize={12} />
        <Tooltip labelFormatter={(time) => clock(Number(time))} isAnimationActive={false} />
        <Area dataKey="first" name={titles[0]} stroke="var(--series-0)" fill="var(--series-0)" fillOpacity={0.12} strokeWidth={2} dot={false} isAnimationActive={false} />
        <Line dataKey="second" name={titles[1]} stroke="var(--series-1)" strokeDasharray="4 5" strokeWidth={2} dot={false} isAnimationActive={false} />
      </ComposedChart>
    </ResponsiveContainer>
  );
}
