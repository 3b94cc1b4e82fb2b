"""What a serving process says of itself in its node's metadata -> endpoints and the interfaces that it provides.

``MESHKIT.endpoints`` lists ``{host, port, address}``: the service's host and port, and where the process listens.
``LABELS.DUBBO_GO`` is dubbo-go's map (`meshkit.discovery.interface_map`). Both may be wrong in any way: what cannot be
read is named in ``faults`` and the rest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from meshkit.discovery.interface_map import LABEL, read_map

from .naming import host_port
from .world import Endpoint

__all__ = ["METADATA_KEY", "Registration", "read_registration"]

METADATA_KEY = "MESHKIT"
_DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class Registration:
    """Endpoints by host and port, and by interface (lower case) the host and port that provides it. An interface with
    a group or version is a key of its own, as `meshkit.rpc.dubbo.ServiceKey` writes it."""

    node: str
    namespace: str = "default"
    endpoints: Mapping[tuple[str, int], Endpoint] = field(default_factory=dict[tuple[str, int], Endpoint])
    interfaces: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    faults: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.endpoints or self.interfaces)


def read_registration(node: str, metadata: Mapping[str, Any], locality: str = "") -> Registration:
    """The registration in a node's metadata; falsy if there is none."""
    faults: list[str] = []
    labels = labels_of(metadata)
    namespace = str(metadata.get("NAMESPACE") or "default")
    shown = {name: value for name, value in labels.items() if name != LABEL}
    workload = _workload(node, namespace, shown)
    endpoints = {
        (host, port): Endpoint(address, number, shown, locality, 1, workload)
        for host, port, address, number in _listed(metadata.get(METADATA_KEY), faults)
    }
    interfaces = dict(_interfaces(labels.get(LABEL, ""), faults))
    return Registration(node, namespace, endpoints, interfaces, tuple(faults))


def labels_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The labels of a node; those that are not text are left out."""
    labels = _mapping(metadata.get("LABELS")) or {}
    return {name: value for name, value in labels.items() if isinstance(name, str) and isinstance(value, str)}


def _mapping(value: object) -> Mapping[Any, Any] | None:
    mapping = cast("Mapping[Any, Any]", value)
    return mapping if isinstance(value, Mapping) else None


def _list(value: object) -> list[Any] | None:
    listed = cast("list[Any]", value)
    return listed if isinstance(value, list) else None


def _workload(node: str, namespace: str, labels: Mapping[str, str]) -> str:
    """``name;namespace;canonical service;revision;cluster``; the node's id is ``sidecar~ip~name.namespace~domain``."""
    parts = node.split("~")
    name = parts[2].split(".")[0] if len(parts) == 4 else node
    return f"{name};{namespace};{labels.get('app', name)};{labels.get('version', '')};Kubernetes"


def _listed(value: Any, faults: list[str]) -> Iterator[tuple[str, int, str, int]]:
    if value is None:
        return
    listed = _list((_mapping(value) or {}).get("endpoints"))
    if listed is None:
        faults.append(f"{METADATA_KEY}: expected a mapping with a list of endpoints")
        return
    for index, entry in enumerate(listed):
        try:
            yield _endpoint(entry)
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"{METADATA_KEY}.endpoints[{index}]: {error or type(error).__name__}")


def _endpoint(entry: Any) -> tuple[str, int, str, int]:
    """host, port, address, number. A number in a protobuf Struct is a float."""
    given = _mapping(entry)
    if given is None:
        raise TypeError("expected a mapping with host, port and address")
    host, address, port = given.get("host"), given.get("address"), given.get("port", _DEFAULT_PORT)
    if not isinstance(host, str) or not isinstance(address, str) or not host:
        raise TypeError("expected host and address as text")
    if not isinstance(port, int | float) or not 0 < port < 65536:
        raise ValueError(f"expected a port, found {port!r}")
    if address.startswith("unix:"):
        return host.lower(), int(port), "unix://" + address.removeprefix("unix:").removeprefix("//"), 0
    ip, number = host_port(address)
    if not 0 < number < 65536:
        raise ValueError(f"expected ip:port as address, found {address!r}")
    return host.lower(), int(port), ip.strip("[]"), number


def _interfaces(text: str, faults: list[str]) -> Iterator[tuple[str, tuple[str, int]]]:
    for key, place in read_map(text, lambda fault: faults.append(f"LABELS.{fault}")):
        yield str(replace(key, interface=key.interface.lower())), (place.host.lower(), place.port)
