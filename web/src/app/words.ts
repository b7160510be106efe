import type { HealthKind } from './health';

/** The state of everything in a word or two. */
export const SHORT: Record<HealthKind, string> = {
  live: 'Live',
  connecting: 'Connecting',
  waiting: 'Waiting',
  polling: 'Polling',
  'catching-up': 'Waiting',
  'partly-stale': 'Partly stale',
  'node-down': 'Node down',
  reconnecting: 'Reconnecting',
  disconnected: 'Disconnected',
  offline: 'Offline',
  paused: 'Paused',
  incompatible: 'Outdated page',
};
