"""10,000 random messages with Python's websockets. Its arguments: `client URL`, whose server echoes, or `server`, which
echoes to one client and prints its port first. `off` at the end switches compression off."""

import asyncio
import random
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

MESSAGES = 10_000
WINDOW = 50
COMPRESSION = None if sys.argv[-1] == "off" else "deflate"


def length(rng):
    kind = rng.randrange(200)
    if kind == 0:
        return rng.randrange(200_000)
    if kind < 10:
        return rng.randrange(20_000)
    return rng.randrange(140 if kind >= 40 else 1000)


def message(rng):
    size = length(rng)
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randbytes(size)
    if kind == 1:
        return bytes(i // 64 & 0xFF for i in range(size))
    word = "".join(rng.choice("ab ß茶\U0010ffff\0") for _ in range(1 + rng.randrange(30)))
    return (word * (size // len(word) + 1))[: size // 2]


def negotiated(connection):
    return any(extension.name == "permessage-deflate" for extension in connection.protocol.extensions)


async def client(url):
    async with connect(url, max_size=None, compression=COMPRESSION) as socket:
        assert negotiated(socket) == (COMPRESSION is not None)
        under_way = asyncio.Semaphore(WINDOW)

        async def send():
            rng = random.Random(42)
            for _ in range(MESSAGES):
                await under_way.acquire()
                await socket.send(message(rng))

        sending = asyncio.create_task(send())
        rng = random.Random(42)
        for i in range(MESSAGES):
            assert await socket.recv() == message(rng), i
            under_way.release()
        await sending
    assert (socket.close_code, socket.close_reason) == (1000, "")


async def server():
    done = asyncio.get_running_loop().create_future()

    async def echo(socket):
        assert negotiated(socket) == (COMPRESSION is not None)
        async for message in socket:
            await socket.send(message)
        assert socket.close_code == 1000
        done.set_result(None)

    async with serve(echo, "127.0.0.1", 0, max_size=None, compression=COMPRESSION) as listening:
        print(listening.sockets[0].getsockname()[1], flush=True)
        await asyncio.wait_for(done, 120)


asyncio.run(client(sys.argv[2]) if sys.argv[1] == "client" else server())
