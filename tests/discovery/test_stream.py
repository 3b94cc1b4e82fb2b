"""The stream's own life: refusals told once, tokens, hasty servers, big pushes in slices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshkit.discovery import Discovery, DiscoveryOptions, NodeIdentity
from meshkit.net import BackoffPolicy
from tests.support.ads_server import RDS, AdsServer, cluster, endpoints, routes
from tests.support.events import captured_events
from tests.support.waiting import until

NAME = "pkg.svc:80"
FAST = BackoffPolicy(0.02, 1.6, 0.2, 0.1)
MODES = pytest.mark.parametrize("mode", ["delta", "sotw"])


@asynccontextmanager
async def running(server: AdsServer, **options: Any) -> AsyncIterator[Discovery]:
    options.setdefault("backoff", FAST)
    discovery = Discovery(DiscoveryOptions(server.address, NodeIdentity("c"), **options))
    await discovery.start()
    try:
        yield discovery
    finally:
        await discovery.close()


def bad_routes() -> Any:
    message = routes(NAME, ("a", 1))
    message.virtual_hosts[0].routes[0].match.ClearField("prefix")
    return message


@MODES
async def test_a_refusal_is_logged_once_for_as_long_as_it_stays_the_same(mode: str) -> None:
    with captured_events() as logs:
        async with AdsServer() as server, running(server, mode=mode) as discovery:
            server.put(bad_routes())
            watch = discovery.watch("pkg.Svc")
            for count in (1, 2, 3):
                await until(lambda count=count: len(server.streams[0].errors if server.streams else ()) == count)
                server.put(bad_routes())
            assert "refused, virtual host" in watch.explain()
            other = bad_routes()
            other.virtual_hosts[0].domains.append("")
            server.put(other)
            await until(lambda: "domain" in server.streams[0].errors[-1])
    told = [entry["reasons"] for entry in logs if entry["event"] == "resources refused"]
    assert len(told) == 2
    assert NAME in told[0]


@MODES
async def test_types_that_were_not_asked_for_are_told_once(mode: str) -> None:
    with captured_events() as logs:
        async with AdsServer() as server, running(server, mode=mode) as discovery:
            server.put(cluster("a"), endpoints("a", "127.0.0.1:1"), routes(NAME, ("a", 1)))
            await asyncio.wait_for(discovery.watch("pkg.Svc").cell.wait(lambda s: s.ready), 30)
            for _ in range(2):
                server.streams[0].names["type.googleapis.com/x.Secret"] = ["s"]
                server._answer(server.streams[0], "type.googleapis.com/x.Secret", ["s"])
            server.put(routes(NAME, ("a", 2)))
            await until(lambda: discovery.statistics().stream.responses >= 6)
    assert [entry["type"] for entry in logs if "not asked for" in entry["event"]] == ["type.googleapis.com/x.Secret"]
    assert all(request.type_url != "type.googleapis.com/x.Secret" for request in server.streams[0].requests)


async def test_the_token_is_read_for_every_stream(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with captured_events() as logs:
        async with AdsServer() as server, running(server, token_file=token) as discovery:
            server.put(cluster("a"), endpoints("a", "127.0.0.1:1"), routes(NAME, ("a", 1)))
            watch = discovery.watch("pkg.Svc")
            await until(lambda: "token" in discovery.condition())
            assert not server.streams
            token.write_text("first\n")
            await asyncio.wait_for(watch.cell.wait(lambda s: s.ready), 30)
            token.write_text("second\n")
            server.end_streams()
            await until(lambda: len(server.streams) == 2)
            tokens = [dict(stream.metadata)["authorization"] for stream in server.streams]
    assert tokens == ["Bearer first", "Bearer second"]
    assert any("not reached" in entry["event"] for entry in logs)


async def test_an_absent_control_plane_is_complained_about_once() -> None:
    async with AdsServer() as server:
        server.put(cluster("a"), endpoints("a", "127.0.0.1:1"), routes(NAME, ("a", 1)))
    with captured_events() as logs:
        async with running(server) as discovery:
            watch = discovery.watch("pkg.Svc")
            await until(lambda: bool(discovery.condition()))
            await asyncio.sleep(0.3)
            await server.start()
            await asyncio.wait_for(watch.cell.wait(lambda s: s.ready), 30)
            complaints = [entry for entry in logs if entry["event"] == "control plane not reached"]
            await server.stop()  # another outage, which may be complained about again
    assert len(complaints) == 1


async def test_a_server_that_ends_every_stream_is_not_hammered() -> None:
    slow = BackoffPolicy(initial=5.0, multiplier=1.6, jitter=0.0, maximum=30.0)
    async with AdsServer() as server, running(server, backoff=slow) as discovery:
        server.put(cluster("a"), endpoints("a", "127.0.0.1:1"), routes(NAME, ("a", 1)))
        watch = discovery.watch("pkg.Svc")
        await asyncio.wait_for(watch.cell.wait(lambda s: s.ready), 30)
        server.end_streams()
        await until(lambda: len(server.streams) == 2 and RDS in server.streams[1].nonces)
        await until(lambda: not discovery.condition())
        server.end_streams()
        await until(lambda: bool(discovery.condition()))
        await asyncio.sleep(0.2)
        assert len(server.streams) == 2


@MODES
async def test_a_big_push_is_worked_off_in_slices_and_published_whole(mode: str) -> None:
    many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}:80" for n in range(10_000)]
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(cluster("a"), endpoints("a", *many), routes(NAME, ("a", 1)))
        watch = discovery.watch("pkg.Svc")
        sizes: list[int] = []
        watch.cell.listen(lambda s: sizes.append(len(s.clusters["a"].assignment.localities[0].endpoints)))
        await asyncio.wait_for(watch.cell.wait(lambda s: s.ready), 30)
        statistics = discovery.statistics().stream
        assert statistics.slices > 5
        first = watch.cell.value
        server.put(endpoints("a", *many[:-1], "10.9.9.9:80"))
        await until(lambda: watch.cell.value is not first)
        old, new = (s.clusters["a"].assignment.localities[0].endpoints for s in (first, watch.cell.value))
        assert sum(a is b for a, b in zip(old, new, strict=True)) >= 10_000 - 128
        assert sizes == [10_000, 10_000]
