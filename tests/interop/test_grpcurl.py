"""grpcurl learns what our server offers through reflection, in both versions, and calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from meshkit.rpc import Server
from meshkit.rpc.reflection import reflection_services
from tests.support.echo_service import EchoService
from tests.support.gopeers import go_binary

pytestmark = pytest.mark.interop

versions = pytest.mark.parametrize("version", ["v1", "v1alpha"])


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    def replies(self) -> list[dict[str, object]]:
        """The JSON objects that grpcurl printed one after the other."""
        found, rest, decoder = [], self.out.strip(), json.JSONDecoder()
        while rest:
            value, end = decoder.raw_decode(rest)
            found.append(value)
            rest = rest[end:].lstrip()
        return found


@asynccontextmanager
async def echo_server(version: str) -> AsyncIterator[str]:
    """Our server with reflection of one version only: grpcurl takes v1 where there is one."""
    service = EchoService()
    files = (service.__file_descriptor__, *service.__dependencies__())
    offered = dict(zip(("v1", "v1alpha"), reflection_services(files, [service.__service_name__]), strict=True))
    async with Server([service, offered[version]], reflection=False) as server:
        yield f"127.0.0.1:{await server.listen()}"


async def grpcurl(*arguments: str) -> Answer:
    binary = await asyncio.to_thread(go_binary, "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3")
    process = await asyncio.create_subprocess_exec(
        binary, "-plaintext", "-max-time", "20", *arguments, stdout=-1, stderr=-1, stdin=asyncio.subprocess.DEVNULL
    )
    out, err = await asyncio.wait_for(process.communicate(), 180)
    return Answer(process.returncode or 0, out.decode(), err.decode())


async def test_it_lists_the_default_server() -> None:
    async with Server([EchoService()]) as server:
        listed = await grpcurl(f"127.0.0.1:{await server.listen()}", "list")
    assert listed.out.split() == [
        "echo.v1.Echo",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


@versions
async def test_it_lists_and_describes(version: str) -> None:
    async with echo_server(version) as address:
        assert "echo.v1.Echo" in (await grpcurl(address, "list")).out.split()
        methods = (await grpcurl(address, "list", "echo.v1.Echo")).out.split()
        assert {"echo.v1.Echo.Unary", "echo.v1.Echo.Chat"} <= set(methods)
        described = (await grpcurl(address, "describe", "echo.v1.Echo")).out
        assert "rpc Chat ( stream .echo.v1.EchoRequest ) returns ( stream .echo.v1.EchoReply );" in described
        assert "rpc Nothing ( .google.protobuf.Empty ) returns ( .google.protobuf.Empty );" in described
        assert "string text = 1;" in (await grpcurl(address, "describe", "echo.v1.EchoReply")).out


@versions
async def test_it_calls_in_four_shapes(version: str) -> None:
    async with echo_server(version) as address:
        unary = await grpcurl("-d", '{"text": "hi", "payload": "AP8="}', address, "echo.v1.Echo/Unary")
        assert unary.replies() == [{"text": "hi", "payload": "AP8="}]
        split = await grpcurl("-emit-defaults", "-d", '{"count": 3}', address, "echo.v1.Echo/Split")
        assert [reply["number"] for reply in split.replies()] == [0, 1, 2]
        joined = await grpcurl("-d", '{"text": "a"} {"text": "b"}', address, "echo.v1.Echo/Join")
        assert joined.replies() == [{"text": "a,b", "number": 2}]
        chat = await grpcurl("-d", '{"text": "x"} {"text": "y"}', address, "echo.v1.Echo/Chat")
        assert [reply["text"] for reply in chat.replies()] == ["x", "y"]


@versions
async def test_it_shows_errors(version: str) -> None:
    async with echo_server(version) as address:
        failed = await grpcurl("-d", '{"text": "no such thing: 100 % é", "fail": 5}', address, "echo.v1.Echo/Unary")
        assert failed.code == 64 + 5
        assert "Code: NotFound" in failed.err
        assert "Message: no such thing: 100 % é" in failed.err
        missing = await grpcurl(address, "echo.v1.Echo/Missing")
        assert missing.code != 0
        assert 'service "echo.v1.Echo" does not include a method named "Missing"' in missing.err
        for patience in ("0.2", "2", "20"):  # in which it also connects, and asks what there is
            late = await grpcurl("-max-time", patience, "-d", '{"sleep_ms": 60000}', address, "echo.v1.Echo/Unary")
            if "Code: " in late.err:
                break
        assert late.code == 64 + 4
        assert "Code: DeadlineExceeded" in late.err


async def test_it_sends_and_shows_metadata() -> None:
    async with echo_server("v1") as address:
        shown = await grpcurl("-v", "-H", "echo-initial: one", "-d", "{}", address, "echo.v1.Echo/Unary")
    assert "echo-initial: one" in shown.out
