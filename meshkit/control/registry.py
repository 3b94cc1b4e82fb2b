"""The live registrations: who serves what right now, with a hold after a stream breaks off.

A registration counts from the start of its stream. When the stream ends it is held for a while, so that a process that
only reconnects loses nothing; the next stream of the same node ends the hold, whether it registers again (replaced) or
not (withdrawn). Two live streams with one node id are two processes, and both count.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from meshkit.rpc.dubbo import ServiceKey

from .model import Port
from .registration import Registration
from .world import Endpoint, Provider, Service

__all__ = ["Registry"]


@dataclass(slots=True)
class _Held:
    registration: Registration
    until: float = inf


def _same_node(one: _Held, other: _Held) -> bool:
    return one.registration.node == other.registration.node


@dataclass(slots=True)
class Registry:
    """Registrations by connection. ``hold`` is in seconds; times come in as arguments."""

    hold: float = 2.0
    _entries: dict[str, _Held] = field(default_factory=dict[str, _Held])

    def __len__(self) -> int:
        return sum(1 for one in self._entries.values() if one.registration)

    def connect(self, connection: str, registration: Registration) -> bool:
        """A stream began. True if that changed what is registered."""
        node = registration.node
        ended = [key for key, one in self._entries.items() if one.until < inf and one.registration.node == node]
        for key in ended:
            del self._entries[key]
        self._entries[connection] = _Held(registration)
        return bool(ended) or bool(registration)

    def disconnect(self, connection: str, now: float) -> bool:
        """A stream ended. True if it had registered something, which is held from now on, or gone at once: if another
        stream of the node is open already, that one says all there is to say."""
        entry = self._entries.get(connection)
        if entry is None:
            return False
        others = (one for key, one in self._entries.items() if key != connection and one.until == inf)
        if not entry.registration or self.hold <= 0 or any(_same_node(one, entry) for one in others):
            del self._entries[connection]
        else:
            entry.until = now + self.hold
        return bool(entry.registration)

    def expire(self, now: float) -> list[Registration]:
        """Drop what was held long enough, and return it."""
        over = [key for key, one in self._entries.items() if one.until <= now]
        return [self._entries.pop(key).registration for key in over]

    @property
    def next_deadline(self) -> float:
        """When `expire` has something to do; infinity if never."""
        return min((one.until for one in self._entries.values()), default=inf)

    def services(self) -> Iterator[Service]:
        """The services that registered processes make up. An address that a live process has is not another's, held
        or not: a port is free again as soon as its process is gone."""
        found: defaultdict[str, defaultdict[int, list[Endpoint]]] = defaultdict(lambda: defaultdict(list))
        namespaces: dict[str, str] = {}
        for registration, (host, port), endpoint in self._served():
            found[host][port].append(endpoint)
            namespaces.setdefault(host, registration.namespace)
        for host, ports in found.items():
            endpoints = {port: tuple(listed) for port, listed in ports.items()}
            yield Service(host, namespaces[host], {port: Port(port, "grpc", "GRPC") for port in ports}, endpoints)

    def providers(self) -> Mapping[str, tuple[Provider, ...]]:
        """By interface the services that provide it, each with the number of its processes."""
        counts: Counter[tuple[str, tuple[str, int]]] = Counter()
        for entry in self._entries.values():
            counts.update(entry.registration.interfaces.items())
        found: defaultdict[str, list[Provider]] = defaultdict(list)
        for (text, (host, port)), count in sorted(counts.items()):
            key = ServiceKey.parse(text)
            found[key.interface].append(Provider(host, port, count, key.group, key.version))
        return {interface: tuple(providers) for interface, providers in found.items()}

    def processes(self) -> Iterator[tuple[str, Endpoint]]:
        """Where registered processes listen, each address once, with their namespace: what selectors choose from."""
        found = {(one.address, one.port): (registration.namespace, one) for registration, _, one in self._served()}
        return iter(found.values())

    def _served(self) -> Iterator[tuple[Registration, tuple[str, int], Endpoint]]:
        entries = self._entries.values()
        live = [one.registration for one in entries if one.until == inf]
        taken = {(one.address, one.port) for registration in live for one in registration.endpoints.values()}
        for entry in entries:
            for target, endpoint in entry.registration.endpoints.items():
                if entry.until == inf or (endpoint.address, endpoint.port) not in taken:
                    yield entry.registration, target, endpoint
