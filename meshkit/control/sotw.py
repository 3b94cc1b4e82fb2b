"""State-of-the-world ADS, the server's side, as a machine: a request or a new view in, responses out.

Rules (xDS protocol, "Basic Protocol Overview"; what istiod does where clients rely on it):
- the first request of a type, or one without a nonce, is answered with all it asks for;
- a request with an old nonce is ignored, with whatever names are in it; every request carries all names;
- names added are answered, names removed are not; an empty list means "nothing" for RDS and EDS, "everything" for LDS,
  and for CDS by the default generator, which ignores names;
- a NACK is recorded and not answered; the next change is pushed as usual;
- a client that comes back soon after a start of the control plane is told nothing gone that is not certain (`View`);
- a push holds everything for CDS and LDS, and only what changed for RDS and EDS;
- pushes go in the order of `naming.PUSH_ORDER`; routes wait until the client has acknowledged new clusters;
  endpoints and clusters that go are taken away last, when no route names them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from meshkit.xds.messages import NodeMessage

from .catalog import View
from .encoding import Encoded
from .naming import CDS, EDS, LDS, PUSH_ORDER, RDS
from .watch import WHOLE, Watch, assignments_to_repeat, routes_have_to_wait

__all__ = ["SotwMachine", "SotwRequest", "SotwResponse"]


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """A DiscoveryRequest. ``error`` is the text of error_detail."""

    type_url: str
    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    error: str = ""
    node: NodeMessage | None = None


@dataclass(frozen=True, slots=True)
class SotwResponse:
    """A DiscoveryResponse."""

    type_url: str
    version: str
    nonce: str
    resources: tuple[Encoded, ...]

    @property
    def anys(self) -> tuple[bytes, ...]:
        """The resources as they are written to the wire."""
        return tuple(resource.any for resource in self.resources)


class SotwMachine:
    """One stream. ``view`` is what the client is shown; `push` replaces it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.watches: dict[str, Watch] = {}
        self._nonces = 0
        self._kept: dict[str, Encoded] = {}  # clusters as last sent, to keep one a little longer
        self._awaited = ""  # the nonce of the clusters that routes wait for

    def __repr__(self) -> str:
        return f"SotwMachine({', '.join(f'{len(w.names)} names' if w.names else '*' for w in self.watches.values())})"

    def receive(self, request: SotwRequest) -> list[SotwResponse]:
        """Take a request in and return the answers, often none."""
        if request.type_url not in PUSH_ORDER:
            return []
        watch = self.watches.get(request.type_url)
        if watch is None or not request.nonce:
            return self._first(request)
        out = self.resume() if self._awaited and request.nonce == self._awaited else []
        if not watch.last.answer(request.nonce, request.error) or request.error:
            return out
        return out + self._renamed(watch, request.names) + self._release()

    def push(self, view: View) -> list[SotwResponse]:
        """Show the client a new view: what it watches and does not have yet, as far as it may have it now."""
        self.view = view
        clusters, assignments, listeners = (self.watches.get(kind) for kind in (CDS, EDS, LDS))
        out: list[SotwResponse] = []
        repeat: set[str] = set()
        if clusters is not None:
            repeat = assignments_to_repeat(self.watches, self._push_clusters(clusters, out))
        if assignments is not None:
            self._push_parts(assignments, out, repeat, hollow=False)
        if listeners is not None:
            self._push_whole(listeners, out)
        return out if self._awaited else out + self.resume()

    @property
    def waiting(self) -> bool:
        """Whether routes wait for the client to take in new clusters (`routes_have_to_wait`)."""
        return bool(self._awaited)

    def resume(self) -> list[SotwResponse]:
        """The second half of a push: routes, then the end of endpoints and clusters that no route names any more. To be
        called if a client does not acknowledge its clusters in good time."""
        self._awaited = ""
        out: list[SotwResponse] = []
        for watch in (self.watches.get(RDS), self.watches.get(EDS)):
            if watch is not None:
                self._push_parts(watch, out)
        clusters = self.watches.get(CDS)
        if clusters is not None:
            self._push_whole(clusters, out)
        return out

    # -- requests

    def _first(self, request: SotwRequest) -> list[SotwResponse]:
        watch = self.watches[request.type_url] = Watch(request.type_url)
        watch.wildcard = self._means_everything(request.type_url, request.names)
        watch.subscribe(() if watch.wildcard else request.names)
        watch.returning = self._may_return(request)
        if not watch.names and request.type_url not in WHOLE:
            return []
        if request.type_url == CDS and EDS in self.watches:
            self.watches[EDS].repeat = True
        return self._answer(watch, watch.current(self.view)) + self._release()

    def _may_return(self, request: SotwRequest) -> bool:
        """Whether the client may have state of an earlier stream; those of a dialect do not say."""
        dialect = bool(self.view.proxy.dialect)
        return dialect or bool(request.version) or any(other.returning for other in self.watches.values())

    def _means_everything(self, type_url: str, names: tuple[str, ...]) -> bool:
        if type_url not in WHOLE:
            return False
        if not self.view.proxy.grpc or "*" in names:
            return True
        return type_url == LDS and not names

    def _renamed(self, watch: Watch, names: tuple[str, ...]) -> list[SotwResponse]:
        """Answer what the list of names has more than before."""
        if watch.wildcard:
            return []
        added = [name for name in names if name not in watch.names]
        watch.forget([name for name in watch.names if name not in names])
        watch.subscribe(added)
        repeat, watch.repeat = watch.repeat, False
        if not added and not repeat:
            return []
        current = watch.current(self.view)
        if watch.type_url in WHOLE or repeat:
            return self._answer(watch, current)
        return self._answer(watch, self._named(watch, added))

    def _named(self, watch: Watch, names: list[str]) -> dict[str, Encoded]:
        current = watch.current(self.view)
        return {name: current[name] for name in names if name in current}

    def _answer(self, watch: Watch, resources: dict[str, Encoded]) -> list[SotwResponse]:
        if self._held_back(watch, resources):
            return []
        return [self._respond(watch, resources.values(), forget=watch.type_url in WHOLE)]

    def _held_back(self, watch: Watch, resources: Mapping[str, Encoded]) -> bool:
        """Whether an answer has to wait: what is missing in it would be deleted at a client that comes back.

        What such a client has of a type is not in its requests; of clusters it shows in the endpoints that it watches.
        """
        if not watch.returning or self.view.settled or watch.answered:
            return False
        if watch.type_url not in WHOLE:
            return not resources
        if not watch.wildcard:
            return any(name not in resources and not watch.may_miss(self.view, name) for name in watch.names)
        if self.view.proxy.dialect:
            return False  # its clusters are never taken away, and what it has is among them
        if watch.type_url == LDS:
            return self.view.proxy.grpc
        assignments = self.watches.get(EDS)
        return assignments is None or any(name not in resources for name in assignments.names)

    def _release(self) -> list[SotwResponse]:
        """Answer what was held back, if it need not be any more."""
        held = [one for one in self.watches.values() if one.returning and not one.answered and one.type_url in WHOLE]
        return (
            []
            if self.view.settled
            else [answer for one in held for answer in self._answer(one, one.current(self.view))]
        )

    # -- pushes

    def _push_clusters(self, watch: Watch, out: list[SotwResponse]) -> list[Encoded]:
        """Send clusters that changed, with those that are gone: routes may still name them. Returns the changed."""
        current = watch.current(self.view)
        changed = watch.changed(current)
        if changed and not self._held_back(watch, current):
            waiting = routes_have_to_wait(self.watches, current)
            kept = [self._kept[name] for name in watch.gone(current, self.view) if name in self._kept]
            out.append(self._respond(watch, [*current.values(), *kept], forget=True))
            self._awaited = watch.last.nonce if waiting else self._awaited
        return changed

    def _push_whole(self, watch: Watch, out: list[SotwResponse]) -> None:
        """Send everything, if anything changed or is gone, or nothing was ever sent."""
        current = watch.current(self.view)
        news = not watch.answered or watch.changed(current) or watch.gone(current, self.view)
        if news and not self._held_back(watch, current):
            out.append(self._respond(watch, current.values(), forget=True))

    def _push_parts(
        self, watch: Watch, out: list[SotwResponse], repeat: AbstractSet[str] = frozenset(), *, hollow: bool = True
    ) -> None:
        """Send what changed and what is to be repeated; without ``hollow`` nothing that takes something away."""
        current = watch.current(self.view)
        changed = [one for name, one in current.items() if name in repeat or watch.told.get(name) != one.version]
        found = [one for one in changed if hollow or not watch.takes_away(one)]
        if found:
            out.append(self._respond(watch, found))

    def _respond(self, watch: Watch, resources: Iterable[Encoded], *, forget: bool = False) -> SotwResponse:
        found = tuple(resources)
        if forget:
            watch.told.clear()
        watch.tell(found)
        watch.answered = True
        if watch.type_url == CDS:
            self._kept = {resource.name: resource for resource in found}
        self._nonces += 1
        watch.last.nonce, watch.last.version = str(self._nonces), _version(found)
        return SotwResponse(watch.type_url, watch.last.version, watch.last.nonce, found)


def _version(resources: tuple[Encoded, ...]) -> str:
    """One version for a response: equal contents have equal versions, also after a restart."""
    digest = hashlib.blake2b(digest_size=8)
    for resource in resources:
        digest.update(f"{resource.name}\0{resource.version}\0".encode())
    return digest.hexdigest()
