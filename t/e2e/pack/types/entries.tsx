import { StreamProvider, useConnection, useDataStream, useSuspenseDataStream, useWebSocket, Status } from 'blockcast-web';
import { StreamClient, fetchStream, BlockcastError, type StreamMessage } from 'blockcast-web/client';
import { defineElements } from 'blockcast-web/elements';
import { FakeSocket } from 'blockcast-web/testing';

declare module 'blockcast-web' {
  interface Streams {
    gas: { base_fee: number | bigint; blocks: { number: number }[] };
  }
}

export function Types() {
  const metrics = useDataStream('network_metrics', 'ws://localhost:8080');
  const strength: number | null | undefined = metrics.data?.network_strength;
  const gas = useDataStream('gas').data;
  const fee: number | bigint | undefined = gas?.base_fee;
  // @ts-expect-error there is no such member
  const wrong = gas?.no_such_member;
  const chosen = useDataStream('gas', { select: (data) => data.blocks.length });
  const length: number | null = chosen.data;
  const own = useDataStream<{ n: number }>('own').data?.n;
  const total: number = useSuspenseDataStream('peers').data.total;
  const { state } = useConnection();
  const live: boolean = chosen.status === Status.Live;
  const { data } = useWebSocket({ url: 'ws://localhost:8080', reconnect: true, reconnectInterval: 1000, streams: ['gas'] });
  return (
    <StreamProvider url="/ws" token={async () => 'token'} reconnectInterval={500}>
      {strength} {String(fee)} {wrong} {length} {own} {total} {state} {live} {data.gas?.blocks.length}
    </StreamProvider>
  );
}

export async function client() {
  const one = new StreamClient({ url: 'ws://localhost:8080', token: 'token', headers: { 'X-Of': 'mine' } });
  one.subscribe('gas', {
    onData: (data, message) => [data.base_fee, message.seq],
    onStatus: ({ status, node, retryIn, note }) => [status, node, retryIn, note],
    onGap: ({ since, oldest }) => since + oldest,
  });
  for await (const message of one.stream('gas', { filter: { number: [1, 2n] } })) {
    const typed: StreamMessage<{ base_fee: number | bigint }> = message;
    return typed.data.base_fee;
  }
  const height: bigint = await one.call<bigint>('height', []);
  const { data } = await fetchStream('http://localhost:8000', 'peers');
  defineElements();
  FakeSocket.install();
  return [height, data.total, BlockcastError];
}
