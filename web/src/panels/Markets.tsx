import type { ReactNode } from 'react';
import { errorText, type MarketHealth, type MarketsHealth } from '../client';
import { useSeries } from '../app/series';
import { useStreamView } from '../hooks';
import { bytes, exact, isNumeric, label } from '../app/format';
import type { Series } from '../app/history';
import { Icon, type IconName } from '../ui/Icon';
import { Panel } from '../ui/Panel';
import { Sparkline } from '../ui/Sparkline';
import { NotReported } from '../ui/Value';
import '../ui/badge.css';
import './Markets.css';

const ORDER = ['compute', 'storage', 'energy', 'ads'];
const ICONS: Record<string, IconName> = { compute: 'compute', storage: 'storage', energy: 'energy', ads: 'ads' };

const STATUS: Record<string, { icon: IconName; tone: string; text: string }> = {
  healthy: { icon: 'ok', tone: 'ok', text: 'Healthy' },
  degraded: { icon: 'warn', tone: 'warn', text: 'Degraded' },
  idle: { icon: 'idle', tone: 'idle', text: 'Idle' },
  down: { icon: 'bad', tone: 'bad', text: 'Down' },
  unavailable: { icon: 'bad', tone: 'bad', text: 'Unavailable' },
};

export function marketIcon(market: string): IconName {
  return ICONS[market] ?? 'block';
}

export function StatusBadge({ status }: { status: string }): ReactNode {
  const { icon, tone, text } = STATUS[status] ?? { icon: 'info' as const, tone: 'idle', text: label(status) };
  return (
    <span className="badge" data-tone={tone}>
      <Icon name={icon} size={13} />
      {text}
    </span>
  );
}

export function Markets({ id, className }: { id: string; className: string }): ReactNode {
  const view = useStreamView<MarketsHealth>('markets_health');
  const series = useSeries('markets_health');
  const { data } = view;
  const markets = data?.markets ?? {};
  const names = data === null ? ORDER : sorted(Object.keys(markets));

  return (
    <Panel
      title="Markets"
      view={view}
      className={className}
      id={id}
      note={
        data === null ? undefined : (
          <>
            <StatusBadge status={data.overall_status} />
            <span>
              {data.healthy_markets} of {data.total_markets} healthy
            </span>
          </>
        )
      }
    >
      <ul className="markets">
        {names.map((name) => (
          <Market key={name} name={name} health={markets[name]} series={series} waiting={data === null} />
        ))}
      </ul>
    </Panel>
  );
}

function sorted(names: string[]): string[] {
  const place = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return [...names].sort((a, b) => place(a) - place(b));
}

interface MarketProps {
  name: string;
  health: MarketHealth | undefined;
  series: Series;
  waiting: boolean;
}

function Market({ name, health, series, waiting }: MarketProps): ReactNode {
  const figures = Object.entries(health ?? {}).filter(([key]) => key !== 'status' && key !== 'error');
  const lead = figures.find(([, value]) => isNumeric(value))?.[0];
  const error = errorText(health?.error);

  return (
    <li className="market" data-market={name} data-status={health?.status ?? 'waiting'}>
      <div className="market-head">
        <span className="market-mark">
          <Icon name={marketIcon(name)} size={16} />
        </span>
        <h3>{label(name)}</h3>
        {health === undefined ? <span className="placeholder">{waiting ? '–' : <NotReported />}</span> : <StatusBadge status={health.status} />}
      </div>
      {error !== null && <p className="market-error">{error}</p>}
      <dl className="market-figures">
        {figures.map(([key, value]) => (
          <div key={key}>
            <dt>{FIGURES[key] ?? label(key)}</dt>
            <dd>
              <MarketFigure name={key} value={value} />
            </dd>
          </div>
        ))}
      </dl>
      {lead !== undefined && (
        <Sparkline series={series} names={[`markets.${name}.${lead}`]} window={600} label={`${label(name)}: ${label(lead)}, last 10 minutes`} height={22} />
      )}
    </li>
  );
}

const FIGURES: Record<string, string> = {
  active_jobs: 'Active jobs',
  total_providers: 'Providers',
  total_stored: 'Stored',
  total_credits: 'Credits',
  active_traders: 'Traders',
  active_campaigns: 'Campaigns',
  total_impressions: 'Impressions',
};

function MarketFigure({ name, value }: { name: string; value: unknown }): ReactNode {
  if (!isNumeric(value)) {
    return value === null || value === undefined ? <NotReported /> : String(value);
  }
  if (/stored|bytes/.test(name)) {
    const [number, unit] = bytes(value);
    return (
      <span title={`${exact(value)} bytes`}>
        {number} <span className="figure-unit">{unit}</span>
        {value >= 1024 && <span className="market-exact">{exact(value)} B</span>}
      </span>
    );
  }
  const text = exact(value);
  return <span data-long={text.length > 13}>{text}</span>;
}
