"""Serves services: finds the rpc of a path, and starts a call of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from meshkit.errors import MissingExtra
from meshkit.net import HttpAccept, ServerOptions, ServerStream, TlsSettings
from meshkit.net import Server as Listener
from meshkit.status import Status

from .compat.handlers import foreign_files, foreign_routes
from .context import Context
from .dubbo import DubboService, ServiceKey, Variants, join, spellings
from .health import Health
from .interceptor import Call, Interceptor, chain
from .method import Method
from .reflection import reflection_services
from .server_call import Observer, Route, ServerCall
from .servicer import Servicer

__all__ = ["Server"]

_UNIMPLEMENTED = Status.UNIMPLEMENTED.value
_LAST_WORDS = 1.0  # seconds that cancelled handlers have to clean up


class Server:
    """Serves ``servicers``: objects of generated bases, or of grpclib's (anything with grpclib's ``__mapping__``), also
    under a group and version (`meshkit.rpc.dubbo.service`).

    ``interceptors`` are around every call, the first one outermost.  ``options`` and ``tls`` are those of
    `meshkit.net`.  ``health`` and ``reflection`` add these services (a `Health` of your own may be given); where a
    servicer brings one of them itself, that one counts.  ``observer`` is told of each call once it is over.
    ``json`` also answers unary calls of plain HTTP, with JSON or protobuf (`meshkit.rpc.connect`), over HTTP/1.1 too.
    Raises MissingExtra where what that needs is not installed, ValueError when two servicers serve one path, TypeError
    for a servicer that lacks a handler.
    """

    def __init__(
        self,
        servicers: Sequence[Any],
        *,
        interceptors: Sequence[Interceptor] = (),
        options: ServerOptions | None = None,
        tls: TlsSettings | None = None,
        health: bool | Health = True,
        reflection: bool = True,
        observer: Observer | None = None,
        json: bool = False,
    ) -> None:
        self._calls: set[ServerCall] = set()
        self._interceptors = tuple(interceptors)
        self._observer = observer
        self._routes: dict[str, Route | Variants] = {}
        self._served: list[Route] = []
        keys = [str(key) for servicer in servicers for key in self._add(servicer)]
        self.services = self._names()
        """The full names of the services, in the order given, without health and reflection added here."""
        self.keys = tuple(dict.fromkeys(keys))
        """The same with Dubbo's group and version where there are such: ``group/interface:version``."""
        self.health = self._add_health(health)
        if reflection:
            self._add_reflection(servicers)
        front = self._front(options or ServerOptions()) if json else None
        self._listener = Listener(self._accept, options=options, tls=tls, http=front)

    def __repr__(self) -> str:
        return f"Server({', '.join(self.services)}, calls={len(self._calls)})"

    # What is served.

    def _add(self, servicer: Any) -> list[ServiceKey]:
        bound = servicer if isinstance(servicer, DubboService) else DubboService(servicer)
        own = isinstance(bound.servicer, Servicer)
        routes = own_routes(bound.servicer) if own else foreign_routes(bound.servicer)
        for method, handler in routes:
            if self._interceptors:
                handler = intercepted(method, handler, self._interceptors)
            self._place(Route(method, handler, self._calls, self._observer), bound)
        return [ServiceKey(method.service, bound.group, bound.version) for method, _ in routes]

    def _place(self, route: Route, bound: DubboService) -> None:
        path = route.method.path
        try:
            self._routes[path] = join(self._routes.get(path), route, bound.group, bound.version)
        except ValueError:
            kind = type(bound.servicer).__name__
            raise ValueError(f"{kind} serves {path}, which another servicer serves already") from None
        self._served.append(route)

    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(route.method.service for route in self._served))

    def _add_health(self, health: bool | Health) -> Health | None:
        if health is False or Health.__service_name__ in self.services:
            return None
        service = Health() if health is True else health
        for name in ("", *self.services, *self.keys):
            service.add(name)
        self._add(service)
        return service

    def _add_reflection(self, servicers: Sequence[Any]) -> None:
        given = [one.servicer if isinstance(one, DubboService) else one for one in servicers]
        served = [*given, *([self.health] if self.health is not None else [])]
        names = self._names()
        own = [type(servicer) for servicer in served if isinstance(servicer, Servicer)]
        files = [kind.__file_descriptor__ for kind in own if kind.__file_descriptor__]  # before: these carry comments
        files += [file for kind in own for file in kind.__dependencies__()]
        files += [file for servicer in served if not isinstance(servicer, Servicer) for file in foreign_files(servicer)]
        for service in reflection_services(files, names):
            if service.__service_name__ not in self.services:
                self._add(service)

    def _front(self, options: ServerOptions) -> HttpAccept:
        if find_spec("h11") is None:
            raise MissingExtra("Server(json=True): HTTP/1.1", "json")
        from .connect import ConnectHandler

        return ConnectHandler(self._find, self._unknown, options.limits.max_receive_message).accept

    # Its life.

    async def listen(self, host: str | None = "127.0.0.1", port: int = 0, *, path: str | None = None) -> int:
        """Listen on ``host`` (None: everywhere) and ``port`` (0: a free one), or on the unix socket ``path``.

        Gives the port, 0 for a unix socket. May be called several times. Raises OSError with the address.
        """
        loop = asyncio.get_running_loop()
        for route in self._served:
            route.loop = loop
        return await self._listener.listen(host, port, path=path)

    async def close(self, grace: float = 0.0) -> None:
        """Stop: health says not serving, no new calls, running ones have ``grace`` seconds and then are cancelled."""
        if self.health is not None:
            self.health.shutdown()
        await self._listener.close(grace)
        tasks = [task for call in tuple(self._calls) if (task := call.stop()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_WORDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Its calls.

    def _accept(self, stream: ServerStream) -> None:
        route = self._routes.get(stream.path) or self._find(stream.path)
        if route is None:
            stream.finish(_UNIMPLEMENTED, self._unknown(stream.path))
            stream.release()
        else:
            route.start(route, stream)

    def _find(self, path: str) -> Route | Variants | None:
        found = (self._routes.get(one) for one in (path, *spellings(path)))
        return next((route for route in found if route is not None), None)

    def _unknown(self, path: str) -> str:
        service = path.lstrip("/").rpartition("/")[0]
        if service in self._names():
            near = get_close_matches(path, self._routes, n=1)
            return f"unknown method {path}" + (f"; did you mean {near[0]}?" if near else "")
        return f"unknown service {service or path}; served here: {', '.join(self.services) or 'nothing'}"


def own_routes(servicer: Servicer) -> list[tuple[Method[Any, Any], Any]]:
    """The rpcs of a servicer with their handlers. Raises TypeError for a handler that is missing."""
    routes: list[tuple[Method[Any, Any], Any]] = []
    for method in servicer.__methods__:
        handler = getattr(servicer, method.name, None)
        if not callable(handler):
            raise TypeError(f"{type(servicer).__name__} has no method {method.name!r} to serve {method.path}")
        routes.append((method, handler))
    return routes


def intercepted(method: Method[Any, Any], handler: Any, interceptors: Sequence[Interceptor]) -> Any:
    """``handler`` with ``interceptors`` around it."""
    proceed = chain(interceptors, partial(_handle, method, handler))

    def handle(request: Any, context: Context) -> Any:
        return proceed(Call(method, request, context.metadata, context.deadline, context))

    return handle


async def _handle(method: Method[Any, Any], handler: Any, call: Call) -> Any:
    context = call.context
    if context is None:
        raise RuntimeError("the call that an interceptor proceeds with must be the one it was given")
    context.replace_metadata(call.metadata)
    result = handler(call.request, context)
    return result if method.server_streaming and hasattr(result, "__aiter__") else await result
