#!/usr/bin/python3

"""Clients of another make (python3-websockets) for the chaos test: they take
compressed messages, come back with `since`, and write down what they receive.

usage: chaos_clients.py PORT PATH CLIENTS SEED SNAPSHOT LOG FILE

FILE gets a line for each event, its fields parted by tabs: time, number of the
client, open|message|closed, and the worker's pid, the message, or the reason.
They end with their parent.
"""

import asyncio
import json
import os
import random
import sys
import time

import websockets

port, path, count, seed, snapshot, log, name = sys.argv[1:]
out = open(name, "w", buffering=1, encoding="utf-8")
dice = random.Random(seed)
parent = os.getppid()


def note(n, what, text):
    out.write(f"{time.time():.6f}\t{n}\t{what}\t{text}\n")


async def visit(n, newest):
    """One connection; newest[n] is the log's newest seq."""
    options = {"ping_interval": None, "open_timeout": 5, "close_timeout": 1,
               "compression": "deflate" if n % 2 else None}
    stay = dice.uniform(1, 12)

    async with websockets.connect(f"ws://127.0.0.1:{port}{path}", **options) as ws:
        note(n, "open", ws.response_headers.get("X-Worker", ""))
        await ws.send(json.dumps({"type": "subscribe", "stream": snapshot}))
        ask = {"type": "subscribe", "stream": log}
        if n in newest:
            ask["since"] = newest[n]
        await ws.send(json.dumps(ask))

        end = time.monotonic() + stay
        try:
            while time.monotonic() < end:
                try:
                    text = await asyncio.wait_for(ws.recv(), end - time.monotonic())
                except asyncio.TimeoutError:
                    break
                note(n, "message", text)
                message = json.loads(text)
                if message["type"] == log:
                    newest[n] = message["seq"]
        except websockets.ConnectionClosed as e:
            note(n, "closed", str(e).replace("\t", " ").replace("\n", " "))
            return

        note(n, "closed", "left")
        if dice.random() < 0.5:
            ws.transport.abort()


async def client(n):
    newest = {}
    while os.getppid() == parent:
        try:
            await visit(n, newest)
        except Exception as e:                          # refused, reset, no answer
            note(n, "closed", f"{type(e).__name__}")
        await asyncio.sleep(dice.uniform(0.05, 0.5))


async def main():
    tasks = [asyncio.ensure_future(client(n)) for n in range(int(count))]
    while os.getppid() == parent:
        await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()


asyncio.run(main())
