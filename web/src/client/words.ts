import { PROTOCOL_VERSION, type DataMessage, type StreamState } from './messages';
import type { StreamSlot } from './StreamSlot';

/** Small questions that the client asks of what it is given. */

export function isHidden(): boolean {
  return typeof document !== 'undefined' && document.visibilityState === 'hidden';
}

export function isStreamState(state: unknown): state is StreamState {
  return state === 'waiting' || state === 'live' || state === 'stale';
}

/** REST knows more states than a listener meets: a stream that nobody listens to is `idle`, and not live. */
export function restState(state: string | null): StreamState {
  return isStreamState(state) ? state : 'stale';
}

/** By REST there is no welcome: a seq that went back while the time went on tells that the gateway started over. */
export function startedOver(slot: StreamSlot, message: DataMessage): boolean {
  const { seq, timestamp } = slot.view;
  return (
    seq !== null &&
    timestamp !== null &&
    typeof message.seq === 'number' &&
    typeof message.timestamp === 'number' &&
    message.seq < seq &&
    message.timestamp > timestamp
  );
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

export function closeText(event: CloseEvent, opened: boolean): string {
  if (event.reason) {
    return event.reason;
  }
  switch (event.code) {
    case 1000:
    case 1001:
      return 'the gateway said goodbye';
    case 1008:
      return 'the gateway refused this page';
    case 1012:
      return 'the gateway restarts';
    case 1013:
      return 'the gateway is too busy';
    default:
      return opened ? 'the connection broke' : 'the gateway cannot be reached';
  }
}

export function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
