"""The health service."""

from __future__ import annotations

import asyncio

import pytest

from meshkit.errors import NotFound, Unavailable
from meshkit.rpc import Channel, Health, HealthCheckRequest, HealthCheckResponse, Server, ServerStream, ServingStatus
from meshkit.rpc import UnaryCall as Unary
from meshkit.rpc.health import CHECK, WATCH
from tests.support.echo_service import EchoService, serving
from tests.support.waiting import until

SERVING, NOT_SERVING = ServingStatus.SERVING, ServingStatus.NOT_SERVING


async def test_services_are_serving_from_the_start() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        for name in ("", "echo.v1.Echo"):
            assert await Unary(channel, CHECK, HealthCheckRequest(name)) == HealthCheckResponse(SERVING)
        with pytest.raises(NotFound, match=r"'no.Such' is not served here"):
            await Unary(channel, CHECK, HealthCheckRequest("no.Such"))


async def test_watchers_see_changes_and_unknown_services() -> None:
    async with serving() as (server, address), Channel(address) as channel:
        health = server.health
        assert health is not None
        watch = ServerStream(channel, WATCH, HealthCheckRequest("later"))
        assert await watch.recv() == HealthCheckResponse(ServingStatus.SERVICE_UNKNOWN)
        health.set("later", SERVING)
        assert await watch.recv() == HealthCheckResponse(SERVING)
        watch.cancel()
        passing = ServerStream(channel, WATCH, HealthCheckRequest("passing"))
        await passing.recv()
        assert "passing" in repr(health)
        passing.cancel()
        await until(lambda: "passing" not in repr(health))
        assert "later" in repr(health)


async def test_draining_says_not_serving() -> None:
    server = Server([EchoService()])
    port = await server.listen()
    async with Channel(f"127.0.0.1:{port}") as channel:
        watch = ServerStream(channel, WATCH, HealthCheckRequest("echo.v1.Echo"))
        assert await watch.recv() == HealthCheckResponse(SERVING)
        closing = asyncio.create_task(server.close(grace=5))
        assert await watch.recv() == HealthCheckResponse(NOT_SERVING)
        with pytest.raises(Unavailable):
            await watch.recv()
        await closing
    assert server.health is not None
    server.health.set("echo.v1.Echo", SERVING)
    assert "NOT_SERVING" in repr(server.health)


async def test_a_health_of_ones_own_and_none() -> None:
    own = Health()
    own.set("echo.v1.Echo", NOT_SERVING)
    async with serving(health=own) as (server, address), Channel(address) as channel:
        assert server.health is own
        reply = await Unary(channel, CHECK, HealthCheckRequest("echo.v1.Echo"))
        assert reply.status is NOT_SERVING
    own = Health()
    assert Server([EchoService(), own]).health is None
    assert Server([EchoService()], health=False).health is None
