"""Dubbo's group and version in a mesh: each pair is registered, found and called."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from meshkit.errors import Unimplemented
from meshkit.mesh import Mesh
from meshkit.rpc import dubbo
from meshkit.rpc.caller import Caller
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.waiting import until
from tests.support.world import Greeter, control_plane, subsets, weights, who_answers, write_rule

ADA = HelloRequest(name="Ada")
PAIRS = {"blue": ("blue", ""), "green-1": ("green", "1.0"), "green-2": ("green", "2.0"), "plain": ("", "")}


def client(caller: Caller, name: str) -> GreeterClient:
    group, version = PAIRS[name]
    return GreeterClient(dubbo.bind(caller, group=group, version=version))


@pytest.mark.capability("Dubbo's group and version: found and routed", peer="embedded")
async def test_each_pair_in_a_service_of_its_own(tmp_path: Path) -> None:
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path))
        for name, (group, version) in PAIRS.items():
            mesh = await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", service=name))
            servicer = dubbo.service(Greeter(name), group=group, version=version)
            server = await up.enter_async_context(mesh.serving(servicer))
            key = str(dubbo.ServiceKey("helloworld.v1.Greeter", group, version))
            assert server.interfaces == (key,)
        mesh = await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=30))
        for name in PAIRS:

            async def found(name: str = name) -> bool:
                try:
                    return set(await who_answers(client(mesh, name), 32)) == {name}
                except Unimplemented:
                    return False  # its own provider has registered a moment ago

            await until(found)
        with pytest.raises(Unimplemented, match=r"blue/helloworld\.v1\.Greeter:9 is not served here"):
            await GreeterClient(dubbo.bind(mesh, group="blue", version="9")).say_hello(ADA, timeout=5)


async def test_all_pairs_in_one_process(tmp_path: Path) -> None:
    servicers = [dubbo.service(Greeter(name), group=group, version=version) for name, (group, version) in PAIRS.items()]
    async with (
        control_plane(tmp_path) as plane,
        Mesh(f"127.0.0.1:{plane.port}", service="greeter") as provider,
        provider.serving(*servicers),
        Mesh(f"127.0.0.1:{plane.port}", wait=30) as mesh,
    ):
        for name in PAIRS:
            assert (await client(mesh, name).say_hello(ADA, timeout=5)).message == name


async def test_rules_of_a_service_hold_for_its_pair(tmp_path: Path) -> None:
    """A VirtualService that looks at a header divides the calls of one pair, as it does those of plain callers."""
    write_rule(tmp_path, "greeter", weights(100, 0, admin=True))
    write_rule(tmp_path, "subsets", subsets())
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path))
        for service, name, group in (("greeter", "v1", "g"), ("greeter", "v2", "g"), ("other", "v9", "")):
            mesh = Mesh(f"127.0.0.1:{plane.port}", service=service, labels={"version": name})
            await up.enter_async_context(mesh)
            await up.enter_async_context(mesh.serving(dubbo.service(Greeter(name), group=group)))
        caller = await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=30))
        grouped, plain = GreeterClient(dubbo.bind(caller, group="g")), GreeterClient(caller)

        async def settled() -> bool:
            admin = await who_answers(grouped, 32, {"user": "admin"})
            return (set(admin), set(await who_answers(plain, 32))) == ({"v2"}, {"v9"})

        await until(settled)
        assert set(await who_answers(grouped, 64)) == {"v1"}
