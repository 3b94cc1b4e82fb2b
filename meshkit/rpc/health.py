"""The health checking protocol (grpc/doc/health-checking.md, grpc/health/v1/health.proto)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from meshkit.cell import Cell
from meshkit.codec import Field, Schema, compile_schema
from meshkit.errors import NotFound, Unavailable

from .context import Context
from .files import HEALTH_V1
from .method import Idempotency, Method
from .servicer import Servicer

__all__ = ["Health", "HealthCheckRequest", "HealthCheckResponse", "ServingStatus"]


class ServingStatus(IntEnum):
    """What a service says of itself; SERVICE_UNKNOWN only answers `Health.watch`."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class HealthCheckRequest:
    """Which service: its full name, or "" for the whole server."""

    service: str = ""


@dataclass(frozen=True, slots=True)
class HealthCheckResponse:
    """How it is."""

    status: ServingStatus = ServingStatus.UNKNOWN


_REQUEST = compile_schema(
    Schema("grpc.health.v1.HealthCheckRequest", (Field("service", 1, "string"),), build=HealthCheckRequest)
)
_RESPONSE = compile_schema(
    Schema(
        "grpc.health.v1.HealthCheckResponse",
        (Field("status", 1, "enum", enum=ServingStatus, default=ServingStatus.UNKNOWN),),
        build=HealthCheckResponse,
    )
)
CHECK = Method(
    "/grpc.health.v1.Health/Check",
    HealthCheckRequest,
    HealthCheckResponse,
    idempotency=Idempotency.NO_SIDE_EFFECTS,
    name="check",
    request_codec=_REQUEST,
    reply_codec=_RESPONSE,
)
WATCH = Method(
    "/grpc.health.v1.Health/Watch",
    HealthCheckRequest,
    HealthCheckResponse,
    server_streaming=True,
    idempotency=Idempotency.NO_SIDE_EFFECTS,
    name="watch",
    request_codec=_REQUEST,
    reply_codec=_RESPONSE,
)


class Health(Servicer):
    """Answers who asks how services are. A `Server` adds its services as SERVING; `set` changes that."""

    __service_name__ = "grpc.health.v1.Health"
    __methods__ = (CHECK, WATCH)
    __file_descriptor__ = HEALTH_V1

    def __init__(self) -> None:
        self._services: dict[str, Cell[ServingStatus]] = {}
        self._watchers: Counter[str] = Counter()
        self._draining = False

    def __repr__(self) -> str:
        return f"Health({', '.join(f'{name!r}: {cell.value.name}' for name, cell in self._services.items())})"

    def add(self, service: str) -> None:
        """Say SERVING of ``service`` if nothing has been said of it."""
        cell = self._cell(service)
        if cell.value is ServingStatus.SERVICE_UNKNOWN:
            self.set(service, ServingStatus.SERVING)

    def set(self, service: str, status: ServingStatus) -> None:
        """Say ``status`` of ``service``, "" for the whole server. Does nothing after `shutdown`."""
        if not self._draining:
            self._cell(service).set(status)

    def shutdown(self) -> None:
        """Say NOT_SERVING of everything, for good."""
        self._draining = True
        for cell in self._services.values():
            known = cell.value is not ServingStatus.SERVICE_UNKNOWN
            cell.set(ServingStatus.NOT_SERVING if known else ServingStatus.SERVICE_UNKNOWN)

    def _cell(self, service: str) -> Cell[ServingStatus]:
        cell = self._services.get(service)
        if cell is None:
            cell = self._services[service] = Cell(ServingStatus.SERVICE_UNKNOWN)
        return cell

    async def check(self, request: HealthCheckRequest, ctx: Context, /) -> HealthCheckResponse:
        """The status now. NOT_FOUND for a service that nothing is known of."""
        cell = self._services.get(request.service)
        if cell is None or cell.value is ServingStatus.SERVICE_UNKNOWN:
            raise NotFound(f"service {request.service!r} is not served here")
        return HealthCheckResponse(cell.value)

    async def watch(self, request: HealthCheckRequest, ctx: Context, /) -> AsyncIterator[HealthCheckResponse]:
        """The status now and after each change, until the caller has enough; SERVICE_UNKNOWN while nothing is known."""
        cell = self._cell(request.service)
        self._watchers[request.service] += 1
        try:
            while not self._draining:
                status = cell.value
                yield HealthCheckResponse(status)
                await cell.wait(partial(self._news, status))
            yield HealthCheckResponse(cell.value)
            raise Unavailable("the server is shutting down")  # a watch has no other end, and draining waits for calls
        finally:
            self._unwatched(request.service, cell)

    def _news(self, seen: ServingStatus, status: ServingStatus) -> bool:
        return status is not seen or self._draining

    def _unwatched(self, service: str, cell: Cell[ServingStatus]) -> None:
        """Callers may ask for any name: one that nothing is known of is kept only while somebody watches it."""
        self._watchers[service] -= 1
        if not self._watchers[service]:
            del self._watchers[service]
            if cell.value is ServingStatus.SERVICE_UNKNOWN:
                self._services.pop(service, None)
