"""Our client calls Dubbo's own servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from meshkit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    NotFound,
    ResourceExhausted,
    RpcError,
    Unimplemented,
    Unknown,
)
from meshkit.rpc import CallOptions, Channel, HealthCheckRequest, Method, ServerStream, ServingStatus, UnaryCall, dubbo
from meshkit.rpc.health import CHECK, WATCH
from tests.support.dubbo_greeter import NO_GREETING, hello
from tests.support.dubbo_peers import DUBBO, GO31, GO33, JAVA, DubboServer, each, every_kind
from tests.support.gen.api import HelloReply, HelloRequest
from tests.support.gen.api.greeter_mesh import GreeterClient
from tests.support.tap import tapped

pytestmark = pytest.mark.interop

Servers = Callable[..., DubboServer]
NAMES = {GO33: "v1", GO31: "v1", JAVA: "java"}
TIMEOUT = 60.0
LARGE = 3_000_000  # bytes, both ways


async def call(client: GreeterClient, kind: str) -> list[str]:
    """Greet three with a call of this kind; the answers."""
    names = [hello(name) for name in "abc"]
    if kind == "unary":
        return [(await client.say_hello(one, timeout=TIMEOUT)).message for one in names]
    if kind == "server":
        return [reply.message async for reply in client.lots_of_replies(names[0], timeout=TIMEOUT)]
    if kind == "client":
        return [(await client.lots_of_greetings(names, timeout=TIMEOUT)).message]
    return [reply.message async for reply in client.bidi_hello(names, timeout=TIMEOUT)]


ANSWERS = {"unary": ["a", "b", "c"], "server": ["a"] * 3, "client": ["a,b,c"], "bidi": ["a", "b", "c"]}


@every_kind()
async def test_every_kind_of_call(peer: str, kind: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        wanted = [f"{NAMES[peer]}: hello {name}" for name in ANSWERS[kind]]
        assert await call(GreeterClient(channel), kind) == wanted


@every_kind()
async def test_many_calls_at_once(peer: str, kind: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        client = GreeterClient(channel)
        answers = await asyncio.gather(*(call(client, kind) for _ in range(50)))
        assert answers == [[f"{NAMES[peer]}: hello {name}" for name in ANSWERS[kind]]] * 50


@each("Triple: attachments both ways")
async def test_metadata_arrives_as_attachments(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        metadata = {"user": "ada", "my-attach": "v 1"}
        text = (await GreeterClient(channel).say_hello(hello("meta"), metadata=metadata, timeout=TIMEOUT)).message
        assert seen(peer, text) >= {("user", "ada"), ("my-attach", "v 1")}


def seen(peer: str, text: str) -> set[tuple[str, str]]:
    """The attachments that a server says it got: JSON with lists of values, or Java's ``{a=b, c=d}``."""
    if peer == JAVA:
        parts = (part.partition("=") for part in text.strip("{}").split(", "))
        return {(name, value) for name, _, value in parts}
    return {(name.lower(), value) for name, values in json.loads(text).items() for value in values}


@each("Triple: attachments both ways", GO33, JAVA)
async def test_attachments_of_the_answer_are_metadata(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        greeting = GreeterClient(channel).say_hello(hello("trailer"), timeout=TIMEOUT)
        await greeting
        if peer == GO33:
            assert greeting.initial_metadata()["resp-header"] == "h1"
        name, value = ("resp-trailer", "t1") if peer == GO33 else ("resp-attach", "t1")
        assert greeting.trailing_metadata()[name] == value


# Errors.

WRONG = [  # what is greeted, and what that gives with whom; dubbo-java has no "details" and no "panic"
    (DUBBO, "not-found", NotFound, NO_GREETING),
    ((GO33,), "plain-error", Unknown, "plain error"),  # grpc-status: 17
    ((GO31,), "plain-error", Unknown, "plain error"),
    ((JAVA,), "plain-error", Unknown, "plain error"),
    ((GO33,), "details", FailedPrecondition, "precond"),
    ((GO33,), "panic", Internal, "stream reset by server: INTERNAL_ERROR"),
]


@pytest.mark.parametrize(
    ("peer", "name", "kind", "text"),
    [
        pytest.param(peer, *case, id=f"{peer}-{case[0]}".replace(" ", "-"), marks=mark)
        for peers, *case in WRONG
        for peer in peers
        for mark in [pytest.mark.capability("Triple: errors as they send them", peer=peer)]
    ],
)
async def test_errors_are_what_they_mean(
    peer: str, name: str, kind: type[RpcError], text: str, servers: Servers
) -> None:
    async with Channel(servers(peer).address) as channel:
        client = GreeterClient(channel)
        for greet in (client.say_hello, one_of_a_stream(client)):
            with pytest.raises(kind) as caught:
                await greet(hello(name), timeout=TIMEOUT)
            assert text in (caught.value.message or "")
            assert type(caught.value) is kind
            assert b"WHY" not in (caught.value.details or b"")  # what dubbo-go 3.3 loses of an error on its way out


def one_of_a_stream(client: GreeterClient) -> Callable[..., Awaitable[HelloReply]]:
    async def greet(request: HelloRequest, **options: Any) -> HelloReply:
        async for reply in client.bidi_hello([request], **options):
            return reply
        raise AssertionError("no reply")

    return greet


async def one(channel: Channel, path: str) -> HelloReply:
    return await UnaryCall(channel, Method(path, HelloRequest, HelloReply), hello("x"), TIMEOUT)


@each("Triple: unknown services and methods")
async def test_what_they_do_not_serve(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        with pytest.raises(Unimplemented):
            await one(channel, "/api.Nobody/SayHello")
        with pytest.raises(Unknown if peer == JAVA else Unimplemented):
            await one(channel, "/api.Greeter/SayNothing")


# Whose timer is first: a handler in Go that returns its context's error is a plain error, "context deadline exceeded".
LATE = dict.fromkeys((GO33, GO31), (DeadlineExceeded, Unknown))


@each("Triple: deadline and cancellation")
async def test_deadlines_and_cancelled_calls(peer: str, servers: Servers) -> None:
    server = servers(peer)
    async with Channel(server.address) as channel:
        client = GreeterClient(channel)
        await client.say_hello(hello("x"), timeout=TIMEOUT)
        late = LATE.get(peer, DeadlineExceeded)
        with pytest.raises(late):
            await client.say_hello(hello("sleep:9s"), timeout=0.4)
        with pytest.raises(late):
            async for _ in client.lots_of_replies(hello("sleep:9s"), timeout=0.4):
                pass
        given_up = asyncio.create_task(client.say_hello(hello("sleep:9s")))
        await asyncio.sleep(0.4)
        given_up.cancel()
        assert (await client.say_hello(hello("x"), timeout=TIMEOUT)).message.endswith("hello x")
    if peer != JAVA:  # whose handlers are not told
        await server.saying("EVENT cancelled")


@each("Triple: messages of megabytes")
async def test_large_messages(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        client = GreeterClient(channel)
        name = "é" * (LARGE // 2)
        assert (await client.say_hello(hello(name), timeout=TIMEOUT)).message.endswith(name)
        replies = [reply.message async for reply in client.bidi_hello([hello(name)] * 3, timeout=TIMEOUT)]
        assert [len(reply) for reply in replies] == [len(f"{NAMES[peer]}: hello {name}")] * 3
        with pytest.raises(ResourceExhausted):
            await client.say_hello(hello(name), timeout=TIMEOUT, options=CallOptions(max_receive=LARGE // 2))


# Group, version and health.


@each("Triple: group and version")
async def test_a_service_with_group_and_version(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer, "g", "1.0").address) as channel:
        client = GreeterClient(dubbo.bind(channel, group="g", version="1.0"))
        for kind, names in ANSWERS.items():
            assert await call(client, kind) == [f"{NAMES[peer]}: hello {name}" for name in names]


@each("Triple: group and version", GO33)
@pytest.mark.parametrize("pair", [("g", "2.0"), ("h", "1.0"), ("g", ""), ("", "")], ids=str)
async def test_another_pair_is_unimplemented(peer: str, pair: tuple[str, str], servers: Servers) -> None:
    async with Channel(servers(peer, "g", "1.0").address) as channel:
        with pytest.raises(Unimplemented):
            await GreeterClient(dubbo.bind(channel, group=pair[0], version=pair[1])).say_hello(hello("x"))


@each("Triple: group and version", GO31, JAVA)
async def test_these_do_not_look_at_the_pair(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer, "g", "1.0").address) as channel:
        for caller in (channel, dubbo.bind(channel, group="h", version="2.0")):
            assert (await GreeterClient(caller).say_hello(hello("x"))).message == f"{NAMES[peer]}: hello x"


@each("Triple: methods as Java writes them", GO33, GO31)
async def test_methods_as_java_writes_them(peer: str, servers: Servers) -> None:
    async with Channel(servers(peer).address) as channel:
        assert (await one(channel, "/api.Greeter/sayHello")).message == "v1: hello x"


@each("Triple: health by service key", GO33)
async def test_health_of_a_service_key(peer: str, servers: Servers) -> None:
    for server, key in ((servers(peer, "g", "1.0"), "g/api.Greeter:1.0"), (servers(peer), "api.Greeter")):
        async with Channel(server.address) as channel:
            answer = await UnaryCall(channel, CHECK, HealthCheckRequest(key), TIMEOUT)
            assert answer.status is ServingStatus.SERVING
            watch: Any = ServerStream(channel, WATCH, HealthCheckRequest(key), TIMEOUT)
            assert (await watch.recv()).status is ServingStatus.SERVING
            watch.cancel()


# Compression.


@each("Triple: answers are compressed where the caller asks")
async def test_answers_are_compressed_for_who_asks(peer: str, servers: Servers) -> None:
    name = "x" * 20_000
    async with tapped(servers(peer).address) as tap, Channel(tap.address) as channel:
        client = GreeterClient(channel)
        for options, low, high in ((None, 20_000, 22_000), (CallOptions(accept_compression=True), 0, 2_000)):
            before = tap.down
            reply = await client.say_hello(hello(name), timeout=TIMEOUT, options=options)
            assert reply.message == f"{NAMES[peer]}: hello {name}"
            assert (low if peer == GO33 else 20_000) < tap.down - before < (high if peer == GO33 else 22_000)


@each("Triple: compressed requests", GO33, JAVA)
@pytest.mark.parametrize("kind", ["unary", "bidi"])
async def test_compressed_requests(peer: str, kind: str, servers: Servers) -> None:
    name = "x" * 20_000
    async with tapped(servers(peer).address) as tap, Channel(tap.address) as channel:
        client, options = GreeterClient(channel), CallOptions(compression="gzip")
        greet = client.say_hello if kind == "unary" else one_of_a_stream(client)
        reply = await greet(hello(name), timeout=TIMEOUT, options=options)
        assert reply.message == f"{NAMES[peer]}: hello {name}"
        assert tap.up < 2_000


async def test_compressed_requests_that_are_not_read(servers: Servers) -> None:
    async with Channel(servers(GO31).address) as channel:
        with pytest.raises(Unimplemented, match="gzip"):
            await GreeterClient(channel).say_hello(hello("x"), options=CallOptions(compression="gzip"))
