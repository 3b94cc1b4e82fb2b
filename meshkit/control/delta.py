"""Incremental ADS, the server's side, as a machine: a request or a new view in, responses out.

Rules (xDS protocol, "Incremental xDS"):
- a type's first request of CDS or LDS that subscribes to nothing means everything, and so does the name ``*``;
- ``initial_resource_versions`` of the first request say what the client has: only what differs is sent;
- a name that is subscribed to is always answered, also if the client has it (Envoy asks again for a cluster's endpoints
  when it makes the cluster anew), and so is a name given up that the wildcard may bring all the same;
- names are taken from every request, whatever its nonce;
- a cluster or listener that does not exist is in removed_resources, at once and when it goes; routes and endpoints of
  unknown names are sent empty, as istiod does;
- a client that comes back soon after a start of the control plane is told nothing gone that is not certain (`View`);
- a NACK is recorded; what was rejected counts as told and is sent again when it changes;
- pushes go in the order of `naming.PUSH_ORDER`; routes wait until the client has acknowledged new clusters;
  endpoints and clusters that go are taken away last, when no route names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from meshkit.xds.messages import NodeMessage

from .catalog import View
from .encoding import Encoded
from .naming import CDS, EDS, LDS, PUSH_ORDER, RDS
from .watch import WHOLE, Watch, assignments_to_repeat, routes_have_to_wait

__all__ = ["DeltaMachine", "DeltaRequest", "DeltaResponse"]

_WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest. ``error`` is the text of error_detail."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict[str, str])
    nonce: str = ""
    error: str = ""
    node: NodeMessage | None = None


@dataclass(frozen=True, slots=True)
class DeltaResponse:
    """A DeltaDiscoveryResponse."""

    type_url: str
    nonce: str
    resources: tuple[Encoded, ...]
    removed: tuple[str, ...] = ()


class DeltaMachine:
    """One stream. ``view`` is what the client is shown; `push` replaces it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.watches: dict[str, Watch] = {}
        self._nonces = 0
        self._awaited = ""  # the nonce of the clusters that routes wait for

    def __repr__(self) -> str:
        return f"DeltaMachine({', '.join(f'{len(w.names)} names' if w.names else '*' for w in self.watches.values())})"

    def receive(self, request: DeltaRequest) -> list[DeltaResponse]:
        """Take a request in and return the answers, often none."""
        if request.type_url not in PUSH_ORDER:
            return []
        watch = self.watches.get(request.type_url)
        if watch is None:
            return self._first(request)
        out: list[DeltaResponse] = []
        if request.nonce:
            watch.last.answer(request.nonce, request.error)
            out = self.resume() if request.nonce == self._awaited else []
        doubtful = self._unsubscribe(watch, request.unsubscribe)
        return out + self._subscribe(watch, request.subscribe, doubtful)

    def push(self, view: View) -> list[DeltaResponse]:
        """Show the client a new view: what it watches and does not have yet, as far as it may have it now."""
        self.view = view
        out: list[DeltaResponse] = []
        repeat: set[str] = set()
        if (clusters := self.watches.get(CDS)) is not None:
            changed, _ = self._difference(clusters, clusters.current(view), set())
            repeat = assignments_to_repeat(self.watches, changed)
            waiting = routes_have_to_wait(self.watches, (one.name for one in changed))
            if changed:
                out.append(self._respond(clusters, changed))
                self._awaited = clusters.last.nonce if waiting else self._awaited
        self._push(EDS, out, repeat, hollow=False)
        self._push(LDS, out)
        return out if self._awaited else out + self.resume()

    @property
    def waiting(self) -> bool:
        """Whether routes wait for the client to take in new clusters (`routes_have_to_wait`)."""
        return bool(self._awaited)

    def resume(self) -> list[DeltaResponse]:
        """The second half of a push: routes, then the end of endpoints and clusters that no route names any more. To be
        called if a client does not acknowledge its clusters in good time."""
        self._awaited = ""
        out: list[DeltaResponse] = []
        for type_url in (RDS, EDS, CDS):
            self._push(type_url, out)
        return out

    def _push(
        self, type_url: str, out: list[DeltaResponse], repeat: AbstractSet[str] = frozenset(), *, hollow: bool = True
    ) -> None:
        """Send what changed and what is to be repeated; without ``hollow`` nothing that takes something away."""
        watch = self.watches.get(type_url)
        if watch is not None:
            changed, removed = self._difference(watch, watch.current(self.view), repeat)
            found = [one for one in changed if hollow or not watch.takes_away(one)]
            if found or removed:
                out.append(self._respond(watch, found, removed))

    # -- requests

    def _first(self, request: DeltaRequest) -> list[DeltaResponse]:
        watch = self.watches[request.type_url] = Watch(request.type_url)
        names = [name for name in request.subscribe if name != _WILDCARD]
        watch.wildcard = len(names) < len(request.subscribe) or (not names and self._means_everything(request.type_url))
        watch.told = dict(request.initial_versions)
        watch.returning = bool(watch.told) or any(other.returning for other in self.watches.values())
        watch.subscribe(names)
        if not watch.wildcard and not watch.names:
            return []
        changed, removed = self._difference(watch, watch.current(self.view), set())
        return [self._respond(watch, changed, removed)]

    def _means_everything(self, type_url: str) -> bool:
        """Istio's grpc generator knows no wildcard clusters."""
        return type_url in WHOLE and not (type_url == CDS and self.view.proxy.grpc)

    def _unsubscribe(self, watch: Watch, names: Sequence[str]) -> list[str]:
        """Forget names. Those that a wildcard may still bring are returned: the client has dropped them."""
        if _WILDCARD in names:
            watch.wildcard = False
            watch.forget([name for name in watch.told if name not in watch.names])
        dropped = [name for name in names if name in watch.names]
        watch.forget(dropped)
        return dropped if watch.wildcard else []

    def _subscribe(self, watch: Watch, names: Sequence[str], doubtful: Sequence[str]) -> list[DeltaResponse]:
        if not names and not doubtful:
            return []
        watch.wildcard = watch.wildcard or _WILDCARD in names
        asked = [name for name in names if name != _WILDCARD]
        watch.subscribe(asked)
        current = watch.current(self.view)
        changed, removed = self._difference(watch, current, set(asked))
        removed += [name for name in doubtful if name not in current and name not in removed]
        if not changed and not removed and asked:
            return []  # held back until the view is settled
        return [self._respond(watch, changed, removed)]

    def _difference(
        self, watch: Watch, current: Mapping[str, Encoded], repeat: AbstractSet[str]
    ) -> tuple[list[Encoded], list[str]]:
        """What to send: what differs and what is to be repeated; and the names of what is not there (any more)."""
        told = watch.told
        changed = [one for name, one in current.items() if told.get(name) != one.version or name in repeat]
        missing = [name for name in watch.names if name not in current and (told.get(name) != "" or name in repeat)]
        gone = [name for name in watch.gone(current, self.view) if name not in watch.names]
        return changed, [name for name in missing if watch.may_miss(self.view, name)] + gone

    def _respond(self, watch: Watch, resources: Iterable[Encoded], removed: Iterable[str] = ()) -> DeltaResponse:
        found, names = tuple(resources), tuple(removed)
        watch.tell(found)
        for name in names:
            if name in watch.names:
                watch.told[name] = ""
            else:
                watch.told.pop(name, None)
        watch.answered = True
        self._nonces += 1
        watch.last.nonce = watch.last.version = str(self._nonces)
        return DeltaResponse(watch.type_url, watch.last.nonce, found, names)
