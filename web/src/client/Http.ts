import type { Credentials } from './Credentials';
import { httpFailure, messageOf } from './failures';
import { parseExact } from './json';
import { isObject } from './mergePatch';
import type { FetchInit, ResponseLike, Settings } from './options';
import { BlockcastError } from './status';

/** Requests with the client's headers and token; one that is answered 401 is made once more with a new token. */
export class Http {
  private readonly settings: Settings;
  private readonly credentials: Credentials;

  constructor(settings: Settings, credentials: Credentials) {
    this.settings = settings;
    this.credentials = credentials;
  }

  async request(url: string, init: FetchInit = {}): Promise<ResponseLike> {
    const response = await this.once(url, init);
    return response.status === 401 && this.credentials.expire() ? this.once(url, init) : response;
  }

  /** The document at `url`, its long integers intact. Rejects with what happened. */
  async json(url: string, init: FetchInit = {}): Promise<unknown> {
    const response = await this.request(url, { cache: 'no-cache', ...init });
    if (!response.ok) {
      throw httpFailure(response.status, url);
    }
    return parseExact(await response.text());
  }

  /** JSON-RPC 2.0 over POST. */
  async call(url: string, method: string, body: string, signal?: FetchInit['signal']): Promise<unknown> {
    const response = await this.request(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      ...(signal ? { signal } : {}),
    });
    let answer: unknown;
    try {
      answer = parseExact(await response.text());
    } catch {
      answer = null;
    }
    if (isObject(answer) && isObject(answer.error)) {
      const { message, code, data } = answer.error;
      const text = typeof message === 'string' ? message : 'the node reported an error';
      throw new BlockcastError(`${method}: ${text}`, 'rpc', typeof code === 'number' || typeof code === 'string' ? code : null, data);
    }
    if (response.ok && isObject(answer) && 'result' in answer) {
      return answer.result;
    }
    if ([404, 405, 426, 501].includes(response.status)) {
      throw new BlockcastError(`this gateway has no JSON-RPC at ${url} (HTTP ${response.status})`, 'unsupported', response.status);
    }
    throw response.ok
      ? new BlockcastError(`${url} did not answer ${method} with JSON-RPC`, 'protocol')
      : httpFailure(response.status, url);
  }

  private async once(url: string, init: FetchInit): Promise<ResponseLike> {
    let token: string | null;
    try {
      token = await this.credentials.current();
    } catch (error) {
      throw new BlockcastError(`no token: ${messageOf(error)}`, 'unauthorized');
    }
    const headers = {
      ...this.settings.headers,
      ...init.headers,
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    };
    try {
      return await this.settings.fetch(url, { ...init, ...(Object.keys(headers).length > 0 ? { headers } : {}) });
    } catch (error) {
      throw new BlockcastError(`${url} cannot be reached (${messageOf(error)})`, 'unreachable');
    }
  }
}
