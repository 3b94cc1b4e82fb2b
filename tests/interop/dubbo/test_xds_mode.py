"""dubbo-go 3.1 in xDS mode and our own processes in one mesh, on the embedded control plane."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from meshkit.control import ControlPlane
from meshkit.mesh import Mesh
from tests.support.dubbo_greeter import hello
from tests.support.dubbo_mesh import (
    HOST,
    DubboProvider,
    dubbo_consumer,
    dubbo_plane,
    dubbo_provider,
    loopback,
    our_consumer,
    our_provider,
    service,
    workload,
)
from tests.support.gen.api.greeter_mesh import GreeterClient
from tests.support.waiting import until
from tests.support.world import subsets, weights, within, write_rule

pytestmark = pytest.mark.interop

PEER = "dubbo-go 3.1"
CALLS = 1_000
Shares = Callable[..., Awaitable[Counter[str]]]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    write_rule(tmp_path, "service", service())
    async with dubbo_plane(tmp_path, loopback()) as plane:
        yield plane


async def dubbo(stack: AsyncExitStack, plane: ControlPlane, name: str) -> DubboProvider:
    """A dubbo-go provider, pod and YAML."""
    pod, address = f"greeter-{name}", loopback()
    write_rule(plane.directory, pod, workload(pod, address, name))

    async def taken_in() -> bool:
        return ("WorkloadEntry", "default", pod) in plane.library.resources

    await until(taken_in)
    return await stack.enter_async_context(dubbo_provider(plane, pod, address, name))


async def both_consumers(stack: AsyncExitStack, plane: ControlPlane) -> dict[str, Shares]:
    theirs, ours = await asyncio.gather(
        stack.enter_async_context(dubbo_consumer(plane)), stack.enter_async_context(our_consumer(plane))
    )
    return {"theirs": theirs.shares, "ours": ours}


@pytest.mark.capability("interface found where servers registered it", peer=PEER)
async def test_our_client_finds_their_interface_and_makes_every_kind_of_call(plane: ControlPlane) -> None:
    async with AsyncExitStack() as stack:
        await dubbo(stack, plane, "v1")
        mesh = await stack.enter_async_context(Mesh(f"{plane.host}:{plane.port}", wait=30))
        client = GreeterClient(mesh)
        assert (await client.say_hello(hello("a"), timeout=30)).message == "v1: hello a"
        assert [one.message async for one in client.lots_of_replies(hello("a"), timeout=30)] == ["v1: hello a"] * 3
        names = [hello("a"), hello("b")]
        assert (await client.lots_of_greetings(names, timeout=30)).message == "v1: hello a,b"
        assert [one.message async for one in client.bidi_hello(names, timeout=30)] == ["v1: hello a", "v1: hello b"]


async def test_a_provider_that_was_there_before_its_yaml_is_found(plane: ControlPlane) -> None:
    pod, address = "greeter-early", loopback()
    async with dubbo_provider(plane, pod, address, "early"):
        write_rule(plane.directory, pod, workload(pod, address, "early"))
        async with our_consumer(plane) as ours:
            assert await ours(5) == {"early": 5}
        async with dubbo_consumer(plane) as theirs:
            assert await theirs.shares(5) == {"early": 5}


@pytest.mark.parametrize("kind", ["unary", "server", "client", "bidi"])
@pytest.mark.capability("their client finds an interface of ours", peer=PEER)
async def test_their_client_finds_our_interface_and_makes_every_kind_of_call(plane: ControlPlane, kind: str) -> None:
    async with our_provider(plane, "v1"), dubbo_consumer(plane, "consumer", "-kind", kind) as consumer:
        answers = {"unary": 5, "server": 15, "client": 5, "bidi": 15}
        assert await consumer.shares(5) == {"v1": answers[kind]}


@pytest.mark.parametrize("first", ["theirs", "ours"])
@pytest.mark.capability("one service of ours and theirs: VirtualService by weight and header, edited live", peer=PEER)
async def test_both_consumers_obey_one_rule_for_both_providers(plane: ControlPlane, first: str) -> None:
    write_rule(plane.directory, "subsets", subsets())
    write_rule(plane.directory, "weights", weights(80, 20, admin=True))
    async with AsyncExitStack() as stack:
        await dubbo(stack, plane, "v1" if first == "theirs" else "v2")
        await stack.enter_async_context(our_provider(plane, "v2" if first == "theirs" else "v1"))
        for name, shares in (consumers := await both_consumers(stack, plane)).items():
            await until(only(shares, "v2", user="admin"))
            await splits(shares, 0.8)
            assert await shares(50, user="admin") == {"v2": 50}, name
        write_rule(plane.directory, "weights", weights(0, 100))
        for name, shares in consumers.items():
            await until(only(shares, "v2"))
            assert await shares(50) == {"v2": 50}, name


async def splits(shares: Shares, first: float) -> None:
    """A thousand calls are within 3 standard deviations of the share; once in 370 times chance spoils it, not five."""
    for last in (False, False, False, False, True):
        counts = await shares(CALLS)
        assert counts.total() == CALLS == counts["v1"] + counts["v2"], counts
        if within(counts["v1"] / CALLS, first, CALLS):
            return
        assert not last, counts


def only(shares: Shares, name: str, **headers: str) -> Callable[[], Awaitable[bool]]:
    async def answered() -> bool:
        return set(await shares(30, **headers)) == {name}  # of ten calls to two or three, all reach one quite often

    return answered


def mixed(shares: Shares, *more: str) -> Callable[[], Awaitable[bool]]:
    """Whether both versions, and ``more``, answer; no call may fail while that is waited for."""

    async def answered() -> bool:
        counts = await shares(60)
        assert "ERR" not in counts
        return set(counts) == {"v1", "v2", *more}

    return answered


@pytest.mark.capability("subsets taken away and brought back: no call fails", peer=PEER)
async def test_rules_and_subsets_come_and_go_under_a_running_consumer(plane: ControlPlane) -> None:
    async with AsyncExitStack() as stack:
        await dubbo(stack, plane, "v1")
        await dubbo(stack, plane, "v2")
        consumer = await stack.enter_async_context(dubbo_consumer(plane))
        await until(mixed(consumer.shares))
        for share, name in ((100, "v1"), (0, "v2")):
            write_rule(plane.directory, "subsets", subsets())
            write_rule(plane.directory, "weights", weights(share, 100 - share))
            await until(only(consumer.shares, name))
            (plane.directory / "weights.yaml").unlink()
            (plane.directory / "subsets.yaml").unlink()
            await until(mixed(consumer.shares))


@pytest.mark.capability("provider gone: its calls go elsewhere", peer=PEER)
async def test_a_provider_that_is_gone_is_not_called_any_more(plane: ControlPlane) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(our_provider(plane, "v1"))
        going = await stack.enter_async_context(AsyncExitStack())
        await dubbo(going, plane, "v2")
        await going.enter_async_context(our_provider(plane, "v3"))
        consumers = await both_consumers(stack, plane)
        for shares in consumers.values():
            await until(mixed(shares, "v3"))
        (plane.directory / "greeter-v2.yaml").unlink()
        await going.aclose()
        for shares in consumers.values():
            await until(only(shares, "v1"))
            assert await shares(60) == {"v1": 60}


async def test_calls_go_elsewhere_when_a_provider_is_killed_and_no_yaml_says_so(plane: ControlPlane) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(our_provider(plane, "v1"))
        killed = await dubbo(stack, plane, "v2")
        theirs = await stack.enter_async_context(dubbo_consumer(plane, "consumer", "-retries", "3"))
        ours = await stack.enter_async_context(our_consumer(plane))
        for shares in (theirs.shares, ours):
            await until(mixed(shares))
        killed.process.kill()
        await killed.process.wait()
        for shares in (theirs.shares, ours):
            assert await shares(60) == {"v1": 60}


@pytest.mark.capability("control plane gone and back: no call fails", peer=PEER)
async def test_a_restart_of_the_control_plane_costs_no_call_and_heals_everybody(tmp_path: Path) -> None:
    write_rule(tmp_path, "service", service())
    write_rule(tmp_path, "subsets", subsets())
    write_rule(tmp_path, "weights", weights(50, 50))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        plane = await first.enter_async_context(dubbo_plane(tmp_path, loopback()))
        await dubbo(stack, plane, "v1")
        await stack.enter_async_context(our_provider(plane, "v2"))
        consumers = await both_consumers(stack, plane)
        for shares in consumers.values():
            await until(mixed(shares))
        await first.aclose()
        for shares in consumers.values():
            assert set(await shares(50)) == {"v1", "v2"}
        again = await stack.enter_async_context(dubbo_plane(tmp_path, plane.host, plane.port))
        calls = {name: asyncio.create_task(until_back(shares, again)) for name, shares in consumers.items()}
        for call in calls.values():
            assert set(await call) == {"v1", "v2"}
        await until(lambda: _providers(again) == {(HOST, 2)})
        write_rule(tmp_path, "weights", weights(0, 100))
        for shares in consumers.values():
            await until(only(shares, "v2"))


def _providers(plane: ControlPlane) -> set[tuple[str, int]]:
    return {(one.host, one.count) for one in plane.hub.catalog.world.providers["api.greeter"]}


async def until_back(shares: Shares, plane: ControlPlane) -> Counter[str]:
    """What is answered until both providers and both consumers are back."""
    answers: Counter[str] = Counter()
    async with asyncio.timeout(120):
        while len(plane.hub.sessions) < 4 or not plane.hub.catalog.world.providers:
            answers += await shares(10)
    return answers + await shares(50)
