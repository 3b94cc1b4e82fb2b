"""Pixiu, Dubbo's gateway, in front of our server."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from meshkit.errors import NotFound, Unimplemented
from meshkit.rpc import Channel, Server
from tests.support.dubbo_greeter import Greeter, hello
from tests.support.dubbo_peers import GO33, go_client
from tests.support.gen.api.greeter_mesh import GreeterClient
from tests.support.gopeers import go_binary
from tests.support.peercache import PEERS, tool
from tests.support.ports import free_ports

pytestmark = pytest.mark.interop

VERSION = "v1.1.0"


class Gateway(NamedTuple):
    """Where it listens."""

    grpc: str
    http: str


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Gateway]:
    """Pixiu with the configuration of ``tests/peers/pixiu``, and a server of ours behind it."""
    async with Server([Greeter()]) as server:
        grpc, http = free_ports(2)
        ports = {"MESHKIT_PORT": await server.listen(), "GRPC_PORT": grpc, "HTTP_PORT": http}
        text = (PEERS / "pixiu" / "conf.yaml").read_text()
        for name, port in ports.items():
            text = text.replace(f"port: {name}", f"port: {port}")
        (folder / "conf.yaml").write_text(text)
        with running(folder):
            for name in ("GRPC_PORT", "HTTP_PORT"):
                await listening(ports[name])
            yield Gateway(f"127.0.0.1:{ports['GRPC_PORT']}", f"127.0.0.1:{ports['HTTP_PORT']}")


@contextmanager
def running(folder: Path) -> Iterator[None]:
    binary = go_binary("github.com/apache/dubbo-go-pixiu/cmd/pixiu", VERSION)
    with (folder / "pixiu.log").open("wb") as log:
        command = [binary, "gateway", "start", "-c", "conf.yaml"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()
        process.wait(60)


async def listening(port: int) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def test_grpc_and_triple_callers_through_pixiu(tmp_path: Path) -> None:
    async with gateway(tmp_path) as pixiu, Channel(pixiu.grpc) as channel:
        client = GreeterClient(channel)
        assert (await client.say_hello(hello("x"), timeout=30)).message == "v1: hello x"
        assert [reply.message async for reply in client.lots_of_replies(hello("x"), timeout=30)] == ["v1: hello x"] * 3
        names = [hello("a"), hello("b")]
        assert (await client.lots_of_greetings(names, timeout=30)).message == "v1: hello a,b"
        replies = [reply.message async for reply in client.bidi_hello(names, timeout=30)]
        assert replies == ["v1: hello a", "v1: hello b"]
        attached = await client.say_hello(hello("meta"), metadata={"user": "ada"}, timeout=30)
        assert json.loads(attached.message) == {"user": "ada"}
        assert (await go_client(GO33, pixiu.grpc)).result == "v1: hello x"


async def test_what_pixiu_loses(tmp_path: Path) -> None:
    """How a call ended: its callers see OK without a reply, but for the few where the trailers overtake that."""
    async with gateway(tmp_path) as pixiu, Channel(pixiu.grpc) as channel:
        client = GreeterClient(channel)
        with pytest.raises((Unimplemented, NotFound), match="ended with OK and no reply|no such greeting"):
            await client.say_hello(hello("not-found"), timeout=30)


async def test_json_through_pixiu(tmp_path: Path) -> None:
    """It hands the length of the JSON text on as that of the message, which HTTP/2 forbids: chunks have none."""
    async with gateway(tmp_path) as pixiu:
        url = f"http://{pixiu.http}/api.Greeter/SayHello"
        headers = ("-H", "content-type: application/json", "-H", "transfer-encoding: chunked")
        command = (tool("curl", "pixiu"), "-sS", "-m", "60", *headers, "-d", '{"name": "x"}', url)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
    assert json.loads(output) == {"message": "v1: hello x"}
