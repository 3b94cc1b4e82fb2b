"""The balancing policies by name: the one place where a name becomes a picker.

Names are those of cluster.v3.Cluster.LbPolicy. A factory takes the policy's parameters, the backends (at least one)
and a source of random numbers in [0, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from meshkit.errors import ConfigError
from meshkit.xds.resources import LbPolicy

from . import least_request, random, round_robin
from .picker import B, Picker

__all__ = ["Factory", "UnknownPolicy", "build_picker", "known_policies", "register"]

Factory = Callable[[LbPolicy, Sequence[Any], Callable[[], float]], Picker[Any]]

_FACTORIES: dict[str, Factory] = {
    "LEAST_REQUEST": least_request.build,
    "RANDOM": random.build,
    "ROUND_ROBIN": round_robin.build,
}


class UnknownPolicy(ConfigError):
    """No balancer goes by this name; the text says which names there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no balancing policy {name!r}; there are {', '.join(known_policies())}")


def register(name: str, factory: Factory) -> None:
    """Make ``name`` a policy, or replace the one of that name, for pickers built from now on."""
    _FACTORIES[name] = factory


def known_policies() -> list[str]:
    """The names of all policies, sorted."""
    return sorted(_FACTORIES)


def build_picker(policy: LbPolicy, backends: Sequence[B], random: Callable[[], float]) -> Picker[B]:
    """A picker over ``backends``, whose weights it keeps. ``random`` gives numbers in [0, 1).

    Raises `UnknownPolicy` for a name that nobody registered, ValueError for no backends or a weight below 1.
    """
    factory = _FACTORIES.get(policy.name)
    if factory is None:
        raise UnknownPolicy(policy.name)
    if not backends:
        raise ValueError("a picker needs at least one backend")
    return factory(policy, backends, random)
