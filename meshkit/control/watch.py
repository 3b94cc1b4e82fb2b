"""What one client watches of one resource type on one ADS stream, and what it was told so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .catalog import View
from .encoding import Encoded
from .naming import CDS, EDS, LDS, RDS

__all__ = ["WHOLE", "Acknowledgement", "Watch", "assignments_to_repeat", "routes_have_to_wait"]

WHOLE = frozenset({CDS, LDS})
"""Types whose state-of-the-world response holds everything: what is missing from it is deleted."""


@dataclass(slots=True)
class Acknowledgement:
    """The last response of a type and what the client said about it."""

    nonce: str = ""
    version: str = ""
    acked_nonce: str = ""
    acked_version: str = ""
    error: str = ""
    """The reason of the last NACK; empty once a response was accepted after it."""
    rejected: int = 0

    def answer(self, nonce: str, error: str) -> bool:
        """Take an ACK or a NACK of the last response. False for an older nonce, which says nothing any more."""
        if nonce != self.nonce:
            return False
        if error:
            self.rejected += 1
            self.error = error
        else:
            self.acked_nonce, self.acked_version, self.error = nonce, self.version, ""
        return True


@dataclass(slots=True)
class Watch:
    """One type on one stream. ``told`` is what the client has, by name, with the version; "" means "does not exist".

    ``returning``: the client has state of an earlier stream, perhaps with a control plane before this one. It is told
    that something is gone only where that is certain (`View.certain`).
    """

    type_url: str
    names: dict[str, None] = field(default_factory=dict[str, None])
    wildcard: bool = False
    told: dict[str, str] = field(default_factory=dict[str, str])
    answered: bool = False
    returning: bool = False
    repeat: bool = False
    """Answer the next request even if it asks for nothing new (`sotw`)."""
    last: Acknowledgement = field(default_factory=Acknowledgement)

    def subscribe(self, names: Iterable[str]) -> None:
        """Watch more names."""
        self.names.update(dict.fromkeys(names))

    def forget(self, names: Iterable[str]) -> None:
        """Watch names no more; if they are asked for again they are sent again."""
        for name in names:
            self.names.pop(name, None)
            self.told.pop(name, None)

    def current(self, view: View) -> dict[str, Encoded]:
        """Every resource that the client should have now."""
        out = dict(view.everything(self.type_url)) if self.wildcard else {}
        out.update(view.named(self.type_url, self.names))
        if self.returning and not view.settled:
            return {name: one for name, one in out.items() if not one.hollow or self._may_know(view, one)}
        return out

    def _may_know(self, view: View, hollow: Encoded) -> bool:
        return self.told.get(hollow.name) == hollow.version or view.certain(self.type_url, hollow.name)

    def may_miss(self, view: View, name: str) -> bool:
        """Whether the client may be told that a name does not exist (any more)."""
        return not self.returning or view.certain(self.type_url, name)

    def takes_away(self, resource: Encoded) -> bool:
        """Whether the client would lose what it has by this resource."""
        return resource.hollow and self.told.get(resource.name) != resource.version

    def changed(self, current: Mapping[str, Encoded]) -> list[Encoded]:
        """Those that the client does not have in this version."""
        told = self.told
        return [resource for name, resource in current.items() if told.get(name) != resource.version]

    def gone(self, current: Mapping[str, Encoded], view: View) -> list[str]:
        """Those that the client has and that are no more, as far as it may be told."""
        gone = [name for name, version in self.told.items() if version and name not in current]
        return [name for name in gone if self.may_miss(view, name)]

    def tell(self, resources: Iterable[Encoded]) -> None:
        """Remember that the client has these now."""
        for resource in resources:
            self.told[resource.name] = resource.version


def assignments_to_repeat(watches: Mapping[str, Watch], clusters: Iterable[Encoded]) -> set[str]:
    """The endpoints to send though they did not change: Envoy makes a cluster that changed anew and waits for its
    endpoints before it uses it, and would wait in vain (xDS protocol, "Eventual consistency considerations")."""
    watch = watches.get(EDS)
    if watch is None:
        return set()
    return {cluster.name for cluster in clusters if cluster.name in watch.told}


def routes_have_to_wait(watches: Mapping[str, Watch], clusters: Iterable[str]) -> bool:
    """Whether routes should follow only once the client has taken in the clusters of these names, which it is about to
    be sent: some are new to it, and a client like Envoy asks for the endpoints of a new cluster before it acknowledges
    it. A route that comes earlier leads to a cluster that cannot be used yet."""
    told = watches[CDS].told
    both = all(kind in watches and watches[kind].names for kind in (EDS, RDS))
    return both and watches[CDS].wildcard and any(name not in told for name in clusters)
