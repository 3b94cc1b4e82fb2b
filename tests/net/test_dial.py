"""Racing addresses (RFC 8305)."""

import asyncio
import socket

import pytest

from meshkit.net import ClientOptions, Pool
from tests.support.calls import serving, unary


def silent(port: int) -> list[socket.socket]:
    """A listener on 127.0.0.2 whose queue is full: the kernel drops whatever else wants to connect."""
    listener = socket.socket()
    listener.bind(("127.0.0.2", port))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.2", port))
    return [listener, *waiting]


@pytest.mark.parametrize("delay, passed", [(0.05, True), (60.0, False)])
async def test_a_slow_address_has_the_next_one_tried_beside_it_after_the_delay(delay: float, passed: bool):
    async def resolve(host: str) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving() as (port, _, _):
        sockets = silent(port)
        options = ClientOptions(resolver=resolve, happy_eyeballs_delay=delay)
        pool = Pool(f"both.test:{port}", options=options)
        try:
            if passed:
                assert (await unary(await pool.connect()).outcome()).status == 0
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await pool.connect()
        finally:
            await pool.close()
            for sock in sockets:
                sock.close()
