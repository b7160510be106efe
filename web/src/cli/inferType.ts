/** TypeScript types of JSON values as they come. */

export interface Shape {
  kinds: Set<'null' | 'boolean' | 'number' | 'bigint' | 'string'>;
  /** Members of all objects that were seen here. */
  members: Map<string, Shape> | null;
  /** How many objects were seen, and in how many of them this member was. */
  objects: number;
  seen: number;
  /** The elements of all arrays that were seen here. */
  elements: Shape | null;
}

export function newShape(): Shape {
  return { kinds: new Set(), members: null, objects: 0, seen: 0, elements: null };
}

/** Adds one more value to what is known of a place. */
export function observe(shape: Shape, value: unknown): Shape {
  shape.seen += 1;
  if (Array.isArray(value)) {
    shape.elements ??= newShape();
    for (const element of value) {
      observe(shape.elements, element);
    }
  } else if (typeof value === 'object' && value !== null) {
    shape.members ??= new Map();
    shape.objects += 1;
    for (const [name, member] of Object.entries(value)) {
      const known = shape.members.get(name) ?? newShape();
      shape.members.set(name, observe(known, member));
    }
  } else {
    shape.kinds.add(value === null || value === undefined ? 'null' : (typeof value as 'string'));
  }
  return shape;
}

/** An object with more members than this, all of one type, is a table: its names are data. */
const TABLE = 12;

export function typeOf(shape: Shape, indent = ''): string {
  const types: string[] = [];
  // A number that was beyond 2^53 once may be below it the next time.
  if (shape.kinds.has('bigint')) {
    types.push('number | bigint');
  } else if (shape.kinds.has('number')) {
    types.push('number');
  }
  for (const kind of ['string', 'boolean'] as const) {
    if (shape.kinds.has(kind)) {
      types.push(kind);
    }
  }
  if (shape.elements !== null) {
    const element = typeOf(shape.elements, indent);
    types.push(/[|]/.test(element.replace(/\{[\s\S]*\}/, '')) ? `(${element})[]` : `${element}[]`);
  }
  if (shape.members !== null) {
    types.push(objectType(shape.members, shape.objects, indent));
  }
  if (shape.kinds.has('null') && types.length > 0) {
    types.push('null');
  }
  return types.length === 0 ? 'unknown' : types.join(' | ');
}

function objectType(members: Map<string, Shape>, objects: number, indent: string): string {
  if (members.size === 0) {
    return 'Record<string, unknown>';
  }
  const inner = `${indent}  `;
  const lines = [...members].map(([name, shape]) => ({
    name: /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name),
    optional: shape.seen < objects,
    type: typeOf(shape, inner),
  }));
  const first = lines[0]?.type;
  if (lines.length > TABLE && lines.every(({ type }) => type === first)) {
    return `Record<string, ${typeOf([...members.values()][0] as Shape, indent)}>`;
  }
  return `{\n${lines.map(({ name, optional, type }) => `${inner}${name}${optional ? '?' : ''}: ${type};\n`).join('')}${indent}}`;
}
