"""The ADS service over `meshkit.rpc`: two rpcs, one session each per stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from meshkit.rpc import Context, Servicer
from meshkit.tasks import Scope

from .delta import DeltaMachine, DeltaRequest, DeltaResponse
from .hub import Hub
from .messages import DELTA, SERVICE, SOTW
from .sotw import SotwMachine, SotwRequest, SotwResponse

__all__ = ["AdsService"]


class AdsService(Servicer):
    """envoy.service.discovery.v3.AggregatedDiscoveryService."""

    __service_name__ = SERVICE
    __methods__ = (SOTW, DELTA)

    def __init__(self, hub: Hub, readers: Scope) -> None:
        self._hub = hub
        self._readers = readers

    def stream_aggregated_resources(
        self, requests: AsyncIterator[SotwRequest], ctx: Context
    ) -> AsyncIterator[SotwResponse]:
        """State of the world."""
        return self._serve(SotwMachine, requests, ctx)

    def delta_aggregated_resources(
        self, requests: AsyncIterator[DeltaRequest], ctx: Context
    ) -> AsyncIterator[DeltaResponse]:
        """Incremental."""
        return self._serve(DeltaMachine, requests, ctx)

    async def _serve(
        self, machine: type[SotwMachine] | type[DeltaMachine], requests: AsyncIterator[Any], ctx: Context
    ) -> AsyncIterator[Any]:
        first = await anext(requests, None)
        if first is None:
            return
        session = self._hub.open(machine, first.node, ctx.peer, ctx.header(b":authority") or "")
        try:
            reader = self._readers.start(session.deliver(first, requests), name=session.connection)
            try:
                async with aclosing(session.responses()) as responses:
                    async for response in responses:
                        yield response
            finally:
                reader.cancel()
        finally:
            self._hub.close(session)
