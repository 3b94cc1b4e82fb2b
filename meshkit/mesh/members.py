"""The endpoints of a cluster as they are called, and what a new config changes of them: work that can be sliced.

Most pushes change few of many endpoints, so the old and the new list of a locality are compared from both ends, by the
runs that the decoder found again or else at C's speed, and only what lies between is looked at one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, takewhile
from typing import NamedTuple

from meshkit.codec import Run, Runs
from meshkit.net import Pool
from meshkit.xds.resources import ClusterLoadAssignment, Endpoint, Locality, LocalityEndpoints

__all__ = ["Group", "Merge", "Target", "merge"]

_STEP = 64  # endpoints looked at between two places to pause at
_STRIDE = 256  # endpoints compared at once


class Target:
    """One endpoint in one cluster, as pickers see it. ``pool`` is None until the first call is about to go there.

    ``places`` counts the places it has in its cluster's localities: the same address may be listed twice.
    """

    __slots__ = ("endpoint", "failing", "in_flight", "places", "pool", "stop_listening", "weight")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.weight = endpoint.weight
        self.in_flight = 0
        self.places = 0
        self.failing = False
        self.pool: Pool | None = None
        self.stop_listening: Callable[[], None] = _nothing

    def be(self, endpoint: Endpoint) -> None:
        """Stand for a new version of the endpoint."""
        self.endpoint = endpoint
        self.weight = endpoint.weight

    def __repr__(self) -> str:
        state = "unused" if self.pool is None else self.pool.state.name
        return f"Target({self.endpoint.address}, {state}, in_flight={self.in_flight})"


class Group(NamedTuple):
    """The endpoints of one locality, and beside each its target: None, ``holes`` times, where it takes no traffic."""

    source: LocalityEndpoints
    targets: list[Target | None]
    holes: int

    @property
    def callable(self) -> list[Target]:
        """The targets that may take traffic."""
        return [target for target in self.targets if target is not None] if self.holes else self.targets  # type: ignore[return-value]  # no holes: none is None

    def endpoints_of(self, target: Target) -> Iterator[Endpoint]:
        """What its places say of a target."""
        return (endpoint for one, endpoint in _pairs(self.targets, self.source.endpoints) if one is target)


class Merge(NamedTuple):
    """What becomes of a cluster: its ``groups``, and the places that are ``gained`` and ``lost``."""

    groups: tuple[Group, ...]
    gained: list[tuple[Target, Endpoint]]
    lost: list[tuple[Target, Endpoint]]


def merge(
    groups: Sequence[Group], assignment: ClusterLoadAssignment, known: Mapping[str, Target]
) -> Generator[int, None, Merge]:
    """The groups of ``assignment`` where ``groups`` were before, with the targets that are ``known`` by address.

    Changes nothing that calls can see. Each yield is a place to pause at.
    """
    before: defaultdict[tuple[Locality, int], list[Group]] = defaultdict(list)
    for group in reversed(groups):
        before[_place(group.source)].append(group)
    merged = Merge((), [], [])
    arrived: dict[str, Target] = {}

    def target(endpoint: Endpoint) -> Target:
        address = endpoint.address
        if (found := known.get(address) or arrived.get(address)) is None:
            found = arrived[address] = Target(endpoint)
        return found

    after: list[Group] = []
    for source in assignment.localities:
        same = before[_place(source)]
        after.append((yield from _group(same.pop() if same else _NONE, source, target, merged)))
    for group in chain.from_iterable(before.values()):
        merged.lost.extend(_pairs(group.targets, group.source.endpoints))
    return merged._replace(groups=tuple(after))


def _place(source: LocalityEndpoints) -> tuple[Locality, int]:
    return source.locality, source.priority


_NONE = Group(LocalityEndpoints(()), [], 0)


def _group(
    old: Group, source: LocalityEndpoints, target: Callable[[Endpoint], Target], merged: Merge
) -> Generator[int, None, Group]:
    was, now = old.source.endpoints, source.endpoints
    head, tail = _unchanged(was, now)
    before, after = len(was) - tail, len(now) - tail
    arrived, middle = now[head:after], list[Target | None]()
    for start in range(0, len(arrived), _STEP):
        middle += [target(endpoint) if endpoint.usable else None for endpoint in arrived[start : start + _STEP]]
        yield _STEP
    gone = old.targets[head:before]
    merged.gained.extend(_pairs(middle, arrived))
    merged.lost.extend(_pairs(gone, was[head:before]))
    holes = old.holes - gone.count(None) + middle.count(None)
    targets = old.targets.copy()
    targets[head:before] = middle
    return Group(source, targets, holes)


def _pairs(targets: Iterable[Target | None], endpoints: Iterable[Endpoint]) -> list[tuple[Target, Endpoint]]:
    return [(one, endpoint) for one, endpoint in zip(targets, endpoints, strict=True) if one is not None]


def _unchanged(was: Sequence[Endpoint], now: Sequence[Endpoint]) -> tuple[int, int]:
    """How many endpoints are the same from the start, and how many of the others from the end."""
    head, tail = _shared(was, now)
    one, other = was[head : len(was) - tail], now[head : len(now) - tail]
    more = _leading(one, other)
    return head + more, tail + _leading(one[more:][::-1], other[more:][::-1])


def _shared(was: Sequence[Endpoint], now: Sequence[Endpoint]) -> tuple[int, int]:
    """The same in whole runs of the decoder, which costs a look at each run."""
    if not (isinstance(was, Runs) and isinstance(now, Runs)):
        return 0, 0
    head = _same_runs(was.runs, now.runs)
    tail = _same_runs(was.runs[len(head) :][::-1], now.runs[len(head) :][::-1])
    return sum(map(len, head)), sum(map(len, tail))


def _same_runs(was: tuple[Run, ...], now: tuple[Run, ...]) -> list[list[Endpoint]]:
    """The endpoints of the leading runs that are the same."""
    same = takewhile(lambda pair: pair[0] is pair[1], zip(was, now, strict=False))
    return [run.items for run, _ in same]


def _leading(was: Sequence[Endpoint], now: Sequence[Endpoint]) -> int:
    """How many endpoints are the same from the start."""
    at = 0
    while one := was[at : at + _STRIDE]:
        at += (same := _same(one, now[at : at + _STRIDE]))
        if same < len(one):
            break
    return at


def _same(was: Sequence[Endpoint], now: Sequence[Endpoint]) -> int:
    """How many leading items are the same."""
    if was == now:
        return len(was)
    return next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))


def _nothing() -> None:
    """What stops listening before there is anything to listen to."""
