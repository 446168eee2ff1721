"""Clients of Python's websockets that hear a stream of ticks in a room whose members share a compressor's history:
`ticks.py URL CLIENTS TICKS`. Every tick has to come once, in order and unchanged."""

import asyncio
import sys

from websockets.asyncio.client import connect

URL = sys.argv[1]
CLIENTS, TICKS = map(int, sys.argv[2:])


def tick(i):
    """The same in main.rs and ticks.cjs."""
    return f'{{"symbol":"SYM{i % 7}","bid":{100 + i % 50}.25,"ask":{101 + i % 50}.5,"time":{1700000000 + i * 37}}}'


async def hear():
    async with connect(URL) as socket:
        assert [it.name for it in socket.protocol.extensions] == ["permessage-deflate"]
        for i in range(TICKS):
            message = await socket.recv()
            assert message == tick(i), (message, tick(i))


async def main():
    await asyncio.gather(*(hear() for _ in range(CLIENTS)))


asyncio.run(main())
