"""One client's ADS stream: its machine, and what wakes it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meshkit.errors import RpcError
from meshkit.observe.log import event_logger

from .catalog import View
from .delta import DeltaMachine, DeltaResponse
from .dialect import BURST
from .naming import CDS, SHORT
from .node import Node
from .sotw import SotwMachine, SotwResponse
from .tally import Tally

__all__ = ["Session"]

_LOG = event_logger("meshkit.control")
_INBOX = 32  # requests read ahead of the answers; further ones wait in the client's flow control
_MAX_REASON = 500
_PATIENCE = 1.0  # seconds that routes wait for a client to acknowledge its clusters


@dataclass(slots=True, eq=False)
class Session:
    """A stream from its first request on. ``connection`` names it uniquely.

    Requests come in through `deliver`, new views through `show`; `responses` gives what to send, in order. Several
    views shown while the client is slow to read are one push of the last.
    """

    connection: str
    node: Node
    peer: str
    machine: SotwMachine | DeltaMachine
    since: datetime
    tally: Tally
    _inbox: asyncio.Queue[Any] = field(default_factory=lambda: asyncio.Queue(_INBOX))
    _view: View | None = None
    _failure: RpcError | None = None

    @property
    def dialect(self) -> str:
        """The client's dialect (`dialect`); "" for all that need none."""
        return self.machine.view.proxy.dialect

    @property
    def variant(self) -> str:
        """ "delta" or "sotw"."""
        return "delta" if isinstance(self.machine, DeltaMachine) else "sotw"

    def show(self, view: View) -> None:
        """There is a new view for this client."""
        self._view = view
        if self._inbox.empty():
            self._inbox.put_nowait(_LOOK)

    async def deliver(self, first: Any, requests: AsyncIterator[Any]) -> None:
        """Take in the client's requests until it ends its side."""
        await self._inbox.put(first)
        try:
            async for request in requests:
                await self._inbox.put(request)
        except RpcError as error:  # such as a request that does not decode
            self._failure = error
        await self._inbox.put(_END)

    async def _gather(self) -> None:
        """Take what a new stream asks for at once, and look at the request for clusters last: what a client of this
        dialect has of an earlier stream shows in the others alone."""
        await asyncio.sleep(BURST)
        burst = [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
        for request in sorted(burst, key=lambda one: (one is _END, getattr(one, "type_url", "") == CDS)):
            self._inbox.put_nowait(request)

    async def responses(self) -> AsyncGenerator[SotwResponse | DeltaResponse, None]:
        """What to send to the client, until it ends its side."""
        if self.dialect:
            await self._gather()
        while (request := await self._next()) is not _END:
            if request is _LATE:
                for response in self._noted(self.machine.resume()):
                    yield response
            elif request is not _LOOK:
                for response in self._answer(request):
                    yield response
            while (view := self._view) is not None:
                self._view = None
                for response in self._noted(self.machine.push(view)):
                    yield response
        if self._failure is not None:
            raise self._failure

    async def _next(self) -> Any:
        try:
            return await asyncio.wait_for(self._inbox.get(), _PATIENCE if self.machine.waiting else None)
        except TimeoutError:
            return _LATE

    def _answer(self, request: Any) -> Iterator[SotwResponse | DeltaResponse]:
        """The answers to one request."""
        kind = SHORT.get(request.type_url, "other")
        self.tally.requests[kind] += 1
        if request.error:
            self.tally.rejects[kind] += 1
            reason = request.error[:_MAX_REASON]
            _LOG.warning("a client rejected an update", client=self.connection, type=kind, reason=reason)
        return self._noted(self.machine.receive(request))

    def _noted(self, responses: list[Any]) -> Iterator[SotwResponse | DeltaResponse]:
        for response in responses:
            kind = SHORT[response.type_url]
            self.tally.pushes[kind] += 1
            self.tally.resources[kind] += len(response.resources)
            _LOG.debug(
                "push", client=self.connection, type=kind, resources=len(response.resources), nonce=response.nonce
            )
            yield response


_LOOK = object()
_LATE = object()
_END = object()
