import type { ReactNode } from 'react';

/** Line icons on a 16 × 16 grid. They never stand alone: a word is always beside them, seen or for screen readers. */
const SHAPES = {
  ok: <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM5.2 8.2l2 2 3.8-4.2" />,
  warn: <path d="M8 2.2 14.6 13.6H1.4ZM8 6.6v3.2M8 11.7v.1" />,
  bad: <path d="M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3ZM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" />,
  info: <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 7.4v3.8M8 4.9v.1" />,
  idle: <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM5 8h6" />,
  clock: <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 4.6V8l2.4 1.6" />,
  pause: <path d="M5.5 3v10M10.5 3v10" />,
  play: <path d="M4.5 2.8v10.4L13 8Z" />,
  up: <path d="M8 13V3M4 7l4-4 4 4" />,
  down: <path d="M8 3v10M4 9l4 4 4-4" />,
  sort: <path d="M5 6.5 8 3.5l3 3M5 9.5l3 3 3-3" />,
  search: <path d="M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9ZM10.4 10.4 14 14" />,
  sun: <path d="M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6ZM8 1v1.4M8 13.6V15M1 8h1.4M13.6 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" />,
  moon: <path d="M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z" />,
  screen: <path d="M1.8 2.8h12.4v8.4H1.8ZM5.5 14h5M8 11.2V14" />,
  refresh: <path d="M13.5 8a5.5 5.5 0 1 1-1.6-3.9L13.5 5.7M13.5 2.2v3.5H10" />,
  shield: <path d="M8 1.6 13.2 3.6v4c0 3.2-2.2 5.6-5.2 6.8-3-1.2-5.2-3.6-5.2-6.8v-4ZM5.6 7.9l1.7 1.7 3.1-3.3" />,
  compute: <path d="M4 4h8v8H4ZM6.5 6.5h3v3h-3ZM6 1.5V4M10 1.5V4M6 12v2.5M10 12v2.5M1.5 6H4M1.5 10H4M12 6h2.5M12 10h2.5" />,
  storage: <path d="M2.5 4c0-1.1 2.5-2 5.5-2s5.5.9 5.5 2-2.5 2-5.5 2-5.5-.9-5.5-2ZM2.5 4v8c0 1.1 2.5 2 5.5 2s5.5-.9 5.5-2V4M2.5 8c0 1.1 2.5 2 5.5 2s5.5-.9 5.5-2" />,
  energy: <path d="M9.2 1.5 3.5 9h4l-.700 5.5L12.5 7h-4Z" />,
  ads: <path d="M2 6.5v3h2.5L11 13V3L4.5 6.5ZM13 6.2c.8.9.8 2.7 0 3.6M5 9.5l1 4" />,
  block: <path d="M8 1.6 13.6 4.8v6.4L8 14.4l-5.6-3.2V4.8ZM2.4 4.8 8 8l5.6-3.2M8 8v6.4" />,
  save: <path d="M8 2v8M4.8 7 8 10.2 11.2 7M2.5 13.5h11" />,
  close: <path d="M3.5 3.5l9 9M12.5 3.5l-9 9" />,
  copy: <path d="M5.5 5.5h8v8h-8ZM10.5 5.5v-3h-8v8h3" />,
  link: <path d="M6.8 9.2 9.2 6.8M7 4.6l1.6-1.6a3 3 0 0 1 4.4 4.4L11.4 9M9 11.4 7.4 13A3 3 0 0 1 3 8.600L4.600 7" />,
  bell: <path d="M8 2a4 4 0 0 1 4 4c0 3.500 1.500 4.500 1.500 5.500h-11C2.500 10.500 4 9.500 4 6a4 4 0 0 1 4-4ZM6.500 13.500h3" />,
  share: <path d="M2.500 9v4.500h11V9M8 10V2M5 5l3-3 3 3" />,
  left: <path d="M10 3 5 8l5 5" />,
  right: <path d="M6 3l5 5-5 5" />,
} as const;

export type IconName = keyof typeof SHAPES;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }): ReactNode {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {SHAPES[name]}
    </svg>
  );
}
