"""Retries and timeouts as a real istiod writes them down: how often a handler is asked, and for how long.

Each rule is known to be in force by a route of its own that answers directly: both are taken in at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshkit.errors import RpcError, error_for
from meshkit.rpc import Context
from meshkit.status import Status
from tests.support.gen.helloworld.v1 import HelloReply, HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterBase, GreeterClient
from tests.support.istio_world import HOST, Object, both, caller, greeters, kubernetes, until_fails, virtual_service
from tests.support.istiod import Istiod

pytestmark = pytest.mark.interop

_ANY: Object = {"route": [{"destination": {"host": HOST}}]}
_IN_FORCE: Object = {
    "match": [{"headers": {"asks": {"exact": "rule"}}}],
    "directResponse": {"status": 403, "body": {"string": "in force"}},
}


class _Stubborn(GreeterBase):
    """Refuses every attempt with the status that the request names; or takes its time for the first."""

    def __init__(self) -> None:
        self.attempts = Counter[str]()

    async def say_hello(self, request: HelloRequest, ctx: Context, /) -> HelloReply:
        self.attempts[request.name] += 1
        if request.name in Status.__members__:
            raise error_for(Status[request.name], "as ever")
        if request.name == "slow" and self.attempts["slow"] == 1:
            await asyncio.sleep(30 if "patient" not in ctx.metadata else 0.5)
        return HelloReply(message="at last")


@asynccontextmanager
async def _ruled(istiod: Istiod, mode: Any, rule: Object) -> AsyncIterator[tuple[_Stubborn, GreeterClient]]:
    """A greeter and a client that obeys ``rule``."""
    greeter = _Stubborn()
    async with greeters({"127.0.0.11": greeter}) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port))
        await istiod.apply("rule", virtual_service(_IN_FORCE, _ANY | rule))
        await until_fails(client, "PERMISSION_DENIED: in force", metadata={"asks": "rule"})
        greeter.attempts.clear()
        yield greeter, client


def _on(words: str, attempts: int = 1) -> Object:
    return {"retries": {"attempts": attempts, "retryOn": words}}


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        pytest.param(rule, asked, id=f"{rule.get('retries', 'nothing said')}".replace("'", ""))
        for rule, asked in [
            ({}, {"UNAVAILABLE": 3, "CANCELLED": 3, "INTERNAL": 1, "RESOURCE_EXHAUSTED": 1}),  # Istio's default
            ({"retries": {"attempts": 0}}, {"UNAVAILABLE": 1, "CANCELLED": 1}),
            ({"retries": {"attempts": 1}}, {"UNAVAILABLE": 2, "CANCELLED": 2, "INTERNAL": 1}),
            (_on("unavailable", 5), {"UNAVAILABLE": 6, "CANCELLED": 1}),
            (_on("cancelled"), {"CANCELLED": 2, "UNAVAILABLE": 1}),
            (_on("internal"), {"INTERNAL": 2, "UNAVAILABLE": 1}),
            (_on("deadline-exceeded,resource-exhausted"), {"DEADLINE_EXCEEDED": 2, "RESOURCE_EXHAUSTED": 2}),
            (_on("5xx"), {"UNAVAILABLE": 2, "INTERNAL": 1, "UNKNOWN": 1}),
            (_on("gateway-error"), {"UNAVAILABLE": 2, "INTERNAL": 1}),
            (_on("503"), {"UNAVAILABLE": 2, "INTERNAL": 1, "UNKNOWN": 1}),
            (_on("500,404"), {"UNAVAILABLE": 1, "INTERNAL": 1, "UNKNOWN": 1, "UNIMPLEMENTED": 1}),
            (_on("reset,connect-failure,refused-stream,retriable-4xx"), {"UNAVAILABLE": 1, "CANCELLED": 1}),
        ]
    ],
)
@both("VirtualService: retryOn, each word of it")
async def test_what_is_retried(istiod: Istiod, mode: Any, rule: Object, asked: dict[str, int]) -> None:
    """Of a handler's answers; "reset" and its like are for attempts that nobody answered."""
    async with _ruled(istiod, mode, rule) as (greeter, client):
        for status in asked:
            with pytest.raises(RpcError, match="as ever"):
                await client.say_hello(HelloRequest(name=status), timeout=30)
        assert greeter.attempts == asked


@pytest.mark.parametrize("words", ["reset", "5xx", "gateway-error", "deadline-exceeded"])
@both("VirtualService: perTryTimeout")
async def test_an_attempt_that_takes_too_long_is_followed_by_another(istiod: Istiod, mode: Any, words: str) -> None:
    rule = {"retries": {"attempts": 1, "perTryTimeout": "0.2s", "retryOn": words}, "timeout": "25s"}
    async with _ruled(istiod, mode, rule) as (greeter, client):
        assert (await client.say_hello(HelloRequest(name="slow"), timeout=30)).message == "at last"
        assert greeter.attempts["slow"] == 2


@pytest.mark.parametrize("words", ["unavailable", "connect-failure,refused-stream"])
@both("VirtualService: perTryTimeout")
async def test_the_time_of_an_attempt_ends_a_call_without_another(istiod: Istiod, mode: Any, words: str) -> None:
    rule = {"retries": {"attempts": 1, "perTryTimeout": "0.2s", "retryOn": words}}
    async with _ruled(istiod, mode, rule) as (greeter, client):
        with pytest.raises(RpcError, match=r"attempt took longer than the route's 0\.2 s per try"):
            await client.say_hello(HelloRequest(name="slow"), timeout=30)
        assert greeter.attempts["slow"] == 1


@both("VirtualService: no timeout, which Istio writes as 0s")
async def test_a_timeout_of_nothing_is_none(istiod: Istiod, mode: Any) -> None:
    async with _ruled(istiod, mode, {}) as (greeter, client):
        slow = HelloRequest(name="slow")
        assert (await client.say_hello(slow, metadata={"patient": "yes"})).message == "at last"
        assert greeter.attempts["slow"] == 1
