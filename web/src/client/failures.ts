import { PROTOCOL_VERSION } from './messages';
import { BlockcastError, type ErrorReason } from './status';

/** What went wrong, as a word to act on and a sentence to show. */
export interface Failure {
  readonly reason: ErrorReason;
  readonly text: string;
  /** The code of the WebSocket's close, or 0. */
  readonly code?: number;
  /** Another attempt would change nothing. */
  readonly final?: boolean;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const UNAUTHORIZED = 'unauthorized: the gateway wants a token, or does not know the one it got';
const FORBIDDEN = 'forbidden: the gateway lets this page or this token in nowhere';

/** What an HTTP status that is not 2xx means. */
export function httpFailure(status: number, url: string): BlockcastError {
  switch (status) {
    case 401:
      return new BlockcastError(UNAUTHORIZED, 'unauthorized', 401);
    case 403:
      return new BlockcastError(FORBIDDEN, 'forbidden', 403);
    case 429:
      return new BlockcastError('the gateway lets nobody ask this often (HTTP 429)', 'busy', 429);
    default:
      return new BlockcastError(`the gateway answered ${status} at ${url}`, status >= 500 ? 'busy' : 'refused', status);
  }
}

/**
 * Why a WebSocket ended or never opened. `hint` is what its error event said: nothing in a browser, the HTTP status of the refusal
 * elsewhere.
 */
export function closeFailure(event: { code?: number; reason?: string }, opened: boolean, hint: string): Failure {
  const code = event.code ?? 0;
  const status = Number(/\b(?:response|status)\D{0,8}([45]\d\d)\b/i.exec(hint)?.[1] ?? 0);
  if (!opened && status !== 0) {
    const { message, reason } = httpFailure(status, 'the WebSocket’s address');
    return { reason: reason as ErrorReason, text: message, code };
  }
  const [reason, text] = closeReason(code, opened);
  return { reason, code, text: event.reason || (!opened && hint !== '' ? `${text}: ${hint}` : text) };
}

function closeReason(code: number, opened: boolean): [ErrorReason, string] {
  switch (code) {
    case 1000:
    case 1001:
      return ['closed', 'the gateway said goodbye'];
    case 1008:
      return ['refused', 'the gateway refused this page'];
    case 1012:
      return ['restarting', 'the gateway restarts'];
    case 1013:
      return ['busy', 'the gateway is too busy'];
    // of the registry of close codes, and what is usual
    case 3000:
    case 4401:
      return ['unauthorized', UNAUTHORIZED];
    case 3003:
    case 4403:
      return ['forbidden', FORBIDDEN];
    default:
      return opened ? ['broken', 'the connection broke'] : ['unreachable', 'the gateway cannot be reached'];
  }
}

export function incompatibility(protocol: unknown): string | null {
  if (protocol === undefined || protocol === null) {
    return null;
  }
  const version = /(\d+)(?:\.\d+)*$/.exec(String(protocol).replace(/^(\D*\d+).*$/, '$1'))?.[1];
  return version === undefined || Number(version) === PROTOCOL_VERSION
    ? null
    : `this page speaks version ${PROTOCOL_VERSION} of the protocol, the gateway version ${version}`;
}
