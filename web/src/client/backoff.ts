/** Full jitter: anywhere between nothing and the cap of this attempt, so that a thousand pages do not come back together. */

export interface BackoffOptions {
  /** Longest wait before the first new attempt, in ms. */
  base: number;
  /** Longest wait ever, in ms. */
  max: number;
}

export function backoffCap(attempt: number, { base, max }: BackoffOptions): number {
  return Math.min(max, base * 2 ** Math.min(Math.max(attempt, 0), 30));
}

/** The wait before attempt number `attempt` (0 is the first after a loss), in ms. `random` gives [0, 1). */
export function backoffDelay(attempt: number, options: BackoffOptions, random: () => number): number {
  return Math.round(random() * backoffCap(attempt, options));
}
