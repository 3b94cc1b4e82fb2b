"""What the template of a generated module is given."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Embedded", "Module", "Rpc", "Service"]


@dataclass(frozen=True, slots=True)
class Rpc:
    """One rpc. ``attribute`` is its name on base and client, ``constant`` the module's name of its ``Method``."""

    path: str
    attribute: str
    constant: str
    request: str
    reply: str
    client_streaming: bool
    server_streaming: bool
    idempotency: str
    deprecated: bool
    doc: str
    place: str

    @property
    def shape(self) -> str:
        """ "unary", "server_stream", "client_stream" or "bidi": the name that templates and the runtime use."""
        return _SHAPES[self.client_streaming, self.server_streaming]


_SHAPES = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi",
}


@dataclass(frozen=True, slots=True)
class Service:
    """One service: ``name`` is the full name in the proto file, ``stem`` what its two classes' names begin with."""

    name: str
    stem: str
    doc: str
    deprecated: bool
    rpcs: tuple[Rpc, ...]
    place: str

    @property
    def base(self) -> str:
        """The class to derive an implementation from."""
        return f"{self.stem}Base"

    @property
    def client(self) -> str:
        """The class to call the service through."""
        return f"{self.stem}Client"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A serialized descriptor of the file ``name``."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Module:
    """One generated module. ``own`` maps the runtime's modules to the names they are imported under."""

    path: str
    version: str
    own: dict[str, str]
    imports: tuple[str, ...]
    services: tuple[Service, ...]
    file: Embedded
    dependencies: tuple[Embedded, ...]

    @property
    def rpcs(self) -> tuple[Rpc, ...]:
        """The rpcs of all services."""
        return tuple(rpc for service in self.services for rpc in service.rpcs)

    @property
    def streams(self) -> bool:
        """Whether an rpc streams, either way."""
        return any(rpc.shape != "unary" for rpc in self.rpcs)

    @property
    def deprecates(self) -> bool:
        """Whether anything in the module is deprecated."""
        return any(service.deprecated for service in self.services) or any(rpc.deprecated for rpc in self.rpcs)
