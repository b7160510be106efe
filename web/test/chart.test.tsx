import { createEvent, fireEvent, render } from '@testing-library/react';
import { describe, expect, it } from 'vitest';
import HistoryChart from '../src/charts/HistoryChart';
import { Sparkline } from '../src/ui/Sparkline';
import type { Series } from '../src/app/history';

const START = 1_700_000_000;

function series(...values: (number | null)[]): Series {
  return {
    times: values.map((_, index) => START + index * 2),
    values: new Map([
      ['tps', values],
      ['peers', values.map((value) => (value === null ? null : value / 10))],
    ]),
  };
}

const TPS = { id: 'tps', label: 'Throughput', lines: [{ name: 'tps', label: 'Throughput' }], unit: 'tx/s' };
const BOTH = { ...TPS, lines: [...TPS.lines, { name: 'peers', label: 'Peers' }] };

function point(svg: Element, x: number): void {
  const event = createEvent.pointerMove(svg);
  Object.defineProperty(event, 'offsetX', { value: x });
  fireEvent(svg, event);
}

describe('HistoryChart', () => {
  it('draws a line for each value, and says in words what is to be seen', () => {
    // If this fails: the course is missing, or whoever cannot see it hears nothing of it.
    const { container, getByRole } = render(<HistoryChart series={series(400, 500, 450)} metric={BOTH} seconds={300} />);
    expect(container.querySelectorAll('.chart-line')).toHaveLength(2);
    expect(container.querySelectorAll('.chart-fill')).toHaveLength(1);
    expect(container.querySelectorAll('.chart-legend .legend')).toHaveLength(2);
    expect(getByRole('img').getAttribute('aria-label')).toMatch(/^Throughput, last 5 minutes. Throughput: between 400 and 500, now 450 tx\/s. Peers: between 40 and 50/);
  });

  it('tells the values where the pointer is, and a missing one as not reported', () => {
    // If this fails: the chart can be looked at and not read, or a hole in it reads as zero.
    const { container } = render(<HistoryChart series={series(400, null, 450)} metric={TPS} seconds={300} />);
    const svg = container.querySelector('svg') as Element;
    const tip = (): string | null => container.querySelector('.chart-tip')?.textContent ?? null;
    expect(tip()).toBeNull();
    point(svg, 690);
    expect(tip()).toMatch(/450 tx\/s$/);
    // The chart is a minute wide, and the last four seconds of it have the points.
    point(svg, 666);
    expect(tip()).toMatch(/not reported$/);
    expect(container.querySelector('.chart-dot')).toBeNull();
    point(svg, 0);
    expect(tip()).toMatch(/400 tx\/s$/);
    fireEvent.pointerLeave(svg);
    expect(tip()).toBeNull();
  });

  it('has no more points than there are pixels', () => {
    // If this fails: after an hour each redraw takes a multiple of what it took at first.
    const many = series(...Array.from({ length: 1800 }, (_, index) => 400 + (index % 50)));
    const { container } = render(<HistoryChart series={many} metric={TPS} seconds={3600} />);
    const points = (container.querySelector('.chart-line')?.getAttribute('d') ?? '').split('L').length;
    expect(points).toBeLessThanOrEqual(362);
    expect(points).toBeGreaterThan(200);
  });
});

describe('Sparkline', () => {
  const drawn = (count: number, value: (index: number) => number | null): string[] => {
    const { container } = render(<Sparkline series={series(...Array.from({ length: count }, (_, index) => value(index)))} names={['tps']} window={300} label="Throughput" />);
    return [...container.querySelectorAll('path')].map((path) => path.getAttribute('d') ?? '');
  };

  it('stays the same text for a value that stays the same', () => {
    // If this fails: a figure that stands still is drawn anew with every message.
    expect(drawn(200, () => 42)).toEqual(drawn(250, () => 42));
    expect(drawn(200, () => 42)[1]).toMatch(/^M0.0 [\d.]+L200.0 [\d.]+$/);
  });

  it('keeps every turn, and every hole', () => {
    // If this fails: a step is drawn as a slope, or an outage as steady operation.
    const [, line] = drawn(10, (index) => (index < 4 ? 10 : index < 7 ? 20 : index === 7 ? null : 10));
    expect(line?.match(/[ML]/g)).toEqual(['M', 'L', 'L', 'L', 'M', 'L']);
  });
});
