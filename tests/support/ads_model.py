"""Two control planes in a few lines each, after what Istio does, to run the ADS machines against without a network.

A resource is a (version, valid) pair; `updates_of` turns a response into what decoding it would give.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from meshkit.xds.ads import Named, Request, Response
from meshkit.xds.entry import Update, fingerprint
from meshkit.xds.resources import RouteConfiguration
from meshkit.xds.types import WILDCARD, ResourceType, type_of


@dataclass
class Table:
    """What the control plane has: (type, name) -> (version, valid)."""

    held: dict[tuple[ResourceType, str], tuple[int, bool]] = field(default_factory=dict)
    clock: int = 0

    def put(self, kind: ResourceType, name: str, valid: bool) -> None:
        self.clock += 1
        self.held[kind, name] = (self.clock, valid)

    def delete(self, kind: ResourceType, name: str) -> None:
        self.clock += 1
        self.held.pop((kind, name), None)

    def named(self, kind: ResourceType, name: str) -> list[Named]:
        found = self.held.get((kind, name))
        return [] if found is None else [Named(kind.url, f"{name}={found[0]}={found[1]}".encode(), name, "")]

    def names(self, kind: ResourceType) -> list[str]:
        return [name for held, name in self.held if held is kind]


def updates_of(response: Response) -> list[Update]:
    """What decoding this response gives."""
    return [_update(resource) for resource in response.resources]


def _update(resource: Named) -> Update:
    name, version, valid = resource.value.decode().split("=")
    key = fingerprint(resource.value)
    if valid == "False":
        return Update(name, key, len(resource.value), reason=f"version {version} is bad")
    return Update(name, key, len(resource.value), resource=RouteConfiguration(name, (), {version: 1}))


class Stream:
    """One stream of a model server: feed it requests, it gives responses; tell it of changes, it pushes."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names: dict[ResourceType, list[str]] = {}
        self.nonces: dict[ResourceType, str] = {}
        self.count = 0
        self.nodes = 0
        self.nacks: list[str] = []

    def _respond(self, kind: ResourceType, resources: list[Named], removed: tuple[str, ...] = ()) -> list[Response]:
        self.count += 1
        self.nonces[kind] = f"n{self.count}"
        return [Response(kind.url, f"v{self.table.clock}", self.nonces[kind], tuple(resources), removed)]

    def _note(self, request: Request) -> ResourceType:
        self.nodes += request.first
        if request.error:
            self.nacks.append(request.error)
        kind = type_of(request.type_url)
        assert kind is not None
        return kind

    def on_request(self, request: Request) -> list[Response]:
        raise NotImplementedError

    def on_change(self, kind: ResourceType, name: str) -> list[Response]:
        raise NotImplementedError


class SotwStream(Stream):
    """Answers added names only (RDS, EDS) or everything (CDS); ignores stale nonces with all they carry, and the names
    in a NACK. Who gives up all names is forgotten, and Istio ends with a nil pointer when one that it has forgotten
    sends a NACK (pkg/xds/server.go, ShouldRespond)."""

    def _pick(self, kind: ResourceType, names: list[str]) -> list[Named]:
        if WILDCARD in names or (kind.whole and WILDCARD in self.names[kind]):
            names = self.table.names(kind)
        return [named for name in names for named in self.table.named(kind, name)]

    def on_request(self, request: Request) -> list[Response]:
        kind = self._note(request)
        if request.error:
            assert kind in self.names, "a NACK of what is not watched"
            return []
        if not request.names and not kind.whole:
            self.names.pop(kind, None)
            return []
        new = kind not in self.names
        if request.nonce and not new and request.nonce != self.nonces.get(kind):
            return []
        before = self.names.get(kind, [])
        self.names[kind] = list(request.names)
        added = [name for name in request.names if name not in before]
        if not request.nonce or new:
            return self._respond(kind, self._pick(kind, list(request.names)))
        if added:
            return self._respond(kind, self._pick(kind, self.names[kind] if kind.whole else added))
        return []

    def on_change(self, kind: ResourceType, name: str) -> list[Response]:
        names = self.names.get(kind, [])
        if kind.whole and names:
            return self._respond(kind, self._pick(kind, names))
        if name in names and self.table.named(kind, name):
            return self._respond(kind, self.table.named(kind, name))
        return []


class DeltaStream(Stream):
    """Answers subscriptions, tells removals, refuses list changes in an ACK."""

    def on_request(self, request: Request) -> list[Response]:
        kind = self._note(request)
        assert not (request.nonce and (request.subscribe or request.unsubscribe)), "a change of the list in an ACK"
        if request.nonce:
            return []
        names = self.names.setdefault(kind, [])
        assert not set(request.subscribe) & set(names), "subscribed twice"
        asked = [*names, *request.subscribe]
        assert set(request.unsubscribe) <= set(asked), "unsubscribed what was not subscribed"
        self.names[kind] = [name for name in asked if name not in request.unsubscribe]
        if not request.subscribe:
            return []
        every = self.table.names(kind) if WILDCARD in request.subscribe else list(request.subscribe)
        wanted = dict.fromkeys([*every, *request.initial_versions, *request.subscribe])
        found = {name: self.table.named(kind, name) for name in wanted if name != WILDCARD}
        gone = tuple(name for name, named in found.items() if not named)
        return self._respond(kind, [named for some in found.values() for named in some], gone)

    def on_change(self, kind: ResourceType, name: str) -> list[Response]:
        if not {name, WILDCARD} & set(self.names.get(kind, [])):
            return []
        named = self.table.named(kind, name)
        return self._respond(kind, named, () if named else (name,))
