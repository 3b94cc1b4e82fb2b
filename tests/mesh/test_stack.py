"""The column of a call: which endpoint it gets while some are connected and others are not."""

from __future__ import annotations

from collections import Counter

from meshkit.mesh import Mesh
from meshkit.rpc import Server
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
