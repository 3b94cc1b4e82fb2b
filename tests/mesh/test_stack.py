"""The column of a call: which endpoint it gets while some are connected and others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from meshkit.errors import Unavailable
from meshkit.mesh import Mesh
from meshkit.rpc import Client, Context, Method, Server, Servicer
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.world import Greeter


async def test_round_robin_connects_every_endpoint_while_others_take_the_calls() -> None:
    servers = [Server([Greeter(name)]) for name in ("one", "two")]
    addresses = ",".join([f"127.0.0.1:{await server.listen()}" for server in servers])
    interfaces = {"helloworld.v1.Greeter": f"static:{addresses}"}
    try:
        async with Mesh("127.0.0.1:1", interfaces=interfaces) as mesh:
            client = GreeterClient(mesh)
            names = [(await client.say_hello(HelloRequest(name="Ada"), timeout=5)).message for _ in range(20)]
    finally:
        for server in servers:
            await server.close()
    assert Counter(names[-10:]) == {"one": 5, "two": 5}


class _Flaky(Servicer):
    """Fails twice for every call, and notes what retries say of themselves."""

    __service_name__ = "flaky.v1.Flaky"
    __methods__ = (
        ASK := Method("/flaky.v1.Flaky/Ask", bytes, bytes, name="ask"),
        WATCH := Method("/flaky.v1.Flaky/Watch", bytes, bytes, False, True, name="watch"),
    )

    def __init__(self) -> None:
        self.said: list[str | None] = []

    async def ask(self, request: bytes, ctx: Context, /) -> bytes:
        self._fail(ctx)
        return request

    async def watch(self, request: bytes, ctx: Context, /) -> AsyncIterator[bytes]:
        self._fail(ctx)
        yield request

    def _fail(self, ctx: Context) -> None:
        self.said.append(ctx.header(b"grpc-previous-rpc-attempts"))
        if len(self.said) % 3:
            raise Unavailable("not yet")


@pytest.mark.parametrize("timeout", [None, 5.0])
async def test_retries_say_how_many_attempts_came_before(timeout: float | None) -> None:
    flaky = _Flaky()
    async with Server([flaky]) as server:
        interfaces = {"flaky.v1.Flaky": f"static:127.0.0.1:{await server.listen()}"}
        async with Mesh("127.0.0.1:1", interfaces=interfaces) as mesh:
            client = Client(mesh)
            assert await client._mesh_unary(_Flaky.ASK, b"x", timeout, None, None) == b"x"
            assert [reply async for reply in client._mesh_server_stream(_Flaky.WATCH, b"y", timeout, None, None)] == [
                b"y"
            ]
    assert flaky.said == [None, "1", "2"] * 2
