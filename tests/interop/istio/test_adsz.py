"""dubbo-go's interface map on a real istiod: found through its debug page, and refused by it to other namespaces.

istiod asks callers from loopback addresses for nothing, so a relay calls it from the machine's other address; the
packets stay on the machine.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from meshkit.mesh import Mesh
from tests.support.events import captured_events
from tests.support.files import save
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import kubernetes, settle
from tests.support.istiod import Istiod, running_istiod, token
from tests.support.waiting import until
from tests.support.world import Greeter

pytestmark = pytest.mark.interop

_EVENT = "published interfaces are not read"


@asynccontextmanager
async def from_elsewhere(port: int) -> AsyncIterator[str]:
    """The URL of a relay whose calls to ``port`` do not come from a loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        source = probe.getsockname()[0]
    assert not source.startswith("127."), "this machine has no address of its own, so istiod cannot be asked from one"

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        with suppress(ConnectionError):
            other.write(await reader.readuntil(b"\r\n\r\n"))
            while data := await other_reader.read(1 << 16):
                writer.write(data)
        other.close()
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def provided(istiod: Istiod) -> AsyncIterator[None]:
    """A greeter that publishes itself as dubbo-go's do, with its Service."""
    async with (
        Mesh(istiod.address, service="greeter", namespace="demo", address="127.0.0.11") as mesh,
        mesh.serving(Greeter("one")) as server,
    ):
        port = int(server.address.rpartition(":")[2])
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port))
        yield


def consumer(istiod: Istiod, debug_url: str, **more: Any) -> Mesh:
    settings = {"strategies": "static,standard,adsz", "namespace": "demo", "address": "127.0.0.99", "wait": 30.0}
    return Mesh(istiod.address, debug_url=debug_url, **settings, **more)


@pytest.mark.capability("interfaces by dubbo-go's map (adsz)", peer="istiod delta")
async def test_an_interface_is_found_in_the_map_of_dubbo_go(istiod: Istiod) -> None:
    with captured_events() as events:
        url = f"http://127.0.0.1:{istiod.ports['http']}"
        async with provided(istiod), consumer(istiod, url) as mesh:
            await settle(GreeterClient(mesh), {"one"})
    assert [event for event in events if event["log_level"] == "warning"] == []


@pytest.mark.capability("interfaces by dubbo-go's map (adsz)", peer="istiod grpc/SotW")
async def test_the_light_generator_takes_the_map_too(istiod: Istiod) -> None:
    url = f"http://127.0.0.1:{istiod.ports['monitoring']}"
    async with provided(istiod), consumer(istiod, url, generator="grpc") as mesh:
        await settle(GreeterClient(mesh), {"one"})


@pytest.mark.capability("refused debug page: one line with istiod's setting", peer="istiod delta")
async def test_a_refused_page_is_said_with_the_setting_and_heals(istiod: Istiod, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token("demo", "app"))
    with captured_events() as events:
        async with provided(istiod), from_elsewhere(istiod.ports["http"]) as url:
            async with consumer(istiod, url, token_file=file) as mesh, asyncio.TaskGroup() as group:
                group.create_task(settle(GreeterClient(mesh), {"one"}))
                await until(lambda: _said(events))
                save(file, token("istio-system", "app"))
    (said,) = _said(events)
    assert re.match(r"403 .*; istiod shows the page to its own namespace.*DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES", said)
    assert "meshkit k8s mapping" in said


async def test_without_a_token_the_page_asks_for_one(istiod: Istiod) -> None:
    with captured_events() as events:
        async with from_elsewhere(istiod.ports["http"]) as url, consumer(istiod, url) as mesh:
            mesh._interface("x.Y")
            await until(lambda: _said(events))
    assert _said(events)[0].startswith("401 ")
    assert "MESHKIT_TOKEN_FILE" in _said(events)[0]


async def test_istiod_lets_a_namespace_in_that_it_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token("demo", "app"))
    allowed = {"DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES": "demo"}
    with captured_events() as events:
        async with running_istiod(tmp_path, environment=allowed) as istiod, provided(istiod):
            async with from_elsewhere(istiod.ports["http"]) as url:
                async with consumer(istiod, url, token_file=tmp_path / "token") as mesh:
                    await settle(GreeterClient(mesh), {"one"})
    assert _said(events) == []


def _said(events: Any) -> list[str]:
    return [event["error"] for event in events if event["event"] == _EVENT]
