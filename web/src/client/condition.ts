import type { NodeState } from './messages';
import type { ConnectionStatus, ErrorReason, Status } from './status';
import type { StreamView } from './StreamSlot';

/** How one stream is, the connection taken into account. */
export interface StreamCondition {
  readonly status: Status;
  /** Data can come now. */
  readonly connected: boolean;
  /** Why the stream, or else the connection, delivers nothing. */
  readonly error: string | null;
  /** The same as one word. */
  readonly reason: ErrorReason | null;
  /** The gateway's code when it refused the stream. */
  readonly refused: string | null;
  /** What the gateway said of the stream's node: `down` or `limited`, else null. */
  readonly node: NodeState | null;
  /** Seconds until the node is asked again, as of the gateway's message. */
  readonly retryIn: number | null;
  /** When the node is asked again, or else when the connection is tried again (local clock, ms). */
  readonly retryAt: number | null;
  /** Something that happened within the last minute. */
  readonly note: string | null;
}

export function streamCondition(view: StreamView, connection: ConnectionStatus): StreamCondition {
  return {
    status: statusOf(view, connection),
    connected: connection.connected,
    error: view.error ?? (connection.connected ? null : connection.error),
    reason: view.refused !== null ? 'refused' : view.error !== null ? 'node' : connection.connected ? null : connection.reason,
    refused: view.refused,
    node: view.node,
    retryIn: view.retryIn,
    retryAt: view.nodeRetryAt ?? connection.retryAt,
    note: view.note,
  };
}

function statusOf(view: StreamView, connection: ConnectionStatus): Status {
  if (view.refused !== null) {
    return 'refused';
  }
  if (connection.connected) {
    return view.state;
  }
  if (connection.reason === 'unauthorized' || connection.reason === 'forbidden') {
    return 'unauthorized';
  }
  if (connection.state === 'disconnected' || view.data === null) {
    return connection.state;
  }
  return view.state; // live for a moment, then stale
}

export function sameCondition(one: StreamCondition, other: StreamCondition): boolean {
  return (Object.keys(one) as (keyof StreamCondition)[]).every((name) => Object.is(one[name], other[name]));
}
