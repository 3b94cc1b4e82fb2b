"""Calls through a whole mesh follow the rules in force, and go on doing so while rules and processes change."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from meshkit.errors import Unavailable
from meshkit.mesh import Mesh
from meshkit.rpc import Method
from tests.support.gen.helloworld.v1 import HelloReply, HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.waiting import until
from tests.support.world import (
    control_plane,
    greeter,
    greeter_process,
    subsets,
    weights,
    who_answers,
    within,
    write_rule,
)

ADA = HelloRequest(name="Ada")


@pytest.mark.parametrize("xds", ["delta", "sotw"])
@pytest.mark.capability("VirtualService: headers and weights, live", peer="embedded")
async def test_weights_and_headers_are_obeyed(tmp_path: Path, xds: str) -> None:
    write_rule(tmp_path, "subsets", subsets())
    write_rule(tmp_path, "routes", weights(90, 10, admin=True))
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path))
        for name in ("v1-a", "v1-b", "v2-a"):
            await up.enter_async_context(greeter(plane.port, name))
        mesh = await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", xds=xds, wait=30))
        client = GreeterClient(mesh)
        await until(lambda: _answering(client, 3))
        names = await who_answers(client, 10_000)
        assert within(names["v2-a"] / 10_000, 0.1, 10_000, 6.5)
        assert within(names["v1-a"] / (names["v1-a"] + names["v1-b"]), 0.5, 9_000, 6.5)
        assert set(await who_answers(client, 200, {"user": "admin"})) == {"v2-a"}


async def _answering(client: GreeterClient, count: int) -> bool:
    plain = await who_answers(client, 96)
    return len(plain + await who_answers(client, 32, {"user": "admin"})) == count


async def test_an_edit_is_obeyed_at_once_and_fails_no_call(tmp_path: Path) -> None:
    write_rule(tmp_path, "subsets", subsets())
    write_rule(tmp_path, "routes", weights(100, 0))
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path))
        for name in ("v1-a", "v2-a"):
            await up.enter_async_context(greeter(plane.port, name))
        client = GreeterClient(await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=30)))
        assert set(await who_answers(client, 64)) == {"v1-a"}
        answered: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()

        async def call() -> None:
            reply = await client.say_hello(ADA, timeout=30)
            answered.append((loop.time(), reply.message))

        async def load(group: asyncio.TaskGroup) -> None:
            while True:
                for _ in range(5):
                    group.create_task(call())
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:  # a failed call fails the group, and with it the test
            loading = group.create_task(load(group))
            await until(lambda: len(answered) > 300)
            saved = loop.time()
            write_rule(tmp_path, "routes", weights(0, 100))
            await until(lambda: {name for _, name in answered[-50:]} == {"v2-a"})
            obeyed = len(answered)
            await until(lambda: len(answered) > obeyed + 300)
            loading.cancel()
        assert {name for at, name in answered if at < saved} == {"v1-a"}
        assert {name for _, name in answered[obeyed:]} == {"v2-a"}


async def test_a_killed_server_fails_no_idempotent_call(tmp_path: Path) -> None:
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path, hold=1.0))
        victim, *_ = [await up.enter_async_context(greeter_process(plane.port, f"v1-{name}")) for name in "abc"]
        client = GreeterClient(await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=30)))

        async def all_three() -> bool:
            return len(await who_answers(client, 96)) == 3

        await until(all_three)
        names: Counter[str] = Counter()

        async def call() -> None:
            while not enough:
                names[(await client.say_hello(ADA, timeout=30)).message] += 1

        enough = False
        async with asyncio.TaskGroup() as group:  # a failed call fails the group, and with it the test
            for _ in range(32):
                group.create_task(call())
            await until(lambda: names["v1-a"] > 200)
            victim.kill()
            before = names.total()
            await until(lambda: names.total() > before + 5_000)
            enough = True

        async def two_left() -> bool:
            return set(await who_answers(client, 96)) == {"v1-b", "v1-c"}

        await until(two_left)


@pytest.mark.capability("control plane gone and back: no call fails", peer="embedded")
async def test_calls_go_on_without_the_control_plane_and_state_returns_with_it(tmp_path: Path) -> None:
    write_rule(tmp_path, "subsets", subsets())
    write_rule(tmp_path, "routes", weights(100, 0))
    async with AsyncExitStack() as up:
        first = AsyncExitStack()
        plane = await first.enter_async_context(control_plane(tmp_path))
        port = plane.port
        for name in ("v1-a", "v2-a"):
            await up.enter_async_context(greeter(port, name))
        client = GreeterClient(await up.enter_async_context(Mesh(f"127.0.0.1:{port}", wait=30)))
        assert set(await who_answers(client, 64)) == {"v1-a"}
        await first.aclose()
        for _ in range(10):
            assert set(await who_answers(client, 100)) == {"v1-a"}
            await asyncio.sleep(0.05)
        write_rule(tmp_path, "routes", weights(0, 100))
        again = await up.enter_async_context(control_plane(tmp_path, port))

        async def obeyed() -> bool:
            return set(await who_answers(client, 32)) == {"v2-a"}

        async def all_back() -> bool:
            return len(again.hub.sessions) == 3  # two servers and a client, one stream each

        await until(obeyed, 30.0)
        await until(all_back, 30.0)


@pytest.mark.capability("one stream; only what is used is asked for", peer="embedded")
async def test_fifty_interfaces_share_one_stream_and_ask_for_no_more_than_they_use(tmp_path: Path) -> None:
    for index in range(60):
        write_rule(tmp_path, f"static-{index}", _static_interface(index))
    async with control_plane(tmp_path) as plane, Mesh(f"127.0.0.1:{plane.port}", wait=30) as mesh:
        for index in range(50):
            with pytest.raises(Unavailable):  # the endpoint refuses connections: it was found, and asked for
                await _client_of(index, mesh).say_hello(ADA, timeout=30)
        (session,) = plane.hub.sessions.values()
        watched = {url.rpartition(".")[2]: watch for url, watch in session.machine.watches.items()}
        assert len(watched["RouteConfiguration"].names) == 50
        assert len(watched["ClusterLoadAssignment"].names) == 50
        assert "Listener" not in watched


def _static_interface(index: int) -> str:
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: s{index}, namespace: default}}\n"
        f"spec: {{hosts: [made.up.s{index}], ports: [{{number: 80, name: grpc, protocol: GRPC}}], resolution: STATIC,"
        " endpoints: [{address: 127.0.0.1, ports: {grpc: 1}}]}\n"
    )


def _client_of(index: int, mesh: Mesh) -> GreeterClient:
    method = Method(f"/made.up.S{index}/SayHello", HelloRequest, HelloReply)

    class Client(GreeterClient):
        def say_hello(self, request: HelloRequest, /, **options: Any) -> Any:
            return self._mesh_unary(method, request, options.get("timeout"), None, None)

    return Client(mesh)
