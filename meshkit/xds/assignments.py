"""ClusterLoadAssignment: bytes to frozen value, checked (gRFC A27; Envoy's rules where Istio relies on them).

Refused: an endpoint without an address or port, of weight 0, priorities with a gap, weights of localities of one
priority that sum above 2^32-1. Not refused, unlike gRPC, because Envoy takes them: a locality that is not set, the
same locality or address twice.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from meshkit.codec import Memo, compile_schema

from .endpoint_tables import CLUSTER_LOAD_ASSIGNMENT
from .resources import ClusterLoadAssignment
from .tables import Invalid

__all__ = ["check_assignment", "decode_assignment"]

_MAX_WEIGHT = 2**32 - 1
_LIFTED = {"Endpoint": "endpoint", "Address": "address", "SocketAddress": "socket_address"}


def decode_assignment(data: bytes, memo: Memo | None = None) -> Generator[int, None, ClusterLoadAssignment]:
    """The bytes of an envoy.config.endpoint.v3.ClusterLoadAssignment, in slices: each yield is a place to pause at.

    ``memo`` makes endpoints that the version before had the same objects. Raises `Invalid` or DecodeError.
    """
    counts: dict[str, int] = {}
    assignment: ClusterLoadAssignment = yield from compile_schema(CLUSTER_LOAD_ASSIGNMENT).sliced(data, counts, memo)
    check_assignment(assignment)
    return replace(assignment, unobeyed=_report(counts)) if counts else assignment


def _report(counts: dict[str, int]) -> dict[str, int]:
    """Counts by the path of the proto: lifted messages stand in it under their type."""
    paths = {".".join(_LIFTED.get(part, part) for part in path.split(".")): count for path, count in counts.items()}
    return dict(sorted(paths.items()))


def check_assignment(assignment: ClusterLoadAssignment) -> None:
    """Raise `Invalid` if priorities or weights break the rules."""
    used = {locality.priority for locality in assignment.localities}
    if used and max(used) != len(used) - 1:
        raise Invalid(f"priorities {sorted(used)} have a gap")
    for priority in used:
        total = sum(locality.weight or 0 for locality in assignment.localities if locality.priority == priority)
        if total > _MAX_WEIGHT:
            raise Invalid(f"the weights of the localities of priority {priority} sum to {total}, above 2^32-1")
