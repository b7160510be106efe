import { Credentials } from './Credentials';
import { messageOf } from './failures';
import { Http } from './Http';
import { isObject } from './mergePatch';
import type { StreamData, StreamName } from './messages';
import { defined, DEFAULTS, type FetchInit, type Settings, type StreamClientOptions } from './options';
import { BlockcastError } from './status';
import type { StreamMessage } from './StreamSlot';
import { resolveHttp, restUrls, websocketUrl } from './urls';

/** Reads one stream's newest message by REST, without a connection: for servers, scripts and `initialData`. */
export async function fetchStream<S extends StreamName>(
  url: string,
  stream: S,
  options: Pick<StreamClientOptions, 'token' | 'headers' | 'fetch' | 'rest'> & { signal?: FetchInit['signal'] } = {},
): Promise<StreamMessage<StreamData<S>>> {
  const { signal, ...rest } = options;
  const settings: Settings = { ...DEFAULTS, ...defined(rest) };
  const http = new Http(settings, new Credentials(settings));
  const websocket = websocketUrl(url);
  const prefix = /\/api\/?$/.test(url) ? url.replace(/\/$/, '') : typeof rest.rest === 'string' ? resolveHttp(rest.rest, websocket) : restUrls(websocket)[0];
  let message: unknown;
  try {
    message = await http.json(`${prefix}/streams/${encodeURIComponent(stream)}`, signal ? { signal } : {});
  } catch (error) {
    throw error instanceof BlockcastError ? error : new BlockcastError(messageOf(error), 'protocol');
  }
  if (!isObject(message) || message.data === undefined) {
    throw new BlockcastError(`${prefix} has no data of "${stream}"`, 'protocol');
  }
  const { seq, timestamp, data } = message;
  return {
    stream,
    kind: 'snapshot',
    data: data as StreamData<S>,
    seq: typeof seq === 'number' ? seq : null,
    timestamp: typeof timestamp === 'number' ? timestamp : null,
    gap: null,
    field: null,
  };
}
