"""The node that opens a stream: envoy.config.core.v3.Node -> what we need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshkit.discovery.interface_map import LABEL
from meshkit.errors import InvalidArgument
from meshkit.xds.messages import NodeMessage
from meshkit.xds.struct import StructMessage, ValueMessage

from .naming import Proxy
from .registration import labels_of

__all__ = ["Node", "read_node"]

_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
_SUB_ZONE = "topology.istio.io/subzone"


@dataclass(frozen=True, slots=True)
class Node:
    """Who a client says it is. ``metadata`` is its Struct as plain values."""

    id: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    locality: tuple[str, str, str] = ("", "", "")
    agent: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the workload."""
        return labels_of(self.metadata)

    @property
    def namespace(self) -> str:
        """The namespace it belongs to: metadata, else the first part of the id's domain, else "default"."""
        given = self.metadata.get("NAMESPACE")
        if isinstance(given, str) and given:
            return given
        parts = self.id.split("~")
        return (parts[3].split(".")[0] if len(parts) == 4 else "") or "default"

    @property
    def name(self) -> str:
        """``pod.namespace`` of an Istio id, else the whole id."""
        parts = self.id.split("~")
        return parts[2] if len(parts) == 4 else self.id

    @property
    def proxy(self) -> Proxy:
        """What its configuration depends on."""
        labels = tuple(sorted((k, v) for k, v in self.labels.items() if k != LABEL))
        return Proxy(self.metadata.get("GENERATOR") == "grpc", self.namespace, labels, self.locality)


def read_node(message: NodeMessage | None) -> Node:
    """The node of a stream's first request. Raises InvalidArgument where there is none, as istiod does."""
    if message is None:
        raise InvalidArgument("missing node information: the first request of a stream must carry it")
    metadata = _plain_struct(message.metadata) if message.metadata is not None else {}
    agent = f"{message.user_agent_name} {message.user_agent_version or ''}".strip()
    return Node(message.id, metadata, _locality(message, labels_of(metadata)), agent)


def _locality(message: NodeMessage, labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Labels of the workload go before the node's own locality (as in Istio)."""
    if _REGION in labels:
        return labels[_REGION], labels.get(_ZONE, ""), labels.get(_SUB_ZONE, "")
    if message.locality is None:
        return ("", "", "")
    return message.locality.region, message.locality.zone, message.locality.sub_zone


def _plain_struct(struct: StructMessage) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: ValueMessage) -> Any:
    if value.struct_value is not None:
        return _plain_struct(value.struct_value)
    if value.list_value is not None:
        return [_plain(item) for item in value.list_value.values]
    for scalar in (value.string_value, value.number_value, value.bool_value):
        if scalar is not None:
            return scalar
    return None
