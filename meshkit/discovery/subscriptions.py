"""Who needs which resource: each is asked for while somebody needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from meshkit.xds import CLUSTERS, LISTENERS, WILDCARD, AdsMachine, ResourceType
from meshkit.xds.resources import Cluster

from .assembly import Naming, Need
from .dns import DNS, HostNames

__all__ = ["Subscriptions", "User"]


class User(Protocol):
    """Somebody with needs: an interface, or a port of this process."""

    needs: frozenset[Need]
    """What is asked for on its behalf; kept by `Subscriptions.hold`."""

    def refresh(self) -> None:
        """What one of its needs stands for changed."""
        ...


class Subscriptions:
    """The needs of all users, towards one ADS machine and the resolver of host names.

    ``changed`` is called when the machine has something to send, ``dropped`` with each resource that nobody needs any
    more.
    """

    def __init__(
        self,
        machine: AdsMachine,
        names: HostNames,
        naming: Naming,
        changed: Callable[[], object],
        dropped: Callable[[ResourceType, str], object] = lambda kind, name: None,
    ) -> None:
        self._machine = machine
        self._names = names
        self._naming = naming
        self._changed = changed
        self._dropped = dropped
        self._users: defaultdict[Need, set[User]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._users)

    def users(self, kind: ResourceType, names: Iterable[str]) -> dict[User, None]:
        """Those who need one of these resources, each once."""
        return {user: None for name in names for user in self._users.get((kind, name), ())}

    def hold(self, user: User, needs: frozenset[Need]) -> None:
        """From now on ``user`` needs these, and nothing else."""
        added, dropped = needs - user.needs, user.needs - needs
        user.needs = needs
        for need in sorted(added, key=str):
            users = self._users[need]
            if not users:
                self._subscribe(*need)
            users.add(user)
        for need in dropped:
            users = self._users[need]
            users.discard(user)
            if not users:
                del self._users[need]
                self._unsubscribe(*need)
        if added or dropped:
            self._changed()

    def follow(self, clusters: Iterable[str]) -> None:
        """These clusters changed: those in use may have other host names now."""
        for name in clusters:
            if self._names.using(name):
                self._resolve(name)

    def _subscribe(self, kind: ResourceType, name: str) -> None:
        """Istio's default generator sends all clusters or none, so they are asked for with the first resource."""
        if self._naming.all_clusters:
            self._machine.subscribe(CLUSTERS, WILDCARD)
        if kind is DNS:
            self._resolve(name)
        elif kind is not CLUSTERS or not self._naming.all_clusters:
            self._machine.subscribe(kind, name)

    def _unsubscribe(self, kind: ResourceType, name: str) -> None:
        self._dropped(kind, name)
        if kind is DNS:
            self._names.drop(name)
        elif kind is LISTENERS:
            pass  # no listeners means all listeners to Istio (pilot/pkg/xds/ads.go): the last name is never given up
        elif kind is not CLUSTERS or not self._naming.all_clusters:
            self._machine.unsubscribe(kind, name)

    def _resolve(self, name: str) -> None:
        entry = self._machine.entry(CLUSTERS, name)
        if entry is not None and isinstance(entry.resource, Cluster):
            self._names.use(entry.resource)
