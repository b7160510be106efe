'use client';

import { useDataStream, useSuspenseDataStream } from 'blockcast-web';

export function Height({ id }: { id: string }) {
  const { data, status } = useDataStream('network_metrics', { select: (metrics) => String(metrics.block_height) });
  return <p data-testid={id} data-status={status}>{data ?? 'none'}</p>;
}

export function Strength({ initial }: { initial: number | null }) {
  const { data } = useDataStream('network_metrics', { select: (metrics) => metrics.network_strength });
  return <p data-testid="strength">{data ?? initial}</p>;
}

export function Peers() {
  const { data } = useSuspenseDataStream('peers');
  return <p data-testid="peers">{data.total}</p>;
}
