import { Suspense } from 'react';
import { fetchStream } from 'blockcast-web/client';
import { Height, Peers, Strength } from './live';

export const dynamic = 'force-dynamic';

/** Comes later than the rest, and is hydrated by itself. */
async function Late() {
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return <Height id="late" />;
}

export default async function Page() {
  const { data } = await fetchStream(process.env.NEXT_PUBLIC_GATEWAY!, 'network_metrics');
  return (
    <main>
      <p data-testid="server">{String(data.block_height)}</p>
      <Strength initial={data.network_strength} />
      <Height id="early" />
      <Suspense fallback={<p data-testid="peers-waiting">waiting</p>}>
        <Peers />
      </Suspense>
      <Suspense fallback={<p data-testid="late-waiting">waiting</p>}>
        <Late />
      </Suspense>
    </main>
  );
}
