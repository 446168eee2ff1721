"""Python's websockets against `wirefan echo`, in every way in which the two can talk. The URL is the argument."""

import asyncio
import functools
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

# A hundred handshakes of TLS at once take a while on a busy machine.
connect = functools.partial(connect, open_timeout=60)

URL = sys.argv[1]
SIZES = [0, 1, 2, 125, 126, 127, 65535, 65536, 65537, 1048576]


def noise(size):
    return bytes((i * 31 + (i >> 8)) & 0xFF for i in range(size))


async def sizes():
    # It offers compression by itself.
    async with connect(URL, max_size=None) as socket:
        assert "Sec-WebSocket-Extensions" in socket.request.headers
        compressed = "Sec-WebSocket-Extensions" in socket.response.headers
        assert compressed == (sys.argv[2] != "off")
        for size in SIZES:
            await socket.send(noise(size))
            assert await socket.recv() == noise(size), size
            await socket.send("x" * size)
            assert await socket.recv() == "x" * size, size
        for text in ["ß", "€", "😀", "\0", "\U0010ffff", "grün 茶 ☕" * 1000]:
            await socket.send(text)
            assert await socket.recv() == text
    assert (socket.close_code, socket.close_reason) == (1000, "")


async def fragments():
    async with connect(URL) as socket:
        # Each piece is a fragment, and empty ones are among them.
        await socket.send(["gr", "", "ü", "n"])
        assert await socket.recv() == "grün"
        data = noise(100_000)
        await socket.send([data[at : at + 999] for at in range(0, len(data), 999)])
        assert await socket.recv() == data

        async def pieces():
            for piece in ["one, ", "two, ", "three"]:
                await (await socket.ping())
                yield piece

        await socket.send(pieces())
        assert await socket.recv() == "one, two, three"


async def pings():
    async with connect(URL) as socket:
        for payload in [b"", b"ping", b"x" * 125]:
            assert await (await socket.ping(payload)) >= 0
        await socket.pong(b"that nobody asked for")
        await socket.send("still here")
        assert await socket.recv() == "still here"


async def order():
    async with connect(URL) as socket:

        async def send():
            for i in range(2000):
                await socket.send(str(i))

        sending = asyncio.create_task(send())
        for i in range(2000):
            assert await socket.recv() == str(i)
        await sending


async def close_codes():
    for code in [1000, 1001, 1003, 1008, 1011, 3000, 4000, 4999]:
        socket = await connect(URL)
        await socket.close(code, "grün " * 20)
        assert socket.close_code == code, (socket.close_code, code)
        assert socket.protocol.close_rcvd.code == code and not socket.protocol.close_rcvd_then_sent


async def too_long():
    async with connect(URL) as socket:
        await socket.send(b"x" * (1048576 + 1))
        try:
            await socket.recv()
            raise AssertionError("it was taken")
        except ConnectionClosed as closed:
            assert not isinstance(closed, ConnectionClosedOK)
            assert closed.rcvd.code == 1009 and closed.rcvd.reason


async def crowd():
    async def one(number):
        async with connect(URL) as socket:
            for i in range(10):
                await socket.send(f"{number} {i}")
                assert await socket.recv() == f"{number} {i}"

    await asyncio.gather(*(one(number) for number in range(100)))


async def main():
    for part in [sizes, fragments, pings, order, close_codes, too_long, crowd]:
        await part()
        print(f"{part.__name__}: ok", flush=True)


asyncio.run(main())
