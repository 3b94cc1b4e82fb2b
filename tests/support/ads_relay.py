"""An ADS server that passes a real control plane's stream on, and puts into it what no control plane should send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from meshkit.errors import Cancelled, Unavailable
from meshkit.rpc import BidiStream, CallOptions, Channel, Method, Server, Servicer
from meshkit.tasks import Scope

__all__ = ["AdsRelay", "relayed"]

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_SHAPE = {"client_streaming": True, "server_streaming": True}
_SOTW = Method(f"/{_SERVICE}/StreamAggregatedResources", bytes, bytes, name="sotw", **_SHAPE)
_DELTA = Method(f"/{_SERVICE}/DeltaAggregatedResources", bytes, bytes, name="delta", **_SHAPE)
_OPTIONS = CallOptions(max_receive=1 << 30, propagate_deadline=False)


class AdsRelay(Servicer):
    """``address``: where clients connect. ``responses``: all that was sent, in order. ``damage`` changes responses on
    their way. ``refusal``: streams end with this error, at once."""

    __service_name__ = _SERVICE
    __methods__ = (_SOTW, _DELTA)

    def __init__(self, upstream: Channel) -> None:
        self.address = ""
        self.responses: list[bytes] = []
        self.streams = 0
        self.damage: Callable[[bytes], bytes] = bytes
        self.refusal: Exception | None = None
        self._upstream = upstream
        self._down: set[asyncio.Queue[bytes | None]] = set()
        self._arrivals: list[asyncio.Future[float]] = []

    def inject(self, response: bytes) -> None:
        """Send every client this, as it is."""
        for queue in self._down:
            queue.put_nowait(response)

    def arrival(self) -> asyncio.Future[float]:
        """When the next response goes down, by `time.perf_counter`."""
        self._arrivals.append(asyncio.get_running_loop().create_future())
        return self._arrivals[-1]

    def sotw(self, requests: AsyncIterator[bytes], ctx: Any) -> AsyncIterator[bytes]:
        """State of the world."""
        return self._relay(_SOTW, requests)

    def delta(self, requests: AsyncIterator[bytes], ctx: Any) -> AsyncIterator[bytes]:
        """Incremental."""
        return self._relay(_DELTA, requests)

    async def _relay(self, method: Any, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self.streams += 1
        if self.refusal is not None:
            raise self.refusal
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._down.add(queue)
        try:
            upstream = BidiStream(self._upstream, method, None, None, None, _OPTIONS)
            async with Scope("relay") as scope, upstream as stream:
                scope.start(_up(requests, stream), name="up")
                scope.start(self._receive(stream, queue), name="down")
                while (response := await queue.get()) is not None:
                    self.responses.append(response)
                    while self._arrivals:
                        self._arrivals.pop().set_result(time.perf_counter())
                    yield response
        finally:
            self._down.discard(queue)

    async def _receive(self, stream: BidiStream[bytes, bytes], queue: asyncio.Queue[bytes | None]) -> None:
        while (response := await stream.recv()) is not None:
            queue.put_nowait(self.damage(response))
        queue.put_nowait(None)


async def _up(requests: AsyncIterator[bytes], stream: BidiStream[bytes, bytes]) -> None:
    with suppress(Cancelled, Unavailable):  # one of the two has gone
        async for request in requests:
            await stream.send(request)


@asynccontextmanager
async def relayed(address: str) -> AsyncIterator[AdsRelay]:
    """A relay in front of the control plane at ``address``."""
    async with Channel(address) as upstream:
        relay = AdsRelay(upstream)
        server = Server([relay], reflection=False)
        relay.address = f"127.0.0.1:{await server.listen()}"
        try:
            yield relay
        finally:
            await server.close(0)
