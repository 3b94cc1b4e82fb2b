"""Route and pick: what finding an endpoint for a call costs, and that it does not grow with what the call does not use.

One call: select a route for a method with a header rule in force, choose the cluster by weight, pick an endpoint.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from meshkit.balance import build_picker
from meshkit.metadata import Metadata
from meshkit.route import RouteTable
from meshkit.xds.resources import (
    HeaderMatch,
    LbPolicy,
    PathMatch,
    Route,
    RouteAction,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)

from .report import Row, at_most
from .turns import over, times, turns

__all__ = ["rows"]

_GOAL_US = 3.0
_CALLS = 10_000  # of a round: enough that every endpoint is as warm as it gets in the caches
# Growth from the small to the large case that is still called flat: weighted pickers search 10,000 endpoints in 14
# steps instead of 4, the others do nothing more; caches are colder for all, for those that jump about (random, least
# request) more than for round robin.
_GOAL_GROWTH = {False: 1.5, True: 3.0}
_PATH = "/helloworld.v1.Greeter/SayHello"
_POLICIES = ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")


@dataclass(slots=True)
class _Backend:
    weight: int
    in_flight: int = 0


def rows(quick: bool) -> list[Row]:
    """The measurements as benchmark rows."""
    rounds = 5 if quick else 15
    pairs = [_pair(policy, weighted, rounds) for policy in _POLICIES for weighted in (False, True)]
    return [*chain.from_iterable(pairs), _build_row(rounds)]


def _pair(policy: str, weighted: bool, rounds: int) -> list[Row]:
    name = f"route+pick {policy.lower()}{' weighted' if weighted else ''}"
    calls = {"small": _call(1, 10, policy, weighted), "large": _call(5_000, 10_000, policy, weighted)}
    cost = turns(calls, rounds, _CALLS)
    small, large = cost["small"], cost["large"]
    return [
        at_most(f"{name}, 10 endpoints, 1 other route", times(small, 1e6), "us", _GOAL_US),
        at_most(f"{name}, 10,000 endpoints, 5,000 other routes", times(large, 1e6), "us", _GOAL_US),
        at_most(f"{name}, growth", over(large, small), "x", _GOAL_GROWTH[weighted]),
    ]


def _call(other_routes: int, endpoints: int, policy: str, weighted: bool) -> Callable[[], object]:
    seeded = random.Random(1).random
    table = RouteTable(_virtual_host(other_routes), random=seeded)
    picker = build_picker(LbPolicy(policy), _backends(endpoints, weighted), seeded)
    pickers = {"v1": picker, "v2": picker, "canary": picker}
    metadata = Metadata((("user", "somebody"), ("x-request-id", "7")))

    def call() -> object:
        decision = table.select(_PATH, metadata)
        assert decision is not None
        return pickers[decision.cluster()].pick()

    return call


def _virtual_host(other_routes: int) -> VirtualHost:
    """Other methods' routes first: half exact, half prefixes; then the rules for the method that is called."""
    others = [_other_route(number) for number in range(other_routes)]
    path = PathMatch(StringMatch.EXACT, _PATH)
    admin = HeaderMatch("user", string=StringMatch.EXACT, value="admin")
    canary = Route(path, RouteAction((WeightedCluster("canary", 1),)), headers=(admin,))
    split = Route(path, RouteAction((WeightedCluster("v1", 90), WeightedCluster("v2", 10))))
    return VirtualHost("bench", ("*",), (*others, canary, split))


def _other_route(number: int) -> Route:
    kind = StringMatch.PREFIX if number % 2 else StringMatch.EXACT
    return Route(PathMatch(kind, f"/other{number}.v1.Service/Method"), RouteAction((WeightedCluster("other", 1),)))


def _backends(count: int, weighted: bool) -> list[_Backend]:
    return [_Backend(weight=1 + number % 5 if weighted else 1, in_flight=number % 3) for number in range(count)]


def _build_row(rounds: int) -> Row:
    """The slowest picker to build, over 10,000 endpoints."""
    backends = _backends(10_000, weighted=True)
    cost = turns({"": lambda: build_picker(LbPolicy("LEAST_REQUEST"), backends, random.random)}, rounds, 1)[""]
    return at_most("build a weighted picker over 10,000 endpoints", times(cost, 1e3), "ms", 10.0)
