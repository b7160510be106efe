/** Files that the page makes for whoever looks at it. Nothing leaves the browser. */

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
