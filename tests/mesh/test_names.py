"""Calls to services outside of the mesh, whose endpoints are host names (a ServiceEntry with resolution DNS)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshkit.errors import DeadlineExceeded, RpcError
from meshkit.mesh import Mesh
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import greeters
from tests.support.waiting import until
from tests.support.world import control_plane, who_answers, write_rule

ADA = HelloRequest(name="Ada")
INTERFACE = {"helloworld.v1.Greeter": "greeter.example:80"}


def entry(port: int, resolution: str, *hosts: str) -> str:
    ends = ", ".join(f"{{address: {host}, ports: {{grpc: {port}}}}}" for host in hosts)
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: greeter, namespace: default}\n"
        f"spec:\n  hosts: [greeter.example]\n  resolution: {resolution}\n  location: MESH_EXTERNAL\n"
        f"  ports: [{{number: 80, name: grpc, protocol: GRPC}}]\n  endpoints: [{ends}]\n"
    )


class Hosts:
    """A hosts file."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}

    async def resolve(self, host: str) -> Sequence[str]:
        if host not in self.known:
            raise OSError(f"nobody knows {host}")
        return self.known[host]


@asynccontextmanager
async def world(folder: Path, resolution: str, *hosts: str, **known: Sequence[str]) -> AsyncIterator[tuple[Any, Hosts]]:
    """Greeters on two addresses and one port, a control plane that knows names only, and a client."""
    book = Hosts(**known)
    async with greeters({"127.0.0.2": "a", "127.0.0.3": "b"}) as port:
        write_rule(folder, "entry", entry(port, resolution, *hosts))
        async with (
            control_plane(folder) as plane,
            Mesh(f"127.0.0.1:{plane.port}", interfaces=INTERFACE, resolver=book.resolve, wait=10) as mesh,
        ):
            yield GreeterClient(mesh), book


@pytest.mark.capability("ServiceEntry, resolution DNS", peer="embedded")
async def test_each_address_of_a_name_is_called(tmp_path: Path) -> None:
    async with world(tmp_path, "DNS", "g.example", g_example=["127.0.0.2", "127.0.0.3"]) as (client, _):
        await client.say_hello(ADA, timeout=10)
        assert set(await who_answers(client, 50)) == {"a", "b"}


@pytest.mark.capability("ServiceEntry, resolution DNS_ROUND_ROBIN", peer="embedded")
async def test_one_connection_at_a_time_goes_to_the_address_that_is_first(tmp_path: Path) -> None:
    known = {"g_example": ["127.0.0.2", "127.0.0.3"]}
    async with world(tmp_path, "DNS_ROUND_ROBIN", "g.example", **known) as (client, _):
        assert (await client.say_hello(ADA, timeout=10)).message == "a"
        assert set(await who_answers(client, 50)) == {"a"}


async def test_a_new_connection_goes_to_the_address_that_is_first_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshkit.xds.clusters._DNS_REFRESH", 0.02)
    book = Hosts(g_example=["127.0.0.2"])
    async with AsyncExitStack() as others, greeters({"127.0.0.3": "b"}) as port:
        first = AsyncExitStack()
        await first.enter_async_context(greeters({"127.0.0.2": "a"}, port))
        others.push_async_callback(first.aclose)
        write_rule(tmp_path, "entry", entry(port, "DNS_ROUND_ROBIN", "g.example"))
        plane = await others.enter_async_context(control_plane(tmp_path))
        mesh = Mesh(f"127.0.0.1:{plane.port}", interfaces=INTERFACE, resolver=book.resolve, wait=10)
        client = GreeterClient(await others.enter_async_context(mesh))
        assert (await client.say_hello(ADA, timeout=10)).message == "a"
        book.known["g.example"] = ["127.0.0.3", "127.0.0.2"]
        await asyncio.sleep(0.2)
        assert set(await who_answers(client, 10)) == {"a"}  # what is open stays
        await first.aclose()

        async def moved() -> bool:
            try:
                return (await client.say_hello(ADA, timeout=1)).message == "b"
            except RpcError:
                return False

        await until(moved)


@pytest.mark.capability("ServiceEntry, resolution DNS: names that do not resolve", peer="embedded")
async def test_a_name_that_nobody_knows_fails_its_own_calls_and_says_why(tmp_path: Path) -> None:
    async with world(tmp_path, "DNS", "nowhere.example") as (client, book):

        async def said_why() -> bool:
            with pytest.raises(DeadlineExceeded) as late:  # before the control plane has answered, that is why
                await client.say_hello(ADA, timeout=1)
            return "nowhere.example is not resolved: nobody knows nowhere.example" in str(late.value)

        await until(said_why)
        book.known["nowhere.example"] = ["127.0.0.3"]

        async def answered() -> bool:
            try:
                return (await client.say_hello(ADA, timeout=1)).message == "b"
            except DeadlineExceeded:
                return False

        await until(answered)


async def test_the_operating_system_is_asked_by_default(tmp_path: Path) -> None:
    async with greeters({"127.0.0.1": "local"}) as port:
        write_rule(tmp_path, "entry", entry(port, "DNS", "localhost"))
        async with (
            control_plane(tmp_path) as plane,
            Mesh(f"127.0.0.1:{plane.port}", interfaces=INTERFACE, wait=10) as mesh,
        ):
            assert (await GreeterClient(mesh).say_hello(ADA, timeout=10)).message == "local"
