"""A real Envoy between clients and servers, ours and grpcio's: gRPC's interop cases, deadlines, resets, drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import grpc
import pytest
import pytest_asyncio

from meshkit.errors import Cancelled, DeadlineExceeded, Unavailable
from meshkit.rpc import Channel, Server
from tests.support import interop_cases as ours
from tests.support import interop_grpcio as theirs
from tests.support.echo_service import EchoService
from tests.support.envoy import Envoy, running_envoy
from tests.support.envoy_front import bootstrap, listener
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.pb.echo.v1 import echo_pb2, echo_pb2_grpc

Cell = Callable[[str, str], None]
every_case = pytest.mark.parametrize("case", [*ours.CASES, *ours.COMPRESSED])
one_loop = pytest.mark.asyncio(loop_scope="module")


# -- the interop cases, through one Envoy


class Addresses(NamedTuple):
    meshkit: str
    grpcio: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fronts() -> AsyncIterator[Addresses]:
    """Where one Envoy stands in front of our server, and of grpcio's."""
    async with Server([ours.InteropService()]) as server, theirs.serving() as address:
        ports = {"meshkit": (await server.listen(),), "grpcio": (int(address.rpartition(":")[2]),)}
        config = bootstrap(ports, meshkit=listener("meshkit"), grpcio=listener("grpcio"))
        async with running_envoy(config, listeners=2) as envoy:
            yield Addresses(*(f"127.0.0.1:{envoy.ports[name]}" for name in Addresses._fields))


@one_loop
@every_case
@pytest.mark.capability("proxied calls: our client and our server", peer="Envoy")
async def test_our_client_and_our_server(case: str, cell: Cell, fronts: Addresses) -> None:
    cell(case, "meshkit -> envoy -> meshkit")
    await ours.play({**ours.CASES, **ours.COMPRESSED}[case], fronts.meshkit)


@one_loop
@every_case
@pytest.mark.capability("gRPC interop cases: our client, their server", peer="Envoy")
async def test_our_client_and_their_server(case: str, cell: Cell, fronts: Addresses) -> None:
    cell(case, "meshkit -> envoy -> grpcio")
    await ours.play({**ours.CASES, **ours.COMPRESSED}[case], fronts.grpcio)


@one_loop
@every_case
@pytest.mark.capability("gRPC interop cases: their client, our server", peer="Envoy")
async def test_their_client_and_our_server(case: str, cell: Cell, fronts: Addresses) -> None:
    cell(case, "grpcio -> envoy -> meshkit")
    await theirs.play({**theirs.CASES, **theirs.COMPRESSED}[case], fronts.meshkit)


# -- deadlines, resets, drains


class Front(NamedTuple):
    """An Envoy in front of ``servers``; ``services`` are theirs."""

    envoy: Envoy
    address: str
    servers: list[Server]
    services: list[EchoService]

    def admin(self, path: str) -> str:
        """POST to Envoy's admin interface."""
        with urlopen(Request(f"http://127.0.0.1:{self.envoy.admin}{path}", method="POST"), timeout=60) as answer:
            text: str = answer.read().decode()
        return text

    async def counter(self, name: str) -> int:
        """One of Envoy's statistics."""
        text = await asyncio.to_thread(self.admin, f"/stats?filter=^{name}$")
        return int(text.rpartition(":")[2] or 0)


@asynccontextmanager
async def in_front(servers: int = 1, **settings: Any) -> AsyncIterator[Front]:
    """Envoy in front of so many of our echo servers; ``settings`` as `listener` takes them."""
    services = [EchoService() for _ in range(servers)]
    running = [Server([service]) for service in services]
    try:
        ports = tuple([await server.listen() for server in running])
        async with running_envoy(bootstrap({"echo": ports}, echo=listener("echo", **settings))) as envoy:
            yield Front(envoy, f"127.0.0.1:{envoy.ports['echo']}", running, services)
    finally:
        for server in running:
            await server.close()


async def test_our_deadline_reaches_the_handler() -> None:
    async with in_front() as front, Channel(front.address) as channel:
        with pytest.raises(DeadlineExceeded):
            await EchoClient(channel).unary(EchoRequest(text="late", sleep_ms=20_000), timeout=2)
        (service,) = front.services
        await asyncio.wait_for(service.stopped.wait(), 60)
        assert service.cancelled == ["late"]
        left = service.contexts[0].deadline
        assert left is not None


async def test_envoys_deadline_is_an_error_at_our_client_and_a_reset_at_our_server() -> None:
    async with in_front(route={"timeout": "2s"}) as front, Channel(front.address) as channel:
        with pytest.raises((Unavailable, DeadlineExceeded), match="timeout"):
            await EchoClient(channel).unary(EchoRequest(text="late", sleep_ms=20_000), timeout=60)
        await asyncio.wait_for(front.services[0].stopped.wait(), 60)


@pytest.mark.parametrize("shape", ["unary", "split", "join", "chat"])
async def test_our_cancellation_reaches_the_handler(shape: str) -> None:
    request = EchoRequest(text="cut", count=100, sleep_ms=20_000)
    async with in_front() as front, Channel(front.address) as channel:
        echo, service = EchoClient(channel), front.services[0]
        calls: dict[str, Callable[[], Any]] = {
            "unary": lambda: _awaited(echo.unary(request)),
            "split": lambda: _drained(echo.split(request)),
            "join": lambda: _awaited(echo.join([request])),
            "chat": lambda: _drained(echo.chat([request])),
        }
        task = asyncio.ensure_future(calls[shape]())
        await asyncio.wait_for(service.started.wait(), 60)
        task.cancel()
        await asyncio.wait_for(service.stopped.wait(), 60)
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await task


async def _awaited(call: Any) -> Any:
    return await call


async def _drained(call: Any) -> list[Any]:
    return [reply async for reply in call]


async def test_a_killed_server_is_an_error_of_ours() -> None:
    async with in_front() as front, Channel(front.address) as channel:
        task = asyncio.ensure_future(_awaited(EchoClient(channel).unary(EchoRequest(sleep_ms=20_000), timeout=60)))
        await asyncio.wait_for(front.services[0].started.wait(), 60)
        await front.servers[0].close(grace=0)
        with pytest.raises(Unavailable):
            await task


async def test_grpcio_sees_our_servers_deadline_through_envoy() -> None:
    async with in_front() as front, grpc.aio.insecure_channel(front.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo_pb2_grpc.EchoStub(channel).Unary(echo_pb2.EchoRequest(text="x", sleep_ms=20_000), timeout=2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(front.services[0].stopped.wait(), 60)


async def test_envoys_goaways_lose_no_call() -> None:
    """Envoy ends each of our connections after 20 requests, and each of its own to our server likewise."""
    settings = {"common_http_protocol_options": {"max_requests_per_connection": 20}}
    async with in_front(**settings, drain_timeout="0.1s") as front, Channel(front.address) as channel:
        echo = EchoClient(channel)
        texts = [str(number) for number in range(600)]
        replies: list[EchoReply] = []
        for at in range(0, len(texts), 30):
            replies += await asyncio.gather(*(echo.unary(EchoRequest(text=text)) for text in texts[at : at + 30]))
        assert [reply.text for reply in replies] == texts
        assert await front.counter(r"http.echo.downstream_cx_total") >= 15


async def test_envoys_limit_of_streams_is_waited_for() -> None:
    limit = {"http2_protocol_options": {"max_concurrent_streams": 3}}
    async with in_front(**limit) as front, Channel(front.address) as channel:
        echo = EchoClient(channel)
        replies = await asyncio.gather(*(echo.unary(EchoRequest(text=str(number))) for number in range(100)))
        assert [reply.text for reply in replies] == [str(number) for number in range(100)]


async def test_envoy_draining_lets_our_streams_end() -> None:
    async with (
        in_front(drain_timeout="0.1s") as front,
        Channel(front.address) as channel,
        EchoClient(channel).chat() as call,
    ):
        await call.send(EchoRequest(text="before"))
        assert await call.recv() is not None
        assert await asyncio.to_thread(front.admin, "/drain_listeners?graceful&skip_exit") == "OK\n"
        await asyncio.sleep(0.3)
        await call.send(EchoRequest(text="after"))
        reply = await call.recv()
        assert reply is not None
        assert reply.text == "after"
        await call.end()
        assert await call.recv() is None


@pytest.mark.capability("graceful drain loses no call", peer="Envoy")
async def test_our_server_drains_behind_envoy_and_no_call_is_lost() -> None:
    async with in_front(servers=2) as front, Channel(front.address) as channel:
        echo, served = EchoClient(channel), 0

        async def keep_calling() -> None:
            nonlocal served
            for number in range(60):
                assert (await echo.unary(EchoRequest(text=str(number), sleep_ms=5))).text == str(number)
                served += 1

        callers = [asyncio.ensure_future(keep_calling()) for _ in range(10)]
        await asyncio.wait_for(front.services[0].started.wait(), 60)
        await front.servers[0].close(grace=30)
        await asyncio.gather(*callers)
        assert served == 600
        assert front.services[0].cancelled == []
        assert len(front.services[1].contexts) > 300
