"""Dubbo's group and version: services of one interface, told apart by two header fields of the request.

Triple, the protocol of Dubbo 3, is gRPC whose callers may say which of several services they mean: in
``tri-service-group`` and ``tri-service-version`` (dubbo.apache.org, "Triple Specification"). Where neither is used,
nothing of this module is, either::

    server = Server([dubbo.service(Blue(), group="blue"), dubbo.service(Green(), group="green", version="2.0")])
    greeter = GreeterClient(dubbo.bind(mesh, group="green", version="2.0"))

A pair is met exactly or not at all, as in dubbo-go: a caller that asks for another pair, or for none, is answered
UNIMPLEMENTED. A servicer without a pair answers every caller of its interface, as on any gRPC server, until another
one of the interface has a pair: from then on it is for callers without.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from meshkit.metadata import RawHeaders
from meshkit.status import Status

from .compat import GrpclibCompat
from .method import Method, Rep

if TYPE_CHECKING:
    from meshkit.net import ServerStream

    from .caller import Caller
    from .exchange import Exchange
    from .server_call import Route
    from .unary import UnaryCall

__all__ = ["DubboService", "ServiceKey", "Variants", "bind", "join", "service", "spellings"]

_GROUP, _VERSION = b"tri-service-group", b"tri-service-version"
_NO_VERSION = "0.0.0"  # what Dubbo writes for none (org.apache.dubbo.common.BaseServiceMetadata)
_SEPARATORS = frozenset("/: \t")


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """An interface with its group and version, both of which may be empty; as text ``group/interface:version``."""

    interface: str
    group: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that a text says."""
        group, _, rest = text.rpartition("/")
        interface, _, version = rest.partition(":")
        return cls(interface, group, version)

    def __str__(self) -> str:
        group = f"{self.group}/" if self.group else ""
        return f"{group}{self.interface}{':' if self.version else ''}{self.version}"


# A server's services.


@dataclass(frozen=True, slots=True)
class DubboService:
    """A servicer with the group and version that it is served under."""

    servicer: Any
    group: str = ""
    version: str = ""


def service(servicer: Any, *, group: str = "", version: str = "") -> DubboService:
    """``servicer`` for callers that ask for this ``group`` and ``version``; for `meshkit.Mesh.serve` and `Server`.

    Version "0.0.0" is no version. Raises ValueError for text that cannot be sent as either.
    """
    return DubboService(servicer, _checked("group", group), _checked("version", version))


class Variants:
    """The servicers of one rpc that differ in group and version; stands where the `Route` of a lone one would."""

    __slots__ = ("_routes", "method")

    def __init__(self, method: Method[Any, Any]) -> None:
        self.method = method
        self._routes: dict[tuple[bytes, bytes], Route] = {}

    def __repr__(self) -> str:
        return f"Variants({self.method.path!r}, {self._known()})"

    def add(self, route: Route, group: str = "", version: str = "") -> None:
        """Serve callers of this pair by ``route``. Raises ValueError for a pair that is served."""
        key = (group.encode(), version.encode())
        if key in self._routes:
            raise ValueError(f"{_key(route.method, key)} is served by two servicers")
        self._routes[key] = route

    def map(self, change: Callable[[Route], Route]) -> Variants:
        """The same pairs, each served by what ``change`` makes of its route."""
        changed = Variants(self.method)
        changed._routes = {pair: change(route) for pair, route in self._routes.items()}
        return changed

    def start(self, _: object, stream: ServerStream) -> None:
        """Start a call of the route that ``stream`` asks for, as `Route.start` does."""
        asked = _asked(stream.fields)
        route = self._routes.get(asked)
        if route is not None:
            route.start(route, stream)
            return
        text = f"{_key(self.method, asked)} is not served here, but {self._known()} is (group/interface:version)"
        stream.finish(Status.UNIMPLEMENTED.value, text)
        stream.release()

    def _known(self) -> str:
        return ", ".join(str(_key(self.method, key)) for key in self._routes)


def join(present: Route | Variants | None, route: Route, group: str, version: str) -> Route | Variants:
    """What serves a path: ``route`` beside what is ``present`` there. Raises ValueError if both are for one pair."""
    if present is None and not group and not version:
        return route
    if isinstance(present, Variants):
        variants = present
    else:
        variants = Variants(route.method)
        if present is not None:
            variants.add(present)
    variants.add(route, group, version)
    return variants


def _asked(fields: RawHeaders) -> tuple[bytes, bytes]:
    found = dict(fields)
    version = found.get(_VERSION, b"")
    return found.get(_GROUP, b""), b"" if version == _NO_VERSION.encode() else version


def _key(method: Method[Any, Any], pair: tuple[bytes, bytes]) -> ServiceKey:
    return ServiceKey(method.service, *(part.decode("ascii", "replace") for part in pair))


def spellings(path: str) -> tuple[str, str]:
    """What else a path may mean that nothing is served at: Pixiu leaves its first slash out, and Dubbo's interfaces
    name methods as their language does, ``/api.Greeter/sayHello`` or ``/api.Greeter/SayHello``."""
    full = path if path.startswith("/") else f"/{path}"
    service, slash, rpc = full.rpartition("/")
    return full, f"{service}{slash}{rpc[:1].swapcase()}{rpc[1:]}"


# A client's calls.


def bind(caller: Caller, *, group: str = "", version: str = "") -> Caller:
    """``caller`` (a `meshkit.Mesh` or a `Channel`) for clients that want this ``group`` and ``version``.

    What is empty is not sent; version "0.0.0" is no version. A mesh looks for who provides the interface under this
    pair. Raises ValueError for text that cannot be sent as either.
    """
    group, version = _checked("group", group), _checked("version", version)
    return _Bound(caller, group, version) if group or version else caller


class _Bound(GrpclibCompat):
    """A caller whose calls carry a group and a version."""

    def __init__(self, caller: Caller, group: str, version: str) -> None:
        super().__init__()
        self.mesh_interceptors = getattr(caller, "mesh_interceptors", ())
        self._caller = caller
        self._group = group
        self._version = version
        given = ((_GROUP, group.encode()), (_VERSION, version.encode()))
        self._fields = tuple(field for field in given if field[1])
        self._methods: dict[str, Method[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"bind({self._caller!r}, group={self._group!r}, version={self._version!r})"

    def mesh_unary(self, call: UnaryCall[Rep], /) -> Coroutine[Any, Any, Rep]:
        """Run ``call``; see `meshkit.rpc.Caller`."""
        self._mark(call)
        return self._caller.mesh_unary(call)

    async def mesh_open(self, call: Exchange[Any, Any], /) -> None:
        """Start ``call``; see `meshkit.rpc.Caller`."""
        self._mark(call)
        await self._caller.mesh_open(call)

    def _mark(self, call: UnaryCall[Any] | Exchange[Any, Any]) -> None:
        """Every attempt comes here: what is there already stays."""
        if self._fields[0] not in call.fields:
            call.fields = (*call.fields, *self._fields)
        call.method = self._methods.get(call.method.path) or self._of_pair(call.method)

    def _of_pair(self, method: Method[Any, Any]) -> Method[Any, Any]:
        """``method`` as one of the service that is meant: that is what a mesh looks for."""
        meant = self._methods[method.path] = replace(method)
        object.__setattr__(meant, "service", str(ServiceKey(method.service, self._group, self._version)))
        return meant


def _checked(what: str, text: str) -> str:
    if not text.isascii() or not text.isprintable() or _SEPARATORS & set(text):
        raise ValueError(f"{what} {text!r}: printable ASCII without spaces, '/' and ':' is expected")
    return "" if what == "version" and text == _NO_VERSION else text
