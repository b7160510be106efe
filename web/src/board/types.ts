/** What a NAME.dashboard.json says; web/README.md describes it, `check.js` checks it. */

export type As =
  | 'number'
  | 'integer'
  | 'exact'
  | 'percent'
  | 'bytes'
  | 'rate'
  | 'seconds'
  | 'ms'
  | 'time'
  | 'coin'
  | 'hash'
  | 'text'
  | 'name'
  | 'status'
  | 'market'
  | 'yesno';

/** How a value is written. */
export interface Format {
  as?: As;
  unit?: string;
  /** Of `coin`: how many decimals lie between the node's number and the unit. Wei to ether: 18. Or the member that says it. */
  decimals?: number | string;
  /** The number is shown so many times as large: a price by 1,000 bytes as one by byte. */
  times?: number;
  digits?: number;
  /** Of `name`: what values are called. */
  names?: Readonly<Record<string, string>>;
}

export type Computed = 'last' | 'mean' | 'sum' | 'rate' | 'interval' | 'share' | 'burned' | 'next_base_fee' | 'behind' | 'until';

export interface NumberConfig extends Format {
  field?: string;
  /** Two members in one tile, or what `compute` is made of. */
  fields?: readonly string[];
  title?: string;
  titles?: readonly string[];
  compute?: Computed;
  /** A log stream, of whose newest entries `compute` is made. */
  of?: string;
  over?: number;
  /** Of `until`: up to the next multiple of this. */
  every?: number;
  /** The scale is no wider than the values. */
  tight?: boolean;
  course?: boolean;
  /** What is written below instead of the range. */
  foot?: string;
}

export interface MetricConfig extends Format {
  id?: string;
  title?: string;
  field?: string;
  lines?: readonly { field: string; title?: string }[];
  top?: number;
}

export interface ColumnConfig extends Format {
  field: string;
  title?: string;
  /** In rem; `grow` is its share of the room that is left. */
  width?: number;
  grow?: number;
  /** Left out in tables narrower than this, in px. */
  from?: number;
  align?: 'start' | 'end';
  /** What stands for null. */
  empty?: string;
}

interface Common {
  id?: string;
  title?: string;
  /** Of 12, from 1200 px on; and from 1920 px on. */
  columns?: number;
  columns_wide?: number;
}

export interface BlocksConfig extends Common {
  panel: 'blocks';
  /** A log of blocks, or a snapshot with the height. */
  stream: string;
  number?: string;
  time?: string;
  hash?: string;
  parent?: string;
  used?: Format & { field: string; of?: string | number; title?: string };
  colour?: Format & { field: string; title?: string };
  count?: { field: string; title?: string };
  /** A log whose entries name their block: what is in the blocks of a chain without a log of blocks. */
  entries?: { stream: string; number: string; group?: string; title?: string };
  /** Seconds between two blocks, when the chain has a fixed time. */
  interval?: number;
}

export interface NumbersConfig extends Common {
  panel: 'numbers';
  stream: string;
  numbers?: readonly NumberConfig[];
  facts?: readonly (Format & { field: string; title?: string })[];
  note?: string;
}

export interface ChartConfig extends Common {
  panel: 'chart';
  stream: string;
  metrics?: readonly MetricConfig[];
}

export interface TableConfig extends Common {
  panel: 'table';
  stream: string;
  /** The member that has the rows, of a snapshot. */
  list?: string;
  fields?: readonly ColumnConfig[];
  noun?: string;
  rows?: number;
  /** Buttons for each value of this member. */
  filter?: string;
  /** The member that names a row in an address. */
  key?: string;
  sort?: string;
}

export interface FixedConfig extends Common {
  panel: 'strength' | 'markets' | 'peers' | 'receipts' | 'gateway' | 'events';
  rows?: number;
}

export type PanelConfig = BlocksConfig | NumbersConfig | ChartConfig | TableConfig | FixedConfig;

export interface Board {
  title?: string;
  subtitle?: string;
  /** What the tab's title says. */
  headline?: readonly (Format & { stream: string; field: string; title?: string })[];
  panels: readonly PanelConfig[];
  /** Streams that no panel names are shown at the end. Default: true. */
  others?: boolean;
  /** Of these, streams that are for other clients: they are not shown. */
  hide?: readonly string[];
  /** What can be watched, as "address or hash": the box for it is at the top, and has its place from the start. */
  watch?: string;
  /** How what is watched of a stream with a key is written; without it, all of its members. */
  watched?: readonly Omit<NumbersConfig, 'panel'>[];
  comment?: string;
}
