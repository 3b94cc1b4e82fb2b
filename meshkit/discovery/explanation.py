"""Why calls find no endpoint behind routes that are there, and what to do about it, in words for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from meshkit.xds.naming import ClusterName
from meshkit.xds.resources import ClusterType

from .snapshot import ClusterSnapshot

__all__ = ["shortcomings"]

_PASSED_ON = (
    "calls to it go where a proxy finds them addressed to (ORIGINAL_DST), which nothing here knows: give its "
    "ServiceEntry resolution STATIC or DNS, or see whether pods of its headless Service are ready"
)


def shortcomings(
    clusters: Mapping[str, ClusterSnapshot], notes: Mapping[str, str], names: Iterable[str] | None = None
) -> list[str]:
    """What is wrong with each of the clusters ``names`` (None: all there are) that has no endpoint to call; ``notes``
    as of `Snapshot`."""
    found = (_shortcoming(name, clusters.get(name), notes.get(name, "")) for name in names or {**clusters, **notes})
    return [text for text in found if text]


def _shortcoming(name: str, cluster: ClusterSnapshot | None, note: str) -> str:
    if note:
        return note if cluster is not None or ": refused, " in note else f"{note}; {_missing(name)}"
    if cluster is None or cluster.cluster.aggregate is not None:
        return ""
    endpoints = [endpoint for one in cluster.assignment.localities for endpoint in one.endpoints]
    if any(endpoint.usable for endpoint in endpoints):
        return ""
    counts = ", ".join(f"{count} {state.name}" for state, count in Counter(one.health for one in endpoints).items())
    advice = _PASSED_ON if cluster.cluster.type is ClusterType.ORIGINAL_DST else _empty(name)
    return f"cluster {name} has {f'no endpoint but {counts}' if counts else 'no endpoints'}; {advice}"


def _missing(name: str) -> str:
    """What to do about a cluster that the control plane does not have."""
    place = ClusterName.parse(name)
    if place is None:
        return "correct the route that names it"
    if place.subset:
        return (
            f"define subset {place.subset} in a DestinationRule of host {place.host} that this namespace sees, or "
            "correct the subset in the VirtualService's route"
        )
    return (
        f"there is no Service or ServiceEntry {place.host} with port {place.port} that this namespace sees: correct "
        "the destination in the VirtualService's route"
    )


def _empty(name: str) -> str:
    """What to do about a cluster without endpoints."""
    place = ClusterName.parse(name)
    if place is None:
        return "see whether its servers run"
    labels = f" and have the labels of subset {place.subset}" if place.subset else ""
    return f"see whether workloads of {place.host} are ready{labels}"
