"""Python's websockets at a door that wants tokens, in every way in which it can bring one: `door.py URL TOKEN`."""

import asyncio
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

URL, TOKEN = sys.argv[1:]
HOST = urlsplit(URL).netloc
BAD = "bad-0123456789abcdef"


async def echoes(url=URL, first=None, **how):
    """Opens, says something and hears it; returns the subprotocol."""
    async with connect(url, **how) as socket:
        if first is not None:
            await socket.send(first)
        await socket.send("hello")
        assert await socket.recv() == "hello"
        return socket.subprotocol


async def refused(**how):
    """The status and the reason of a refusal."""
    try:
        async with connect(URL, **how):
            raise AssertionError("let in")
    except InvalidStatus as refusal:
        return refusal.response.status_code, refusal.response.body


def bearer(token):
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


async def main():
    assert await echoes(**bearer(TOKEN)) is None
    assert await refused(**bearer(BAD)) == (401, b"the token is not good here\n")
    assert await echoes(subprotocols=["chat", f"bearer.{TOKEN}"]) == "chat"
    assert (await refused(subprotocols=["chat", f"bearer.{BAD}"]))[0] == 401

    cookie = {"additional_headers": {"Cookie": f"session={TOKEN}"}}
    await echoes(origin=f"http://{HOST}", **cookie)
    assert await refused(origin="https://evil.example", **cookie) == (
        403,
        b"pages of this origin are not allowed here\n",
    )

    await echoes(f"{URL}?ticket={TOKEN}")
    await echoes(first=TOKEN)
    async with connect(URL) as stranger:
        await stranger.send(BAD)
        try:
            await stranger.recv()
            raise AssertionError("heard something")
        except ConnectionClosedError as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4401, "the token is not good here")


asyncio.run(main())
