"""core.v3.Node: who this process is to a control plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .resources import Locality
from .struct import Json

__all__ = ["Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """The node of a stream's first request. ``metadata`` is JSON; Istio reads strings only, lists fail the stream."""

    id: str
    cluster: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    locality: Locality | None = None
    user_agent_name: str = "meshkit"
    user_agent_version: str = ""
    client_features: tuple[str, ...] = (
        "envoy.lb.does_not_support_overprovisioning",
        "xds.config.resource-in-sotw",
    )
