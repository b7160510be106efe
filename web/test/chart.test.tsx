import { act, fireEvent, render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { describe, expect, it, vi } from 'vitest';
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

/** The courses that are drawn, as the commands of their paths. */
const courses = (container: Element): string[] => [...container.querySelectorAll('.recharts-area-curve')].map((path) => path.getAttribute('d') ?? '');

/** Moves the pointer; the chart then waits for the next frame. */
async function point(container: Element, x: number): Promise<void> {
  fireEvent.mouseMove(container.querySelector('.recharts-wrapper') as Element, { clientX: x, clientY: 100 });
  await act(() => new Promise((done) => setTimeout(done, 50)));
}

describe('HistoryChart', () => {
  it('draws a line for each value, and says in words what is to be seen', () => {
    // If this fails: the course is missing, or whoever cannot see it hears nothing of it.
    const { container, getByRole } = render(<HistoryChart series={series(400, 500, 450)} metric={BOTH} seconds={300} />);
    expect(courses(container)).toHaveLength(2);
    expect([...container.querySelectorAll('.recharts-area-area')].map((path) => path.getAttribute('fill'))).toEqual(['var(--series-0)', 'none']);
    expect(container.querySelectorAll('.chart-legend .legend')).toHaveLength(2);
    expect(getByRole('img').getAttribute('aria-label')).toMatch(/^Throughput, last 5 minutes. Throughput: between 400 and 500, now 450 tx\/s. Peers: between 40 and 50/);
  });

  it('names the values and the times of its scales', () => {
    // If this fails: there is a line, and nobody can tell what it says.
    const { container } = render(<HistoryChart series={series(...Array.from({ length: 200 }, (_, index) => 412 + index))} metric={TPS} seconds={300} />);
    const names = (axis: string): (string | null)[] => [...container.querySelectorAll(`.recharts-${axis}-tick-labels text`)].map(({ textContent }) => textContent);
    expect(names('yAxis')).toEqual(['450', '500', '550', '600', '650']);
    expect(names('xAxis').length).toBeGreaterThan(3);
    for (const text of container.querySelectorAll('.recharts-cartesian-axis-tick-labels text')) {
      expect(Number(text.getAttribute('x'))).toBeLessThan(700);
      expect(Number(text.getAttribute('y'))).toBeLessThan(280);
    }
    expect(names('xAxis').every((name) => /^\d\d:\d\d$/.test(name ?? ''))).toBe(true);
  });

  it('tells the values where the pointer is, and a missing one as not reported', async () => {
    // If this fails: the chart can be looked at and not read, or a hole in it reads as zero.
    const { container } = render(<HistoryChart series={series(400, null, 450)} metric={TPS} seconds={300} />);
    const tip = (): string | null => container.querySelector('.chart-tip')?.textContent ?? null;
    expect(tip()).toBeNull();
    await point(container, 685);
    expect(tip()).toMatch(/450 tx\/s$/);
    expect(container.querySelector('.recharts-active-dot')).not.toBeNull();
    // The chart is a minute wide, and the last four seconds of it have the points.
    await point(container, 666);
    expect(tip()).toMatch(/not reported$/);
    expect(container.querySelector('.recharts-active-dot')).toBeNull();
    await point(container, 60);
    expect(tip()).toMatch(/400 tx\/s$/);
    fireEvent.mouseLeave(container.querySelector('.recharts-wrapper') as Element);
    expect(tip()).toBeNull();
  });

  it('breaks the line where a value is missing', () => {
    // If this fails: an outage is drawn as steady operation.
    const { container } = render(<HistoryChart series={series(400, 500, null, 450, 500, null, 480)} metric={TPS} seconds={300} />);
    expect(courses(container)[0]?.replace(/[^A-Z]/g, '')).toBe('MLMLMZ');
  });

  it('begins at the left edge of the chart', () => {
    // If this fails: the line runs over the scale, or begins later than the data.
    const { container } = render(<HistoryChart series={series(...Array.from({ length: 200 }, (_, index) => 400 + index))} metric={TPS} seconds={299} />);
    expect(courses(container)[0]).toMatch(/^M37,.*L686,[\d.]+$/);
  });

  it('leaves the line of a value that stays the same as it is', () => {
    // If this fails: a figure that stands still is drawn anew with every message.
    const steady = (count: number, last = 42): ReactNode => (
      <HistoryChart series={series(...Array.from({ length: count }, (_, index) => (index < count - 1 ? 42 : last)))} metric={TPS} seconds={300} />
    );
    const { container, rerender } = render(steady(200));
    const line = (): Element | null => container.querySelector('.recharts-area-curve');
    const times = (): (number | null)[] => [...container.querySelectorAll('.recharts-xAxis-tick-labels text')].map((text) => Number(text.getAttribute('x')));
    const [before, then] = [line(), times()];
    rerender(steady(205));
    expect(line() === before).toBe(true);
    expect(times()).not.toEqual(then);
    rerender(steady(210, 43));
    expect(line() === before).toBe(false);
  });

  it('has no more points than there are pixels', () => {
    // If this fails: after an hour each redraw takes a multiple of what it took at first.
    const many = series(...Array.from({ length: 1800 }, (_, index) => 400 + (index % 50)));
    const { container } = render(<HistoryChart series={many} metric={TPS} seconds={3600} />);
    const points = (courses(container)[0] ?? '').split('L').length;
    expect(points).toBeLessThanOrEqual(362);
    expect(points).toBeGreaterThan(200);
  });

  it('measures nothing for a new point, nor for a new scale', () => {
    // If this fails: with each new point the browser lays the page out for every name of the scales.
    const measured = vi.spyOn(Element.prototype, 'getBoundingClientRect');
    const { container, rerender } = render(<HistoryChart series={series(400, 500, 450)} metric={TPS} seconds={300} />);
    measured.mockClear();
    rerender(<HistoryChart series={series(400, 500, 450, 470, 1200)} metric={TPS} seconds={300} />);
    expect(courses(container)[0]?.split('L')).toHaveLength(5);
    expect(measured).not.toHaveBeenCalled();
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
