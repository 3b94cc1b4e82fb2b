"""What a user of an interface holds: its cell, and answers to "why is nothing there?"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from meshkit.cell import Cell
from meshkit.xds import ROUTES, WatchStatistics

from .assembly import Assembly, Need
from .explanation import shortcomings
from .snapshot import Snapshot, SnapshotState

__all__ = ["InterfaceStatistics", "InterfaceWatch"]


@dataclass(frozen=True, slots=True)
class InterfaceStatistics:
    """An interface in figures: its snapshot, how often it changed, and every resource that takes part.

    ``missing`` are resources asked for and not answered yet, as ``RDS name``.
    """

    interface: str
    state: str
    version: int
    users: int
    missing: tuple[str, ...]
    resources: tuple[WatchStatistics, ...]


class Owner(Protocol):
    """What a watch asks the cache that it belongs to."""

    def condition(self) -> str:
        """What is wrong with the control plane itself; "" for nothing."""
        ...

    def renew(self, watch: InterfaceWatch, /) -> None:
        """Look at one interface again."""
        ...

    def figures(self, need: Need) -> tuple[WatchStatistics, ...]:
        """The statistics of one resource, if it is held."""
        ...


class InterfaceWatch:
    """One interface, shared by all its users. ``cell`` holds its current `Snapshot`; `release` ends one use."""

    __slots__ = ("_owner", "_release", "assembly", "cell", "interface", "kept", "needs", "users")

    def __init__(self, interface: str, owner: Owner, release: Callable[[InterfaceWatch], None]) -> None:
        self.interface = interface
        self.cell = Cell(Snapshot(interface, SnapshotState.PENDING, "no answer yet"))
        self.users = 0
        self.assembly: Assembly | None = None
        self.needs: frozenset[Need] = frozenset()  # what is subscribed to on behalf of this interface
        self.kept: frozenset[Need] = frozenset()  # the part of it that the published snapshot was made from
        self._owner = owner
        self._release = release

    def __repr__(self) -> str:
        return f"InterfaceWatch({self.cell.value!r}, users={self.users})"

    def refresh(self) -> None:
        """Something that the interface is made of changed."""
        self._owner.renew(self)

    def release(self) -> None:
        """End one use. After the last one nothing is asked for on behalf of this interface any more."""
        self._release(self)

    def explain(self, clusters: Iterable[str] | None = None) -> str:
        """What was asked where and what came of it, in a sentence for people. ``clusters``: those that are of interest;
        None for all."""
        trail = "; ".join(self.assembly.trail) if self.assembly is not None else "nothing was asked yet"
        draft = self.assembly.draft if self.assembly is not None else None
        shown = self.cell.value if draft is None else draft
        lacks = ". ".join(shortcomings(shown.clusters, shown.notes, clusters))
        return ". ".join(part for part in (trail, self._waiting(), lacks, self._owner.condition()) if part)

    def _waiting(self) -> str:
        """What is not answered yet behind the routes, which speak for themselves in the trail."""
        missing = self.assembly.missing if self.assembly is not None else ()
        names = ", ".join(f"{kind.name} {name}" for kind, name in missing if kind is not ROUTES)
        return f"no answer yet for {names}" if names else ""

    def statistics(self) -> InterfaceStatistics:
        """A frozen view."""
        snapshot = self.cell.value
        missing = (
            tuple(f"{kind.name} {name}" for kind, name in self.assembly.missing) if self.assembly is not None else ()
        )
        resources = tuple(
            statistics for need in sorted(self.needs, key=str) for statistics in self._owner.figures(need)
        )
        return InterfaceStatistics(
            self.interface, snapshot.state.value, snapshot.version, self.users, missing, resources
        )
