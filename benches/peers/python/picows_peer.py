"""picows on uvloop: picows_peer.py echo|broadcast PORT"""

import asyncio
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

mode, port = sys.argv[1:]
members = set()
DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame):
        if frame.msg_type in DATA:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


class Member(WSListener):
    def on_ws_connected(self, transport: WSTransport):
        members.add(transport)

    def on_ws_disconnected(self, transport: WSTransport):
        members.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame):
        if frame.msg_type in DATA:
            payload = frame.get_payload_as_bytes()
            for other in members:
                if other is not transport:
                    other.send(frame.msg_type, payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


async def main():
    listener = Echo if mode == "echo" else Member
    server = await ws_create_server(
        lambda request: listener(), "127.0.0.1", int(port), backlog=4096, max_frame_size=16 << 20
    )
    print("ready", flush=True)
    await server.serve_forever()


uvloop.run(main())
