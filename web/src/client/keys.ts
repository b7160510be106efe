/**
 * A key of a stream is held as a stream of its own, called STREAM/KEY: names of streams have no slash.
 */
export function keyed(stream: string, key: string | undefined): string {
  return key === undefined ? stream : `${stream}/${key}`;
}

/** What `keyed` has put together; the key is undefined for a stream without one. */
export function unkeyed(name: string): { stream: string; key?: string } {
  const at = name.indexOf('/');
  return at < 0 ? { stream: name } : { stream: name.slice(0, at), key: name.slice(at + 1) };
}
