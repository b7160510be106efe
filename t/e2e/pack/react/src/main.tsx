import { Component, StrictMode, Suspense, useRef, type ReactNode } from 'react';
import { createRoot, hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { StreamProvider, useConnection, useDataStream, useSuspenseDataStream } from 'blockcast-web';

declare global {
  interface Window {
    seen: { messages: number; entries: number; renders: number; faults: string[] };
  }
}

window.seen = { messages: 0, entries: 0, renders: 0, faults: [] };

function Height() {
  const { data, status } = useDataStream('network_metrics', { select: (metrics) => String(metrics.block_height) });
  return <p data-testid="height" data-status={status}>{data ?? 'none'}</p>;
}

function Receipts() {
  const counted = useRef(0);
  const { entries } = useDataStream('receipts', {
    filter: { market: ['compute', 'ads'] },
    onMessage: (data) => {
      window.seen.messages += 1;
      counted.current += data.receipts.length;
      window.seen.entries = counted.current;
    },
  });
  window.seen.renders += 1;
  return <p data-testid="markets">{[...new Set(entries.map(({ value }) => String(value.market)))].sort().join(' ')}</p>;
}

function Peers() {
  const { data } = useSuspenseDataStream('peers');
  return <p data-testid="peers">{data.total}</p>;
}

function Never() {
  const { status } = useDataStream('operations', { enabled: false });
  return <p data-testid="never">{status}</p>;
}

function Unknown() {
  useSuspenseDataStream('no_such_stream');
  return null;
}

class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    return this.state.error === null ? this.props.children : <p data-testid="refused">{this.state.error.message}</p>;
  }
}

function Connection() {
  const { state, reason } = useConnection();
  return <p data-testid="connection">{`${state} ${reason ?? ''}`}</p>;
}

const token = new URLSearchParams(location.search).get('token') ?? undefined;

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <StreamProvider url="/ws" token={token}>
      <Connection />
      <Height />
      <Receipts />
      <Never />
      <Suspense fallback={<p data-testid="fallback">waiting</p>}>
        <Peers />
      </Suspense>
      <Boundary>
        <Suspense fallback={null}>
          <Unknown />
        </Suspense>
      </Boundary>
    </StreamProvider>
  </StrictMode>,
);

// Two roots over what a server rendered; the second one is hydrated when data has come already.
function Page() {
  const { data, connected, status } = useDataStream('markets_health', { url: '/ws', initialData: undefined });
  return (
    <p data-status={status}>
      {connected ? 'connected' : 'not connected'}: {data === null ? 'none' : data.overall_status}
    </p>
  );
}

const html = renderToString(<Page />);
const onRecoverableError = (error: unknown): void => void window.seen.faults.push(String(error));
const [one, two] = ['one', 'two'].map((id) => document.getElementById(id)!);
one!.innerHTML = html;
two!.innerHTML = html;
hydrateRoot(one!, <Page />, { onRecoverableError });
const timer = setInterval(() => {
  if (one!.textContent!.startsWith('connected: ') && !one!.textContent!.endsWith('none')) {
    clearInterval(timer);
    hydrateRoot(two!, <Page />, { onRecoverableError });
  }
}, 20);
