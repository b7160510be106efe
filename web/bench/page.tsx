/**
 * One chart of two lines over an hour, with a new point every two seconds, drawn by what `chart` stands for: charts.mjs builds the page
 * once for each. The feed is the same for all: it is counted, not random.
 */
import '../src/styles/tokens.css';
import '../src/styles/base.css';
import '../src/charts/chart.css';
import { useEffect, useMemo, useState, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import type { Series } from '../src/app/history';
import { thin } from '../src/charts/course';
import Chart from 'chart';

const HOUR = 3600;
const EVERY = 2;
const NAMES = ['base_fee', 'gas_price'];
const START = 1_750_000_000;

const value = (name: string, index: number): number => 14 + 3 * Math.sin(index / 70) + Math.sin(index * 1.7) * 0.6 + (name === 'gas_price' ? 1.2 + 0.4 * Math.sin(index / 11) : 0);

function course(points: number): Series {
  const first = Math.max(0, points - HOUR / EVERY);
  const indexes = Array.from({ length: points - first }, (_, index) => first + index);
  return { times: indexes.map((index) => START + index * EVERY), values: new Map(NAMES.map((name) => [name, indexes.map((index) => value(name, index))])) };
}

function Page(): ReactNode {
  const [points, setPoints] = useState(HOUR / EVERY);
  useEffect(() => {
    const timer = setInterval(() => setPoints((before) => before + 1), EVERY * 1000);
    return () => clearInterval(timer);
  }, []);
  const series = useMemo(() => course(points), [points]);
  const end = series.times.at(-1) as number;
  const drawn = useMemo(() => thin(series, NAMES, end - HOUR), [series, end]);
  return (
    <main style={{ width: 1200 }}>
      <div className="panel">
        <div className="chart" data-points={points} style={{ height: 320 }}>
          <Chart drawn={drawn} titles={TITLES} start={end - HOUR} end={end} />
        </div>
      </div>
    </main>
  );
}

const TITLES = ['Base fee', 'Gas price'];

createRoot(document.getElementById('root') as HTMLElement).render(<Page />);
