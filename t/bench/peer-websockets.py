#!/usr/bin/python3
"""A peer of the benchmark: Python's websockets, with its own broadcast().

    peer-websockets.py PORT CONTROL SIZE deflate|plain

Each byte on a connection to the port CONTROL sends one message of SIZE bytes to all clients of the port PORT.
"""

import asyncio
import sys
import time

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

PORT, CONTROL, SIZE = (int(a) for a in sys.argv[1:4])
DEFLATE = sys.argv[4] == 'deflate'

HEAD = '{"type":"bench","data":'
TAIL = ',"timestamp":1700000000,"seq":1000000}'


def data(length):
    """The data of bench_data() in common.c."""
    text = '{"t":"%s"' % ('0' * 20)
    x = 2463534242
    while True:
        x = (x ^ x << 13) & 0xffffffff
        x ^= x >> 17
        x = (x ^ x << 5) & 0xffffffff
        entry = (',"12D3KooW%08x%05x":{"latency_ms":%d,"height":%d,"state":"open"}'
                 % (x, x * 31 & 0xfffff, x % 400, 104000 + x % 64))
        if len(text) + len(entry) + 8 > length:
            break
        text += entry
    return '%s,"p":"%s"}' % (text, 'x' * (length - len(text) - 8))


TEXT = HEAD + data(SIZE - len(HEAD) - len(TAIL)) + TAIL
AT = len(HEAD) + len('{"t":"')

CLIENTS = set()


async def client(websocket):
    CLIENTS.add(websocket)
    try:
        await websocket.wait_closed()
    finally:
        CLIENTS.discard(websocket)


async def control(reader, _writer):
    while True:
        octets = await reader.read(4096)
        if not octets:
            return
        for _ in octets:
            now = '%020d' % time.monotonic_ns()
            websockets.broadcast(CLIENTS, TEXT[:AT] + now + TEXT[AT + 20:])


async def main():
    extensions = [ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)]
    await asyncio.start_server(control, '127.0.0.1', CONTROL)
    async with websockets.serve(client, '127.0.0.1', PORT, backlog=4096, ping_interval=None, compression=None,
                                extensions=extensions if DEFLATE else None):
        await asyncio.Future()


asyncio.run(main())
