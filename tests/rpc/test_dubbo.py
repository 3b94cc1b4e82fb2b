"""Dubbo's group and version, and names of methods as Java writes them, on both our ends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshkit.errors import NotFound, Unavailable, Unimplemented
from meshkit.rpc import Call, Channel, HealthCheckRequest, Method, Server, ServingStatus, UnaryCall, dubbo
from meshkit.rpc.caller import Caller
from meshkit.rpc.dubbo import ServiceKey
from meshkit.rpc.health import CHECK
from tests.support.dubbo_greeter import Greeter, hello
from tests.support.gen.api import HelloReply, HelloRequest
from tests.support.gen.api.greeter_mesh import GreeterClient


@asynccontextmanager
async def served(servicers: Sequence[Any], **options: Any) -> AsyncIterator[Channel]:
    server = Server(servicers, **options)
    port = await server.listen()
    try:
        async with Channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.close()


def variants() -> list[Any]:
    return [
        dubbo.service(Greeter("g 1.0"), group="g", version="1.0"),
        dubbo.service(Greeter("g"), group="g"),
        dubbo.service(Greeter("2.0"), version="2.0"),
        Greeter("plain"),
    ]


PAIRS = {"g 1.0": ("g", "1.0"), "g": ("g", ""), "2.0": ("", "2.0"), "plain": ("", "")}


def greeter(caller: Caller, group: str = "", version: str = "") -> GreeterClient:
    return GreeterClient(dubbo.bind(caller, group=group, version=version))


@pytest.mark.parametrize("name", PAIRS)
async def test_callers_reach_the_servicer_of_their_pair_with_every_kind_of_call(name: str) -> None:
    async with served(variants()) as channel:
        client = greeter(channel, *PAIRS[name])
        assert (await client.say_hello(hello("x"))).message == f"{name}: hello x"
        assert [reply.message async for reply in client.lots_of_replies(hello("x"))] == [f"{name}: hello x"] * 3
        assert (await client.lots_of_greetings([hello("a"), hello("b")])).message == f"{name}: hello a,b"
        assert [reply.message async for reply in client.bidi_hello([hello("x")])] == [f"{name}: hello x"]


async def test_a_pair_that_is_not_served_is_unimplemented() -> None:
    async with served(variants()[:2]) as channel:
        for group, version in (("g", "2.0"), ("other", ""), ("", "1.0"), ("", "")):
            asked = str(ServiceKey("api.Greeter", group, version))
            text = f"{asked} is not served here, but g/api.Greeter:1.0, g/api.Greeter is (group/interface:version)"
            with pytest.raises(Unimplemented, match=re.escape(text)):
                await greeter(channel, group, version).say_hello(hello("x"))


async def test_a_lone_servicer_without_a_pair_answers_everybody() -> None:
    async with served([Greeter()]) as channel:
        assert (await greeter(channel, "g", "1.0").say_hello(hello("x"))).message == "v1: hello x"


async def test_version_0_0_0_is_none() -> None:
    async with served([dubbo.service(Greeter(), group="g", version="0.0.0")]) as channel:
        assert (await greeter(channel, "g").say_hello(hello("x"))).message == "v1: hello x"
        java = {"tri-service-group": "g", "tri-service-version": "0.0.0"}
        assert (await GreeterClient(channel).say_hello(hello("x"), metadata=java)).message == "v1: hello x"


async def test_what_is_not_set_is_not_sent() -> None:
    async with served([Greeter()]) as channel:
        assert (await greeter(channel, "g").say_hello(hello("meta"))).message == '{"tri-service-group": "g"}'
        assert (await greeter(channel, "", "1").say_hello(hello("meta"))).message == '{"tri-service-version": "1"}'
        assert (await greeter(channel).say_hello(hello("meta"))).message == "{}"
        assert dubbo.bind(channel) is channel


async def test_two_servicers_of_one_pair_are_a_mistake() -> None:
    for pair in ({}, {"group": "g"}):
        both = [dubbo.service(Greeter(), **pair), dubbo.service(Greeter(), **pair)]
        with pytest.raises(ValueError, match="Greeter serves /api.Greeter/SayHello, which another servicer serves"):
            Server(both)


@pytest.mark.parametrize("text", ["a/b", "a:b", "a b", "é", "a\n"])
def test_groups_and_versions_that_cannot_be_sent(text: str) -> None:
    for call in (dubbo.service, dubbo.bind):
        for name in ("group", "version"):
            with pytest.raises(ValueError, match=f"{name} .*printable ASCII"):
                call(Greeter(), **{name: text})  # type: ignore[arg-type]


async def test_interceptors_that_call_twice_send_the_pair_once() -> None:
    async def twice(call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        call.metadata += {"user": "ada"}
        await proceed(call)
        return await proceed(call)

    async with served([Greeter()]) as channel:
        client = GreeterClient(dubbo.bind(channel, group="g"), interceptors=[twice])
        assert (await client.say_hello(hello("meta"))).message == '{"user": "ada", "tri-service-group": "g"}'
        replies = [reply.message async for reply in client.lots_of_replies(hello("meta"))]
        assert set(replies) == {'{"user": "ada", "tri-service-group": "g"}'}


async def test_interceptors_of_the_channel_stay() -> None:
    seen: list[str] = []

    async def look(call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        seen.append(call.method.service)
        return await proceed(call)

    async with served([Greeter()]) as channel:
        channel.mesh_interceptors = (look,)
        await greeter(channel, "g").say_hello(hello("x"))
    assert seen == ["api.Greeter"]


async def test_attempts_carry_the_pair_once() -> None:
    async with Channel("127.0.0.1:1") as channel:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await greeter(channel, "g").say_hello(hello("x"), timeout=5)
    call = UnaryCall(channel, Method("/a.B/C", bytes, bytes), b"")
    bound = dubbo.bind(channel, group="g", version="1")
    for _ in range(2):
        attempt = bound.mesh_unary(call)
        attempt.close()  # type: ignore[attr-defined]
    call.close()
    assert call.fields == ((b"tri-service-group", b"g"), (b"tri-service-version", b"1"))
    assert call.method.service == "g/a.B:1"
    assert call.method.path == "/a.B/C"


async def test_health_knows_keys_and_plain_names() -> None:
    async with served(variants()) as channel:
        for name in ("", "api.Greeter", "g/api.Greeter:1.0", "g/api.Greeter", "api.Greeter:2.0"):
            assert (await UnaryCall(channel, CHECK, HealthCheckRequest(name))).status is ServingStatus.SERVING
        with pytest.raises(NotFound):
            await UnaryCall(channel, CHECK, HealthCheckRequest("other/api.Greeter"))


async def test_server_interceptors_and_grpclibs_handlers_go_under_a_pair_too() -> None:
    seen: list[str] = []

    async def look(call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        seen.append(call.metadata.get("tri-service-group", ""))
        return await proceed(call)

    class Foreign:
        def __mapping__(self) -> Any:
            return Greeter("foreign").__mapping__()

    async with served([dubbo.service(Foreign(), group="f"), Greeter("own")], interceptors=[look]) as channel:
        assert (await greeter(channel, "f").say_hello(hello("x"))).message == "foreign: hello x"
        assert (await greeter(channel).say_hello(hello("x"))).message == "own: hello x"
    assert seen == ["f", ""]


JAVAS = Method("/api.Greeter/sayHello", HelloRequest, HelloReply)


async def test_methods_as_java_writes_them() -> None:
    async with served([dubbo.service(Greeter("of g"), group="g"), Greeter()]) as channel:
        assert (await UnaryCall(channel, JAVAS, hello("x"))).message == "v1: hello x"
        assert (await UnaryCall(dubbo.bind(channel, group="g"), JAVAS, hello("x"))).message == "of g: hello x"
        with pytest.raises(Unimplemented, match="unknown method /api.Greeter/sayhello"):
            await UnaryCall(channel, Method("/api.Greeter/sayhello", bytes, bytes), b"")
        for path in ("/api.Greeter/", "/", "x"):
            with pytest.raises(Unimplemented):
                await UnaryCall(channel, at(path), hello("x"))


async def test_paths_as_pixiu_writes_them() -> None:
    async with served([Greeter()]) as channel:
        assert (await UnaryCall(channel, at("api.Greeter/SayHello"), hello("x"))).message == "v1: hello x"


def at(path: str) -> Method[HelloRequest, HelloReply]:
    """A method whose path may be none."""
    method = Method("/a.B/C", HelloRequest, HelloReply)
    object.__setattr__(method, "path_bytes", path.encode())
    return method


def test_keys_as_text() -> None:
    for text in ("g/a.B:1.0", "g/a.B", "a.B:1.0", "a.B"):
        assert str(ServiceKey.parse(text)) == text
    assert ServiceKey.parse("g/a.B:1.0") == ServiceKey("a.B", "g", "1.0")
