/**
 * What a NAME.dashboard.json may say, and what is wrong with one. Plain JavaScript, because it is run in two places: in the page,
 * and by conf/run before it serves the file.
 */

const TEXT = 'text';
const FLAG = 'true or false';
const COUNT = 'a whole number from 1';
const NUMBER = 'a number';
const NAMES = 'an object of texts';
const DECIMALS = 'a whole number from 0, or the name of a member';
const MOST = 'the name of a member, or a number';

/** How a value is written. */
export const FORMATS = [
  'number', 'integer', 'exact', 'percent', 'bytes', 'rate', 'seconds', 'ms', 'time', 'coin', 'hash', 'text', 'name', 'status', 'market', 'yesno',
];

/** What is made of several entries of a log, or of several members of a snapshot. */
export const COMPUTED = ['last', 'mean', 'sum', 'rate', 'interval', 'share', 'burned', 'next_base_fee', 'behind', 'until'];

export const PANELS = ['blocks', 'numbers', 'chart', 'table', 'strength', 'markets', 'peers', 'receipts', 'gateway', 'events'];

const FORMAT = {
  as: FORMATS, unit: TEXT, decimals: DECIMALS, digits: 'a whole number from 0', times: NUMBER, names: NAMES,
};
const VALUE = {
  ...FORMAT, field: TEXT, fields: [TEXT], title: TEXT, titles: [TEXT], compute: COMPUTED, of: TEXT, over: COUNT, every: COUNT, tight: FLAG, course: FLAG, foot: TEXT,
};
const LINE = { field: TEXT, title: TEXT };
const METRIC = { ...FORMAT, id: TEXT, title: TEXT, lines: [LINE], field: TEXT, top: NUMBER };
const COLUMN = { ...FORMAT, field: TEXT, title: TEXT, width: NUMBER, grow: NUMBER, from: NUMBER, align: ['start', 'end'], empty: TEXT };

const COMMON = { panel: PANELS, id: TEXT, title: TEXT, columns_wide: COUNT, columns: COUNT };
const OF = {
  blocks: {
    stream: TEXT, number: TEXT, time: TEXT, hash: TEXT, parent: TEXT, used: { ...FORMAT, field: TEXT, of: MOST, title: TEXT }, colour: { ...FORMAT, field: TEXT, title: TEXT },
    count: { field: TEXT, title: TEXT }, entries: { stream: TEXT, number: TEXT, group: TEXT, title: TEXT }, interval: NUMBER,
  },
  numbers: { stream: TEXT, numbers: [VALUE], facts: [{ ...FORMAT, field: TEXT, title: TEXT }], note: TEXT },
  chart: { stream: TEXT, metrics: [METRIC] },
  table: { stream: TEXT, list: TEXT, fields: [COLUMN], noun: TEXT, rows: COUNT, filter: TEXT, key: TEXT, sort: TEXT },
  strength: {}, markets: {}, peers: { rows: COUNT }, receipts: { rows: COUNT }, gateway: {}, events: {},
};
const HEAD = { ...FORMAT, stream: TEXT, field: TEXT, title: TEXT };
const BOARD = { title: TEXT, subtitle: TEXT, headline: [HEAD], panels: [], others: FLAG, hide: [TEXT], watch: TEXT, watched: [{ ...OF.numbers, title: TEXT }], comment: TEXT };


/** Every sentence that there is to say about `board`; none when it can be shown. */
export function checkBoard(board) {
  const wrong = [];
  if (!isObject(board)) {
    return ['the file must hold a JSON object with "panels"'];
  }
  members(board, BOARD, '', wrong);
  if (!Array.isArray(board.panels) || board.panels.length === 0) {
    wrong.push('"panels" must be a list with at least one panel');
    return wrong;
  }
  const ids = new Map();
  board.panels.forEach((panel, index) => {
    const at = `panels[${index}]`;
    if (!isObject(panel)) {
      wrong.push(`${at} must be an object`);
      return;
    }
    if (!PANELS.includes(panel.panel)) {
      wrong.push(`${at}.panel is ${say(panel.panel)}, and must be one of ${PANELS.join(', ')}`);
      return;
    }
    members(panel, { ...COMMON, ...OF[panel.panel] }, `${at}.`, wrong);
    if (OF[panel.panel].stream !== undefined && panel.stream === undefined) {
      wrong.push(`${at} (${panel.panel}) names no "stream"`);
    }
    if (panel.panel === 'table' && panel.fields !== undefined && panel.fields.length === 0) {
      wrong.push(`${at}.fields is empty: name the members to show, or leave it out to have all of them`);
    }
    for (const name of ['columns', 'columns_wide']) {
      if (Number.isInteger(panel[name]) && panel[name] > 12) {
        wrong.push(`${at}.${name} is ${panel[name]}, and the page has 12 columns`);
      }
    }
    (Array.isArray(panel.numbers) ? panel.numbers : []).forEach((number, place) => {
      if (isObject(number) && number.field === undefined && number.fields === undefined && number.compute === undefined) {
        wrong.push(`${at}.numbers[${place}] has neither "field" nor "compute"`);
      }
    });
    const id = panelId(panel);
    if (ids.has(id)) {
      wrong.push(`${at} and panels[${ids.get(id)}] are both called "${id}": give one of them another "id"`);
    }
    ids.set(id, index);
  });
  return wrong;
}

/** The name of a panel in the page's address. */
export function panelId(panel) {
  return panel.id ?? (['numbers', 'chart', 'table'].includes(panel.panel) ? (panel.panel === 'table' ? panel.stream : `${panel.stream}-${panel.panel}`) : panel.panel);
}

function members(value, known, at, wrong) {
  for (const [name, member] of Object.entries(value)) {
    if (!Object.hasOwn(known, name)) {
      const near = Object.keys(known).find((other) => distance(other, name) <= 2);
      wrong.push(`${at}${name} is not known${near === undefined ? '' : `; did you mean "${near}"?`}`);
      continue;
    }
    one(member, known[name], `${at}${name}`, wrong);
  }
}

function one(value, kind, at, wrong) {
  if (Array.isArray(kind) && kind.length > 0 && typeof kind[0] === 'string' && kind[0] !== TEXT) {
    if (!kind.includes(value)) {
      wrong.push(`${at} is ${say(value)}, and must be one of ${kind.join(', ')}`);
    }
  } else if (Array.isArray(kind)) {
    if (!Array.isArray(value)) {
      wrong.push(`${at} is ${say(value)}, and must be a list`);
    } else if (kind.length > 0) {
      value.forEach((item, index) => one(item, kind[0], `${at}[${index}]`, wrong));
    }
  } else if (typeof kind === 'object') {
    if (!isObject(value)) {
      wrong.push(`${at} is ${say(value)}, and must be an object`);
    } else {
      members(value, kind, `${at}.`, wrong);
    }
  } else if (!fits(value, kind)) {
    wrong.push(`${at} is ${say(value)}, and must be ${kind === TEXT ? 'a text' : kind}`);
  }
}

function fits(value, kind) {
  switch (kind) {
    case TEXT:
      return typeof value === 'string';
    case FLAG:
      return typeof value === 'boolean';
    case COUNT:
      return Number.isInteger(value) && value >= 1;
    case NUMBER:
      return typeof value === 'number' && Number.isFinite(value);
    case DECIMALS:
      return typeof value === 'string' || (Number.isInteger(value) && value >= 0);
    case MOST:
      return typeof value === 'string' || (typeof value === 'number' && value > 0);
    case NAMES:
      return isObject(value) && Object.values(value).every((name) => typeof name === 'string');
    default:
      return Number.isInteger(value) && value >= 0;
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function say(value) {
  const text = value === undefined ? 'missing' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
