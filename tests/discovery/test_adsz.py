"""dubbo-go's interface map, read from the debug page of a control plane; the page's failures; conflicts."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshkit.discovery import Discovery, DiscoveryOptions, HostPort, NodeIdentity, Unknown
from meshkit.discovery.adsz import PublishedInterfaces
from meshkit.net import BackoffPolicy
from meshkit.tasks import Scope
from tests.support.ads_server import AdsServer, cluster, endpoints, routes
from tests.support.events import captured_events
from tests.support.waiting import until

FAST = BackoffPolicy(0.02, 1.6, 0.2, 0.1)
GREETER = "pkg.Greeter"


def client(published: Any, name: str = "app-1.demo-1") -> dict[str, Any]:
    """A client as istiod shows it; ``published`` is JSON, or text as it is."""
    text = published if isinstance(published, str) else json.dumps(published)
    labels = {"app": "x", "DUBBO_GO": text}
    return {"connectionId": name, "labels": labels, "metadata": {"NAMESPACE": "demo", "LABELS": labels}}


def page(*clients: Any) -> str:
    return json.dumps({"totalClients": len(clients), "clients": clients} if clients else {"totalClients": 0}, indent=2)


class DebugServer:
    """An HTTP server of one page. ``asked`` has the head of every request."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.body = page()
        self.more = ""
        self.asked: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = self.body.encode()
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{self.more}\r\n"
        writer.write(head.encode() + body)
        writer.close()
        await writer.wait_closed()


def nobody_reads() -> bool:
    """Whether the threads that read pages have ended."""
    return all(thread.name != "meshkit-debug-page" for thread in threading.enumerate())


@asynccontextmanager
async def debug_server() -> AsyncIterator[DebugServer]:
    made = DebugServer()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
        await until(nobody_reads)


@asynccontextmanager
async def reading(server: DebugServer, **more: Any) -> AsyncIterator[PublishedInterfaces]:
    """The strategy, running; it is asked again after each look, as interfaces in use are."""
    options = DiscoveryOptions(debug_url=f"http://127.0.0.1:{server.port}", backoff=FAST, **more)
    strategy = PublishedInterfaces(options)
    strategy.listen(lambda: strategy.locate(GREETER))
    strategy.locate(GREETER)
    async with Scope("test") as scope:
        scope.start(strategy.run())
        yield strategy


def published(host: str, key: str = f"providers:{GREETER}::") -> dict[str, str]:
    return {key: host}


async def test_nothing_is_read_until_somebody_asks() -> None:
    async with debug_server() as server, Scope("test") as scope:
        strategy = PublishedInterfaces(DiscoveryOptions(debug_url=f"http://127.0.0.1:{server.port}"))
        scope.start(strategy.run())
        await asyncio.sleep(0.05)
        assert not server.asked
        strategy.locate(GREETER)
        await until(lambda: server.asked)


async def test_a_page_that_hangs_holds_up_no_end() -> None:
    """Neither that of who reads it, nor that of the loop, which waits for its own threads."""
    asked, enough = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await enough.wait()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        strategy = PublishedInterfaces(DiscoveryOptions(debug_url=f"http://127.0.0.1:{port}"))
        strategy.locate(GREETER)
        async with Scope("test") as scope:
            scope.start(strategy.run())
            await asyncio.wait_for(asked.wait(), 30)
        async with asyncio.timeout(3):  # the page's own patience is longer
            await asyncio.get_running_loop().shutdown_default_executor()
        enough.set()
        await until(nobody_reads)


async def test_an_interface_that_comes_later_is_found_and_a_gone_one_is_not() -> None:
    async with debug_server() as server, reading(server) as strategy:
        await until(lambda: len(server.asked) >= 2)
        found = strategy.locate(GREETER)
        assert isinstance(found, Unknown)
        assert found.reason.endswith("/debug/adsz: nobody publishes the interface")
        server.body = page(client(""), client(published("greeter.demo.svc.cluster.local:20000")))
        await until(lambda: strategy.locate(GREETER) == HostPort("greeter.demo.svc.cluster.local", 20000))
        server.body = page()
        strategy.locate("pkg.Other")  # a new interface is worth a look, which replaces the whole map
        await until(lambda: isinstance(strategy.locate(GREETER), Unknown))


async def test_an_interface_that_stays_unknown_is_looked_for_more_and_more_seldom() -> None:
    async with debug_server() as server, reading(server) as strategy:
        await until(lambda: len(server.asked) >= 4)
        assert strategy._eager.failures >= 3
        strategy.locate("pkg.New")
        assert strategy._eager.failures == 0


async def test_the_token_is_shown_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    identity = NodeIdentity(cluster_id="c1")
    async with debug_server() as server, reading(server, token_file=file, identity=identity):
        await until(lambda: server.asked)
        file.write_text("two")
        await until(lambda: "Authorization: Bearer two\r\n" in server.asked[-1])
    assert "Authorization: Bearer one\r\n" in server.asked[0]
    assert "ClusterID: c1\r\n" in server.asked[0]
    assert server.asked[0].startswith("GET /debug/adsz HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("401 Unauthorized", "", "401 Unauthorized; it wants a service-account token"),
        (
            "403 Forbidden",
            "Access denied\n",
            "403 Access denied; .*DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES.*meshkit k8s",
        ),
        ("404 Not Found", "", "404 Not Found; check MESHKIT_DEBUG_URL, and ENABLE_DEBUG_ON_HTTP"),
        ("302 Found", "", "302 Found; check MESHKIT_DEBUG_URL"),
        ("200 OK", "<html>", "it is not istiod's page"),
        ("200 OK", page(client({}))[:-30], "cut or mangled"),
        ("200 OK", page(1)[:-4] + "[" * 100_000, "cut or mangled"),
    ],
)
async def test_a_page_that_fails_is_said_once_and_heals(status: str, body: str, said: str) -> None:
    good = page(client(published("a.b:80")))
    with captured_events() as events:
        async with debug_server() as server, reading(server) as strategy:
            server.status, server.body, server.more = status, body, "Location: http://127.0.0.1:1/\r\n"
            await until(lambda: len(server.asked) >= 4)
            server.status, server.body = "200 OK", good
            await until(lambda: strategy.locate(GREETER) == HostPort("a.b", 80))
            server.status, server.body = status, body
            strategy.locate("pkg.New")
            await until(lambda: "error" in events[-1] and len(events) == 2)
            assert strategy.locate(GREETER) == HostPort("a.b", 80)  # what was known stays
    assert {event["event"] for event in events} == {"published interfaces are not read"}
    assert re.search(said, events[0]["error"])


async def test_nobody_there() -> None:
    async with debug_server() as server:
        pass
    with captured_events() as events:
        async with reading(server) as strategy:
            await until(lambda: events)
            await asyncio.sleep(0.1)
            found = strategy.locate(GREETER)
    assert isinstance(found, Unknown)
    assert "Connection refused; check MESHKIT_DEBUG_URL" in found.reason
    assert len(events) == 1


async def test_two_hosts_for_one_interface_are_reported_once_and_do_not_flap() -> None:
    with captured_events() as events:
        async with debug_server() as server, reading(server) as strategy:
            server.body = page(client(published("b.b:80")), client(published("a.a:80")), client(published("b.b:80")))
            await until(lambda: strategy.locate(GREETER) == HostPort("b.b", 80))
            server.body = page(client(published("b.b:80")), client(published("a.a:80")), client(published("a.a:80")))
            for number in range(3):
                seen = len(server.asked)
                strategy.locate(f"pkg.Other{number}")
                await until(lambda seen=seen: len(server.asked) > seen)
            assert strategy.locate(GREETER) == HostPort("b.b", 80)
    (event,) = events
    assert (event["interface"], event["hosts"], event["taken"]) == (GREETER, ("a.a:80", "b.b:80"), "b.b:80")


async def test_what_makes_no_sense_is_skipped_and_said() -> None:
    bad = {
        "providers:a.C::": "a.b:" + "9" * 5000,
        "providers:a.B::": "nowhere",
        "consumers:a.B::": "a.b:80",
        "providers:a.B": "a.b:80",
    }
    with captured_events() as events:
        async with debug_server() as server, reading(server) as strategy:
            server.body = page(
                {}, 1, client("{"), client("[" * 100_000), client("[1]"), client({**bad, **published("a.b:80")})
            )
            await until(lambda: strategy.locate(GREETER) == HostPort("a.b", 80))
    assert sorted(event["fault"] for event in events) == [
        "DUBBO_GO: cannot read 'consumers:a.B::': 'a.b:80'",
        "DUBBO_GO: cannot read 'providers:a.B': 'a.b:80'",
        "DUBBO_GO: cannot read 'providers:a.B::': 'nowhere'",
        f"DUBBO_GO: cannot read 'providers:a.C::': 'a.b:{'9' * 5000}"[:200],
        "DUBBO_GO: expected a JSON object",
    ]
    assert {event["client"] for event in events} == {"app-1.demo-1"}


async def test_an_entry_with_version_and_group_counts_where_there_is_none_without() -> None:
    special = published("v1.demo:80", f"providers:{GREETER}:1.0:g")
    async with debug_server() as server, reading(server) as strategy:
        server.body = page(client(special))
        await until(lambda: strategy.locate(GREETER) == HostPort("v1.demo", 80))
        server.body = page(client(special), client(published("plain.demo:80")))
        strategy.locate("pkg.Other")
        await until(lambda: strategy.locate(GREETER) == HostPort("plain.demo", 80))
        assert strategy.locate(f"g/{GREETER}:1.0") == HostPort("v1.demo", 80)
        assert isinstance(strategy.locate(f"g/{GREETER}:2.0"), Unknown)


async def test_calls_go_where_the_page_says_by_the_routes_of_that_host() -> None:
    async with debug_server() as server, AdsServer() as plane:
        server.body = page(client(published("greeter.demo:20000")))
        plane.put(cluster("a"), endpoints("a", "127.0.0.1:1"), routes("greeter.demo:20000", ("a", 1)))
        plane.put(routes("pkg.greeter:80"))
        strategies = ("static", "standard", "adsz")
        url = f"http://127.0.0.1:{server.port}"
        discovery = Discovery(DiscoveryOptions(plane.address, strategies=strategies, debug_url=url, backoff=FAST))
        await discovery.start()
        watch = discovery.watch(GREETER)
        snapshot = await asyncio.wait_for(watch.cell.wait(lambda snapshot: snapshot.ready), 30)
        await discovery.close()
    assert (set(snapshot.clusters), snapshot.authority) == ({"a"}, "greeter.demo:20000")
