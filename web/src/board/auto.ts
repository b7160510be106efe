import type { Board, PanelConfig } from './types';

/** The page of a gateway without a dashboard.json: what its streams are known by, and whatever else there is. */
export function autoBoard(streams: readonly string[]): Board {
  const has = (name: string): boolean => streams.includes(name);
  const panels: PanelConfig[] = [];
  if (has('network_metrics')) {
    panels.push(
      { panel: 'strength', columns: 4, columns_wide: 3 },
      {
        panel: 'numbers',
        id: 'metrics',
        title: 'Network',
        stream: 'network_metrics',
        columns: 8,
        columns_wide: 5,
        numbers: [
          { field: 'block_height', title: 'Block height', as: 'exact', tight: true, foot: 'pace' },
          { field: 'tps', title: 'Throughput', unit: 'tx/s' },
          { field: 'finality_time', title: 'Finality', unit: 's' },
          { field: 'peer_count', title: 'Peers', as: 'exact' },
          { fields: ['bandwidth_in', 'bandwidth_out'], titles: ['in', 'out'], title: 'Bandwidth', as: 'rate' },
          { field: 'active_connections', title: 'Active connections', as: 'exact' },
        ],
      },
    );
  }
  if (has('markets_health')) {
    panels.push({ panel: 'markets', columns: 5, columns_wide: 4 });
  }
  if (has('network_metrics')) {
    panels.push({ panel: 'chart', id: 'history', title: 'History', stream: 'network_metrics', columns: 7, metrics: NETWORK });
  }
  if (has('receipts')) {
    panels.push({ panel: 'receipts', columns: 12 });
  }
  if (has('peers')) {
    panels.push({ panel: 'peers', columns: 12 });
  }
  if (has('blocks')) {
    panels.push(
      {
        panel: 'blocks',
        title: 'Newest blocks',
        stream: 'blocks',
        used: { field: 'gas_used', of: 'gas_limit', title: 'Gas used' },
        colour: { field: 'base_fee', title: 'Base fee' },
        count: { field: 'tx_count', title: 'tx' },
      },
      { panel: 'table', id: 'block-list', stream: 'blocks', title: 'Blocks' },
    );
  }
  if (streams.length > 0) {
    panels.push({ panel: 'gateway', columns: 7 }, { panel: 'events', columns: 5 });
  }
  return { panels };
}

const NETWORK = [
  { id: 'tps', title: 'Throughput', field: 'tps', unit: 'tx/s' },
  { id: 'finality', title: 'Finality', field: 'finality_time', unit: 's' },
  { id: 'peers', title: 'Peers', lines: [{ field: 'peer_count', title: 'Peers' }, { field: 'active_connections', title: 'Connections' }] },
  { id: 'bandwidth', title: 'Bandwidth', as: 'rate' as const, lines: [{ field: 'bandwidth_in', title: 'In' }, { field: 'bandwidth_out', title: 'Out' }] },
  { id: 'strength', title: 'Strength', field: 'network_strength', top: 100 },
];
