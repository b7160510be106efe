/** Files that the page makes for whoever looks at it. Nothing leaves the browser. */

import type { Bands } from '../charts/course';
import { firstAfter } from '../ui/Sparkline';
import type { Series } from './history';

export function saveText(name: string, type: string, text: string): void {
  saveBlob(name, new Blob([text], { type: `${type};charset=utf-8` }));
}

function saveBlob(name: string, blob: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A chart as a picture, on the page's ground, with what it is of. */
export function saveChart(name: string, canvas: HTMLCanvasElement | null, title: string, range: string): void {
  if (canvas === null) {
    return;
  }
  const ratio = window.devicePixelRatio || 1;
  const style = getComputedStyle(canvas.closest('.panel') ?? document.body);
  const head = 52 * ratio;
  const picture = document.createElement('canvas');
  picture.width = canvas.width + 16 * ratio;
  picture.height = canvas.height + head + 8 * ratio;
  const context = picture.getContext('2d');
  if (context === null) {
    return;
  }
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = style.color;
  context.font = `600 ${16 * ratio}px ${style.fontFamily}`;
  context.fillText(title, 16 * ratio, 24 * ratio);
  context.globalAlpha = 0.7;
  context.font = `${12 * ratio}px ${style.fontFamily}`;
  context.fillText(`${new Date().toISOString().slice(0, 10)}, ${range} · ${location.host}`, 16 * ratio, 43 * ratio);
  context.globalAlpha = 1;
  context.drawImage(canvas, 0, head);
  picture.toBlob((blob) => {
    if (blob !== null) {
      saveBlob(name, blob);
    }
  }, 'image/png');
}

/** The whole series from `start` on, as a spreadsheet reads it: a line for each point, times in UTC. */
export function toCsv({ times, values }: Series, names: readonly string[], start: number, bands: Bands | null = null): string {
  const heads = names.flatMap((name) => (bands === null ? [name] : [name, `${name} min`, `${name} max`]));
  const rows = [['time', ...heads].map(quote).join(',')];
  for (let index = firstAfter(times, start); index < times.length; index += 1) {
    const cells = names.flatMap((name) => {
      const value = values.get(name)?.[index] ?? null;
      return bands === null ? [value] : [value, bands.low.get(name)?.[index] ?? null, bands.high.get(name)?.[index] ?? null];
    });
    if (cells.some((value) => value !== null)) {
      rows.push([new Date((times[index] as number) * 1000).toISOString(), ...cells.map((value) => (value === null ? '' : String(value)))].join(','));
    }
  }
  return `${rows.join('\r\n')}\r\n`;
}

function quote(text: string): string {
  // A name that begins like a formula is not to become one.
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}
