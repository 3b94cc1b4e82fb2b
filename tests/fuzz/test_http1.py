"""Garbage for the HTTP/1.1 listener: damaged requests on real sockets. Each connection is answered or closed, none
stays, and the server goes on. ``MESHKIT_FUZZ_SECONDS`` (default 1)."""

import asyncio
import os
import time
from random import Random

from meshkit.net import ServerOptions
from meshkit.wire import Limits
from tests.fuzz.test_wire import damaged
from tests.support.echo_service import serving
from tests.support.fuzzing import SEED
from tests.support.http1 import connected, post

SECONDS = float(os.environ.get("MESHKIT_FUZZ_SECONDS", "1"))
LIMITS = Limits(max_receive_message=2000, max_header_list_size=2000, header_timeout=2, preface_timeout=2)
UNARY = "/echo.v1.Echo/Unary"
CHUNKED = f"POST {UNARY} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
GOOD = (
    post(UNARY, '{"text": "hi"}'),
    post(UNARY, b"{}" + b" " * 3000),
    post(UNARY, "{}", content_encoding="gzip", connection="upgrade", upgrade="h2c"),
    CHUNKED.encode() + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nx: y\r\n\r\n",
    b"GET http://t/echo.v1.Echo/Unary?message=%7B%7D HTTP/1.0\r\n\r\n",
)


async def one_connection(port: int, random: Random) -> None:
    async with connected(port) as peer:
        try:
            await peer.send(damaged(random, b"".join(random.choices(GOOD, k=random.randrange(1, 6)))))
            peer.writer.write_eof()
            async with asyncio.timeout(30):
                while await peer.reader.read(1 << 16):
                    pass
        except (ConnectionError, BrokenPipeError):
            pass  # it closed first


async def test_damaged_requests():
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    options = ServerOptions(limits=LIMITS, write_timeout=2)
    async with serving(json=True, options=options) as (server, address):
        port = int(address.rpartition(":")[2])
        until, count = time.monotonic() + SECONDS, 0
        while time.monotonic() < until or count < 20:
            await one_connection(port, Random(SEED * 1_000_003 + count))
            assert not faults, f"seed {SEED * 1_000_003 + count}"
            count += 1
        async with connected(port) as peer:
            await peer.send(GOOD[0])
            assert (await peer.answer()).body == b'{"text":"hi"}'
