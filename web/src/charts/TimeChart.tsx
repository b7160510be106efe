import { useEffect, useRef, type ReactNode } from 'react';
import UPlot from 'uplot';
import type { Event as Mark } from '../app/events';
import { clock, clockShort } from '../app/format';
import { makeAxis, timeTicks, type Axis } from './axis';
import { extent, type Drawn } from './course';
import 'uplot/dist/uPlot.min.css';

export interface TimeChartProps {
  drawn: Drawn;
  titles: readonly string[];
  /** Unix seconds at the left and the right edge. */
  start: number;
  end: number;
  marks: readonly Mark[];
  /** What stands at a line of the grid, and in the box beside the pointer. */
  write: (value: number) => string;
  say: (value: number | null) => string;
  bytes: boolean;
  top?: number;
  /** What a screen reader says. */
  label: string;
  onReady?: (canvas: HTMLCanvasElement | null) => void;
}

const BOTTOM = 28;

/** Lines over time on a canvas, with what they were where the pointer or the keyboard is. */
export default function TimeChart(props: TimeChartProps): ReactNode {
  const host = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const said = useRef<HTMLParagraphElement>(null);
  const plot = useRef<UPlot | null>(null);
  const now = useRef(props);
  const scale = useRef<Axis | null>(null);
  now.current = props;
  const { titles, drawn } = props;
  const shape = `${titles.join('\n')}\n${drawn.low === null}`;

  useEffect(() => {
    const element = host.current;
    if (element === null || typeof Path2D === 'undefined' || typeof ResizeObserver === 'undefined') {
      return;
    }
    const made = make(element, now, scale, tip);
    plot.current = made;
    now.current.onReady?.(made.root.querySelector('canvas'));
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined && entry.contentRect.width > 0) {
        made.setSize({ width: Math.round(entry.contentRect.width), height: Math.round(entry.contentRect.height) });
      }
    });
    observer.observe(element);
    // The canvas has colours of its own: those of the page, as they are.
    const themes = new MutationObserver(() => made.redraw(false));
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    const panel = element.closest('.panel');
    if (panel !== null) {
      themes.observe(panel, { attributes: true, attributeFilter: ['data-state'] });
    }
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const redraw = (): void => made.redraw(false);
    dark.addEventListener('change', redraw);
    return () => {
      observer.disconnect();
      themes.disconnect();
      dark.removeEventListener('change', redraw);
      now.current.onReady?.(null);
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    const made = plot.current;
    if (made !== null) {
      made.setData(columns(drawn), true);
    }
  }, [drawn, props.start, props.end, props.marks, shape]);

  const move = (step: number): void => {
    const made = plot.current;
    const { times } = now.current.drawn;
    if (made === null || times.length === 0) {
      return;
    }
    const at = made.cursor.idx ?? (step > 0 ? -1 : times.length);
    const index = Math.min(Math.max(at + step, 0), times.length - 1);
    made.setCursor({ left: made.valToPos(times[index] as number, 'x'), top: 10 });
    if (said.current !== null) {
      said.current.textContent = words(now.current, index);
    }
  };

  return (
    <div
      className="plot"
      role="group"
      aria-label={`${props.label} Arrow keys read single values.`}
      tabIndex={0}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -1e6, End: 1e6 }[event.key];
        if (step !== undefined) {
          event.preventDefault();
          move(step);
        } else if (event.key === 'Escape') {
          plot.current?.setCursor({ left: -10, top: -10 });
        }
      }}
      onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
    >
      <div className="plot-host" ref={host} aria-hidden="true" />
      <div className="chart-tip" ref={tip} hidden aria-hidden="true" />
      <p className="visually-hidden" role="status" ref={said} />
    </div>
  );
}

function columns({ times, lines, low, high }: Drawn): UPlot.AlignedData {
  return [times, ...lines, ...(low ?? []), ...(high ?? [])] as unknown as UPlot.AlignedData;
}

function words({ drawn, titles, say }: TimeChartProps, index: number): string {
  return `${clock(drawn.times[index] as number)}: ${titles.map((title, line) => `${title} ${say(drawn.lines[line]?.[index] ?? null)}`).join(', ')}`;
}

function make(
  element: HTMLElement,
  now: React.RefObject<TimeChartProps>,
  scale: React.RefObject<Axis | null>,
  tip: React.RefObject<HTMLDivElement | null>,
): UPlot {
  const { titles, drawn } = now.current;
  const style = getComputedStyle(element);
  const color = (name: string): string => style.getPropertyValue(name).trim() || '#888';
  // As the browser resolves it: a canvas knows no light-dark().
  const probe = document.createElement('span');
  probe.hidden = true;
  element.append(probe);
  const resolved = (name: string, share = 1): string => {
    probe.style.color = `color-mix(in srgb, var(${name}) ${Math.round(share * 100)}%, transparent)`;
    return getComputedStyle(probe).color || color(name);
  };
  const font = `${12 * (parseFloat(getComputedStyle(document.documentElement).fontSize) / 16)}px ${getComputedStyle(document.body).fontFamily}`;
  const many = titles.length;

  const axisOf = (): Axis => {
    const { drawn: data, top, bytes, write } = now.current;
    const { low, high, whole } = extent(data);
    return makeAxis(low, high, { whole, ...(top === undefined ? {} : { top }), ...(bytes ? { bytes: write } : {}) });
  };
  const nameOf = (value: number): string => {
    const { ticks, names } = scale.current as Axis;
    return names[ticks.indexOf(value)] ?? '';
  };

  const line = (index: number): UPlot.Series => ({
    label: titles[index] ?? '',
    stroke: () => resolved(`--series-${index}`),
    width: 2,
    ...(index === 0 ? { fill: () => resolved('--series-0', 0.12) } : { dash: [4, 5] }),
    points: { show: (_self: UPlot, _series: number, from: number, to: number) => to - from < 3 },
    spanGaps: false,
  });
  const edge = (index: number): UPlot.Series => ({ label: `${titles[index] ?? ''} range`, stroke: 'transparent', width: 0, points: { show: false }, spanGaps: false });
  const bands: UPlot.Band[] =
    drawn.low === null ? [] : titles.map((_title, index) => ({ series: [1 + 2 * many + index, 1 + many + index] as [number, number], fill: () => resolved(`--series-${index}`, 0.16) }) as unknown as UPlot.Band);

  return new UPlot(
    {
      width: Math.max(element.clientWidth, 60),
      height: Math.max(element.clientHeight, 60),
      padding: [12, 14, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: (_self: UPlot, index: number) => resolved(`--series-${Math.max(0, index - 1)}`) } },
      scales: {
        x: { time: false, range: () => [now.current.start, now.current.end] },
        y: {
          range: () => {
            scale.current = axisOf();
            return [scale.current.bottom, scale.current.top];
          },
        },
      },
      axes: [
        {
          stroke: () => resolved('--text-muted'),
          font,
          size: BOTTOM,
          gap: 6,
          grid: { show: false },
          ticks: { stroke: () => resolved('--line-strong'), width: 1, size: 4 },
          // A name at the very edge would be cut.
          splits: (self: UPlot) => {
            const { start, end } = now.current;
            return timeTicks(start, end, self.width / 96).filter((time) => end - time > ((end - start) / Math.max(self.width, 1)) * 16);
          },
          values: (_self: UPlot, splits: number[]) => splits.map((time) => ((splits[1] ?? Infinity) - (splits[0] ?? 0) < 60 ? clock(time) : clockShort(time))),
        },
        {
          stroke: () => resolved('--text-muted'),
          font,
          gap: 8,
          size: (_self: UPlot, values: string[] | null) => 18 + 7 * Math.max(...(values ?? []).map(({ length }) => length), 5),
          grid: { stroke: () => resolved('--line'), width: 1 },
          ticks: { show: false },
          splits: () => [...(scale.current ?? axisOf()).ticks],
          values: (_self: UPlot, splits: number[]) => splits.map(nameOf),
        },
      ],
      series: [{}, ...titles.map((_title, index) => line(index)), ...(drawn.low === null ? [] : [...titles, ...titles].map((_title, index) => edge(index % many)))],
      bands,
      hooks: {
        drawAxes: [(self: UPlot) => drawMarks(self, now.current, resolved)],
        setCursor: [(self: UPlot) => showTip(self, now.current, tip.current)],
      },
    },
    columns(drawn),
    element,
  );
}

/** What happened to the chain or to the gateway: a line where it did. */
function drawMarks({ ctx, bbox, valToPos }: UPlot, { marks, start, end }: TimeChartProps, resolved: (name: string, share?: number) => string): void {
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const mark of marks) {
    if (mark.time < start || mark.time > end) {
      continue;
    }
    const x = Math.round(valToPos(mark.time, 'x', true)) + 0.5;
    const to = mark.end === null ? x : Math.round(valToPos(Math.min(mark.end, end), 'x', true)) + 0.5;
    const name = mark.kind === 'node' || mark.kind === 'lost' ? '--bad' : '--warn';
    if (to - x > 2) {
      ctx.fillStyle = resolved(name, 0.1);
      ctx.fillRect(x, bbox.top, to - x, bbox.height);
    }
    ctx.strokeStyle = resolved(name, 0.7);
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.fillStyle = resolved(name);
    const size = 4 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x - size, bbox.top - size);
    ctx.lineTo(x + size, bbox.top - size);
    ctx.lineTo(x, bbox.top + size * 0.6);
    ctx.fill();
  }
  ctx.restore();
}

function showTip(self: UPlot, props: TimeChartProps, tip: HTMLDivElement | null): void {
  const index = self.cursor.idx;
  const left = self.cursor.left ?? -1;
  if (tip === null) {
    return;
  }
  if (left < 0 || index === null || index === undefined) {
    tip.hidden = true;
    return;
  }
  const { drawn, titles, say, marks } = props;
  const time = drawn.times[index] as number;
  const near = marks.filter((mark) => Math.abs(self.valToPos(mark.time, 'x') - left) < 8);
  const rows: HTMLElement[] = [row(clock(time))];
  titles.forEach((title, line) => {
    const one = row('');
    const name = document.createElement('span');
    name.className = 'legend';
    name.dataset.series = String(line);
    name.textContent = title;
    const value = document.createElement('b');
    value.textContent = say(drawn.lines[line]?.[index] ?? null);
    one.append(name, value);
    if (drawn.low !== null && typeof drawn.low[line]?.[index] === 'number') {
      const range = document.createElement('span');
      range.className = 'chart-tip-range';
      range.textContent = ` ${say(drawn.low[line][index] as number)} to ${say(drawn.high?.[line]?.[index] ?? null)}`;
      one.append(range);
    }
    rows.push(one);
  });
  for (const mark of near.slice(0, 2)) {
    const one = row(mark.text);
    one.className = 'chart-tip-mark';
    rows.push(one);
  }
  tip.replaceChildren(...rows);
  tip.hidden = false;
  const from = self.over.offsetLeft + left;
  const right = from > self.width / 2;
  tip.style.left = right ? '' : `${from + 14}px`;
  tip.style.right = right ? `${self.width - from + 14}px` : '';
}

function row(text: string): HTMLParagraphElement {
  const element = document.createElement('p');
  element.textContent = text;
  return element;
}
