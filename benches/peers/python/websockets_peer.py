"""websockets on uvloop: websockets_peer.py echo|broadcast PORT [compressed] [tls CERTIFICATE KEY]"""

import asyncio
import ssl
import sys

import uvloop
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

mode, port, *options = sys.argv[1:]
members = set()


def tls():
    if "tls" not in options:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options[options.index("tls") + 1 :])
    return context


async def echo(connection):
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


async def join(connection):
    members.add(connection)
    try:
        async for message in connection:
            broadcast(members - {connection}, message)
    except ConnectionClosed:
        pass
    finally:
        members.discard(connection)


async def main():
    deflate = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        compress_settings={"level": 3},
    )
    async with serve(
        echo if mode == "echo" else join,
        "127.0.0.1",
        int(port),
        backlog=4096,
        ssl=tls(),
        compression=None,
        extensions=[deflate] if "compressed" in options else None,
        max_size=16 << 20,
        ping_interval=None,
    ) as server:
        print("ready", flush=True)
        await server.serve_forever()


uvloop.run(main())
