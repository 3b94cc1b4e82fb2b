"""Where an interface lives: several ways to find out, behind one protocol, tried in the configured order.

A strategy answers at once with what it knows now, and tells its listener when its answers may have changed; what it
names is then watched on the ADS stream. To add one: a class with these four names, and a line in `_MAKERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from meshkit.errors import ConfigError
from meshkit.rpc.dubbo import ServiceKey

if TYPE_CHECKING:
    from .options import DiscoveryOptions

__all__ = [
    "DirectAddresses",
    "HostPort",
    "Location",
    "StandardResources",
    "StaticMap",
    "Strategy",
    "Unknown",
    "make_strategies",
]


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host and port of the mesh, whose routes the control plane knows; as text ``host:port``."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The place that a text says; None where it says none."""
        host, _, port = text.rpartition(":")
        good = host and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
        return cls(host, int(port)) if good else None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DirectAddresses:
    """Endpoints without a control plane."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The strategy does not know the interface; ``reason`` continues the sentence "strategy NAME: "."""

    reason: str


Location = HostPort | DirectAddresses | Unknown


class Strategy(Protocol):
    """One way from an interface to where it lives."""

    @property
    def name(self) -> str:
        """Its name in the configuration and in explanations."""
        ...

    def locate(self, interface: str) -> Location:
        """What is known now, without waiting. Calls that name Dubbo's group or version ask for
        ``group/interface:version`` (`meshkit.rpc.dubbo.ServiceKey`)."""
        ...

    def listen(self, changed: Callable[[], object]) -> None:
        """Call ``changed`` whenever an answer of `locate` may have become another one."""
        ...

    async def run(self) -> None:
        """What it has to do beside, for as long as discovery runs; may return at once."""
        ...


class StandardResources:
    """A VirtualService or ServiceEntry whose host is the lower-cased interface, on port 80 (the one port on which Istio
    serves a VirtualService's host that no service stands behind). The embedded control plane answers the same name for
    interfaces that servers have registered."""

    name = "standard"

    def locate(self, interface: str) -> Location:
        """Every interface may be there. Dubbo's group and version are for routes to look at: calls carry them."""
        return HostPort(ServiceKey.parse(interface).interface.lower(), 80)

    def listen(self, changed: Callable[[], object]) -> None:
        """Its answers never change: the routes do."""

    async def run(self) -> None:
        """There is nothing to do."""


class StaticMap:
    """Interfaces by configuration: to ``host:port`` in the mesh, or ``static:ip:port[,ip:port...]`` outside of it."""

    name = "static"

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = {interface: _parse(interface, text) for interface, text in entries.items()}

    def locate(self, interface: str) -> Location:
        """The configured place, of ``group/interface:version`` or else of all there is of the interface."""
        found = self._entries.get(interface) or self._entries.get(ServiceKey.parse(interface).interface)
        return found or Unknown("the interface is not in the static map")

    def listen(self, changed: Callable[[], object]) -> None:
        """Configuration does not change."""

    async def run(self) -> None:
        """There is nothing to do."""


def _parse(interface: str, text: str) -> Location:
    if text.startswith("static:"):
        addresses = tuple(part.strip() for part in text.removeprefix("static:").split(",") if part.strip())
        if not addresses:
            raise ConfigError(
                f"static map: {interface!r} has no address in {text!r}; expected static:IP:PORT[,IP:PORT...]"
            )
        return DirectAddresses(tuple(_address(interface, address) for address in addresses))
    if place := HostPort.parse(text):
        return place
    raise ConfigError(f"static map: {interface!r} is {text!r}; expected HOST:PORT or static:IP:PORT[,IP:PORT...]")


def _address(interface: str, address: str) -> str:
    if address.startswith("unix:") or HostPort.parse(address):
        return address
    raise ConfigError(f"static map: {interface!r} has the address {address!r}; expected IP:PORT or unix:PATH")


def _adsz(options: DiscoveryOptions) -> Strategy:
    from .adsz import PublishedInterfaces  # few need it

    return PublishedInterfaces(options)


_MAKERS: Mapping[str, Callable[[DiscoveryOptions], Strategy]] = {
    "static": lambda options: StaticMap(options.static),
    "standard": lambda options: StandardResources(),
    "adsz": _adsz,
}


def make_strategies(options: DiscoveryOptions) -> tuple[Strategy, ...]:
    """The strategies that ``options`` name, in their order. Raises ConfigError for a name that is not known."""
    unknown = [name for name in options.strategies if name not in _MAKERS]
    if unknown:
        raise ConfigError(f"strategy {unknown[0]!r} is not known; known are {', '.join(_MAKERS)}")
    return tuple(_MAKERS[name](options) for name in options.strategies)
