import { act, fireEvent, render } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Event } from '../src/app/events';
import type { Series } from '../src/app/history';
import { toCsv } from '../src/app/save';
import { cut, extent, thin, trueRange } from '../src/charts/course';
import TimeChart from '../src/charts/TimeChart';
import { describe as inWords, draw, rangeText } from '../src/panels/ChartPanel';
import { Sparkline } from '../src/ui/Sparkline';

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

const TPS = { id: 'tps', title: 'Throughput', field: 'tps', unit: 'tx/s' };

/** A canvas that remembers what is written and how many lines are begun. */
const canvas = { texts: [] as string[], moves: 0, strokes: 0 };

beforeEach(() => {
  canvas.texts = [];
  canvas.moves = 0;
  canvas.strokes = 0;
  const context = new Proxy({} as Record<string, unknown>, {
    get: (_target, name) => {
      if (name === 'fillText') {
        return (text: string) => canvas.texts.push(text);
      }
      if (name === 'measureText') {
        return (text: string) => ({ width: text.length * 7 });
      }
      if (name === 'stroke') {
        return () => (canvas.strokes += 1);
      }
      return () => undefined;
    },
    set: () => true,
  });
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(context as never);
  vi.stubGlobal('Path2D', class {
    moveTo(): void {
      canvas.moves += 1;
    }
    lineTo(): void {}
    arc(): void {}
    rect(): void {}
    closePath(): void {}
    addPath(): void {}
  });
  vi.stubGlobal('ResizeObserver', class {
    observe(): void {}
    disconnect(): void {}
  });
  vi.spyOn(Element.prototype, 'clientWidth', 'get').mockReturnValue(700);
  vi.spyOn(Element.prototype, 'clientHeight', 'get').mockReturnValue(280);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function chart(data: Series, { names = ['tps'], marks = [] as Event[], seconds = 300 } = {}): ReturnType<typeof render> {
  const drawing = draw(data, { lines: names.map((field) => ({ field })) }, seconds, null);
  return render(
    <TimeChart
      {...drawing}
      titles={names}
      marks={marks}
      write={(value) => String(value)}
      say={(value) => (value === null ? 'not reported' : `${value} tx/s`)}
      bytes={false}
      label="Throughput, an hour."
    />,
  );
}

const settle = (): Promise<void> => act(() => new Promise<void>((done) => setTimeout(done, 20)));

describe('TimeChart', () => {
  it('says in words what is to be seen', () => {
    // If this fails: whoever cannot see the course hears nothing of it.
    const { drawn } = draw(series(400, 500, 450), { lines: [{ field: 'tps' }, { field: 'peers' }] }, 300, null);
    expect(inWords(drawn, ['Throughput', 'Peers'], (value) => `${value} tx/s`)).toBe('Throughput: between 400 tx/s and 500 tx/s, now 450 tx/s. Peers: between 40 tx/s and 50 tx/s, now 45 tx/s');
    expect(chart(series(400, 500)).getByRole('group').getAttribute('aria-label')).toMatch(/^Throughput, an hour\. Arrow keys/);
  });

  it('names the values and the times of its scales', async () => {
    // If this fails: there is a line, and nobody can tell what it says.
    chart(series(...Array.from({ length: 200 }, (_, index) => 412 + index)));
    await settle();
    for (const name of ['450', '500', '550', '600', '650']) {
      expect(canvas.texts).toContain(name);
    }
    expect(canvas.texts.filter((text) => /^\d\d:\d\d$/.test(text)).length).toBeGreaterThan(3);
  });

  it('tells the values where the keyboard is, and a missing one as not reported', async () => {
    // If this fails: the chart can be looked at and not read, or a hole in it reads as zero.
    const { getByRole, container } = chart(series(400, null, 450));
    await settle();
    const said = (): string | null => getByRole('status').textContent;
    const group = getByRole('group');
    fireEvent.keyDown(group, { key: 'End' });
    expect(said()).toMatch(/: tps 450 tx\/s$/);
    expect(container.querySelector('.chart-tip b')?.textContent).toBe('450 tx/s');
    fireEvent.keyDown(group, { key: 'ArrowLeft' });
    expect(said()).toMatch(/not reported$/);
    fireEvent.keyDown(group, { key: 'Home' });
    expect(said()).toMatch(/: tps 400 tx\/s$/);
    fireEvent.keyDown(group, { key: 'Escape' });
    expect(container.querySelector<HTMLElement>('.chart-tip')?.hidden).toBe(true);
  });

  it('tells what happened there', async () => {
    // If this fails: a reorganisation is a kink in a line that nobody can explain.
    const mark: Event = { kind: 'reorg', time: START + 4, end: null, open: false, stream: 'chain', text: 'The chain is shorter than before' };
    const { getByRole, container } = chart(series(400, 410, 450, 420), { marks: [mark] });
    await settle();
    fireEvent.keyDown(getByRole('group'), { key: 'Home' });
    fireEvent.keyDown(getByRole('group'), { key: 'ArrowRight' });
    fireEvent.keyDown(getByRole('group'), { key: 'ArrowRight' });
    expect(container.querySelector('.chart-tip-mark')?.textContent).toBe('The chain is shorter than before');
  });
});

describe('the course', () => {
  it('begins at the left edge of the chart', () => {
    // If this fails: the line runs over the scale, or begins later than the data.
    const many = series(...Array.from({ length: 200 }, (_, index) => 400 + index));
    const { drawn, start, end } = draw(many, TPS, 299, null);
    expect(drawn.times[0]).toBe(start);
    expect(end - start).toBe(299);
    expect(drawn.lines[0]?.[0]).toBe(449.5);
    expect(cut({ times: [0, 10], lines: [[1, null]], low: null, high: null }, 5)).toEqual({ times: [5, 10], lines: [[null, null]], low: null, high: null });
  });

  it('has no more points than there are pixels', () => {
    // If this fails: after an hour each redraw takes a multiple of what it took at first.
    const many = series(...Array.from({ length: 1800 }, (_, index) => 400 + (index % 50)));
    expect(thin(many, ['tps'], 0).times.length).toBeLessThanOrEqual(481);
  });

  it('keeps the extremes beside the means', () => {
    // If this fails: a day's chart hides the one minute that mattered.
    const data = series(5, 6, 7);
    const bands = { low: new Map([['tps', [1, 6, 7]]]), high: new Map([['tps', [5, 6, 99]]]) };
    const drawn = thin(data, ['tps'], 0, bands, 2);
    expect(drawn.low?.[0]).toEqual([1, 7]);
    expect(drawn.high?.[0]).toEqual([6, 99]);
    expect(extent(drawn)).toEqual({ low: 1, high: 99, whole: false, count: 6 });
  });

  it('says what it truly shows, not what was asked for', () => {
    // If this fails: four minutes are called an hour.
    const { drawn } = draw(series(null, 5, 6, null), TPS, 3600, null);
    expect(trueRange(drawn)).toEqual([START + 2, START + 4]);
    expect(rangeText(drawn, 3600, false)).toMatch(/^\d\d:\d\d:\d\d to \d\d:\d\d:\d\d, 2 s of 60 min$/);
    expect(rangeText(draw(series(null, null), TPS, 300, null).drawn, 300, false)).toBe('');
  });

  it('can be taken along as CSV, with holes empty and names that a spreadsheet does not run', () => {
    // If this fails: the file has zeros where nothing was known, or a formula.
    const data: Series = { times: [START, START + 2, START + 4], values: new Map([['=tps', [1.5, null, 3]], ['b,c', [1, null, null]]]) };
    expect(toCsv(data, ['=tps', 'b,c'], 0)).toBe("time,'=tps,\"b,c\"\r\n2023-11-14T22:13:20.000Z,1.5,1\r\n2023-11-14T22:13:24.000Z,3,\r\n");
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
