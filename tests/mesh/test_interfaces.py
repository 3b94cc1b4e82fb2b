"""Where interfaces live: several in one process, one in several services, late, moving, and nowhere."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from meshkit.errors import DeadlineExceeded, Unavailable
from meshkit.mesh import Mesh
from meshkit.rpc import CallOptions, Context
from tests.support.echo_service import EchoService
from tests.support.gen.echo.v1 import EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.gen.helloworld.v1 import HelloReply, HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.waiting import until
from tests.support.world import Greeter, control_plane, greeter, subsets, weights, who_answers, write_rule

ADA = HelloRequest(name="Ada")


@pytest.mark.capability("interface found where servers registered it", peer="embedded")
async def test_one_process_provides_several_interfaces(tmp_path: Path) -> None:
    async with (
        control_plane(tmp_path) as plane,
        Mesh(f"127.0.0.1:{plane.port}", service="both") as provider,
        provider.serving(Greeter("v1-a"), EchoService()),
        Mesh(f"127.0.0.1:{plane.port}", wait=30) as consumer,
    ):
        assert (await GreeterClient(consumer).say_hello(ADA, timeout=5)).message == "v1-a"
        assert (await EchoClient(consumer).unary(EchoRequest(text="x"), timeout=5)).text == "x"


@pytest.mark.capability("interface provided by several services", peer="embedded")
async def test_an_interface_of_several_services_uses_all_of_them(tmp_path: Path) -> None:
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path))
        await up.enter_async_context(greeter(plane.port, "v1-a", "one"))
        await up.enter_async_context(greeter(plane.port, "v1-b", "two"))
        client = GreeterClient(await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=30)))

        async def both() -> bool:
            return set(await who_answers(client, 64)) == {"v1-a", "v1-b"}

        await until(both)


@pytest.mark.capability("Service that comes after its callers", peer="embedded")
async def test_a_consumer_may_start_before_its_provider(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane, Mesh(f"127.0.0.1:{plane.port}", wait=30) as consumer:
        call = asyncio.create_task(
            GreeterClient(consumer).say_hello(ADA, timeout=20, options=CallOptions(wait_for_ready=True))
        )
        await asyncio.sleep(0.3)
        assert not call.done()
        async with greeter(plane.port, "v1-late"):
            assert (await call).message == "v1-late"


async def test_a_consumer_may_start_before_the_control_plane(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane:
        port = plane.port
    async with Mesh(f"127.0.0.1:{port}", wait=30) as consumer:
        call = asyncio.create_task(
            GreeterClient(consumer).say_hello(ADA, timeout=20, options=CallOptions(wait_for_ready=True))
        )
        await asyncio.sleep(0.2)
        async with control_plane(tmp_path, port), greeter(port, "v1-a"):
            assert (await call).message == "v1-a"


@pytest.mark.capability("interface that moves to another service", peer="embedded")
async def test_an_interface_moves_to_another_service_without_a_failed_call(tmp_path: Path) -> None:
    async with AsyncExitStack() as up:
        plane = await up.enter_async_context(control_plane(tmp_path))
        old = AsyncExitStack()
        await old.enter_async_context(greeter(plane.port, "v1-old", "old"))
        client = GreeterClient(await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=30)))
        assert set(await who_answers(client, 32)) == {"v1-old"}
        load = asyncio.ensure_future(who_answers(client, 4_000))
        await up.enter_async_context(greeter(plane.port, "v1-new", "new"))
        await old.aclose()
        assert (await load).total() == 4_000

        async def moved() -> bool:
            return set(await who_answers(client, 32)) == {"v1-new"}

        await until(moved)


async def test_an_interface_that_nobody_provides_says_what_was_asked_where(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane, Mesh(f"127.0.0.1:{plane.port}", wait=2) as mesh:
        with pytest.raises(Unavailable) as caught:
            await GreeterClient(mesh).say_hello(ADA)
        text = str(caught.value)
        for word in ("nobody provides helloworld.v1.Greeter", "standard", "static", f"127.0.0.1:{plane.port}"):
            assert word in text
        with pytest.raises(DeadlineExceeded, match=r"helloworld.v1.Greeter"):
            await GreeterClient(mesh).say_hello(ADA, timeout=0.05)


async def test_a_rule_that_leads_to_no_endpoint_is_named(tmp_path: Path) -> None:
    """The interface is provided, so that is not what is said."""
    write_rule(tmp_path, "subsets", subsets())
    write_rule(tmp_path, "routes", weights(0, 100))
    async with control_plane(tmp_path) as plane, AsyncExitStack() as up:
        await up.enter_async_context(greeter(plane.port, "v1-a"))
        client = GreeterClient(await up.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", wait=0.5)))
        said = re.compile(r"no endpoint for /\S+SayHello: .*\|v2\|\S+ has no endpoints; see .* the labels of subset v2")
        await until(lambda: _fails(client, said))
        await up.enter_async_context(greeter(plane.port, "v2-a"))
        await until(lambda: _answers(client))


async def _fails(client: GreeterClient, said: re.Pattern[str]) -> bool:
    try:
        await client.say_hello(ADA)
    except Unavailable as error:
        return said.search(str(error)) is not None
    return False


async def _answers(client: GreeterClient) -> bool:
    return not await _fails(client, re.compile(""))


@pytest.mark.parametrize("ruled", [False, True], ids=["interface that is nowhere", "cluster that is empty"])
async def test_calls_wait_while_the_only_provider_restarts(tmp_path: Path, ruled: bool) -> None:
    """That nobody is left is no reason to fail at once: the next process of a rolling restart is on its way."""
    if ruled:
        write_rule(tmp_path, "subsets", subsets())
        write_rule(tmp_path, "routes", weights(100, 0))
    answers: Counter[str] = Counter()
    async with control_plane(tmp_path) as plane, Mesh(f"127.0.0.1:{plane.port}", wait=30) as mesh:
        client = GreeterClient(mesh)

        async def call() -> None:
            while answers["v1-new"] < 50:
                answers[(await client.say_hello(ADA)).message] += 1

        async with greeter(plane.port, "v1-old"):
            callers = [asyncio.ensure_future(call()) for _ in range(10)]
            await until(lambda: answers["v1-old"] >= 50)
        await asyncio.sleep(0.2)
        async with greeter(plane.port, "v1-new"):
            await asyncio.gather(*callers)  # raises if one call failed
        assert set(answers) == {"v1-old", "v1-new"}


class _Leaving(Greeter):
    """Holds the calls of Ada, and turns them away when it is told to."""

    def __init__(self) -> None:
        super().__init__("v1-old")
        self.taken = asyncio.Event()
        self.leave = asyncio.Event()

    async def say_hello(self, request: HelloRequest, ctx: Context, /) -> HelloReply:
        if request != ADA:
            return await super().say_hello(request, ctx)
        self.taken.set()
        await self.leave.wait()
        raise Unavailable("not any more")


async def test_a_call_that_is_turned_away_when_nobody_else_is_left_waits_for_the_next_one(tmp_path: Path) -> None:
    leaving = _Leaving()
    async with control_plane(tmp_path) as plane, Mesh(f"127.0.0.1:{plane.port}", wait=30) as mesh:
        client = GreeterClient(mesh)
        async with AsyncExitStack() as provider:
            there = await provider.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", service="greeter"))
            await provider.enter_async_context(there.serving(leaving))
            for _ in range(2):  # the way that later calls take is known from then on
                await client.say_hello(HelloRequest(name="Bob"))
            call = asyncio.create_task(client.say_hello(ADA))
            await leaving.taken.wait()
            closing = asyncio.create_task(provider.aclose())
            await until(lambda: not mesh._views)
            leaving.leave.set()
            await closing
        async with greeter(plane.port, "v1-new"):
            assert (await call).message == "v1-new"


async def test_without_a_control_plane_the_error_names_it(tmp_path: Path) -> None:
    async with Mesh("127.0.0.1:1", wait=0.5) as mesh:
        with pytest.raises(Unavailable, match=r"control plane 127.0.0.1:1 is not reached: .*refused"):
            await GreeterClient(mesh).say_hello(ADA)


async def test_a_static_map_needs_no_control_plane() -> None:
    async with Mesh("127.0.0.1:1") as provider, provider.serving(Greeter("v1-a")) as server:
        places = {"helloworld.v1.Greeter": f"static:{server.address}"}
        async with Mesh("127.0.0.1:1", interfaces=places) as consumer:
            assert set(await who_answers(GreeterClient(consumer), 32)) == {"v1-a"}
