"""Clients of Python's websockets in a room of `wirefan broadcast`, among others:
`room.py URL NAME CLIENTS EVERYBODY MESSAGES`."""

import asyncio
import json
import sys
import urllib.request

from websockets.asyncio.client import connect

URL, NAME = sys.argv[1:3]
CLIENTS, EVERYBODY, MESSAGES = map(int, sys.argv[3:])


def members():
    with urllib.request.urlopen(URL.replace("ws", "http", 1) + "?members") as answer:
        return json.load(answer)["members"]


async def everybody_is_here():
    while await asyncio.to_thread(members) != EVERYBODY:
        await asyncio.sleep(0.02)


async def listen(socket, own):
    """Of every other client each message comes once, and in order."""
    next_of = {}
    for _ in range((EVERYBODY - 1) * MESSAGES):
        message = await socket.recv()
        binary = isinstance(message, bytes)
        sender, number, kind = (message.decode() if binary else message).split(" ")
        assert sender != own, "its own message came back"
        assert int(number) == next_of.get(sender, 0), (own, message, next_of.get(sender))
        assert kind == ("binary" if binary else "text"), message
        next_of[sender] = int(number) + 1


async def talk(socket, own):
    for number in range(MESSAGES):
        if number % 3 == 0:
            await socket.send(f"{own} {number} binary".encode())
        else:
            await socket.send(f"{own} {number} text")


async def main():
    sockets = [await connect(URL) for _ in range(CLIENTS)]
    await everybody_is_here()
    both = [[listen(socket, f"{NAME}{i}"), talk(socket, f"{NAME}{i}")] for i, socket in enumerate(sockets)]
    await asyncio.gather(*sum(both, []))
    for socket in sockets:
        await socket.close()
        assert socket.close_code == 1000, socket.close_code
    print(f"{CLIENTS} clients heard {EVERYBODY - 1} others")


asyncio.run(main())
