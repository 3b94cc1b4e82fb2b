"""Istio manifests that publish interfaces: a host that is called as the interface is, in lower case, on port 80.

Port 80 is the one on which Istio serves a VirtualService's host that no service stands behind
(pilot/pkg/networking/core/httproute.go). A callers' strategy ``standard`` looks there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from meshkit.errors import ConfigError

__all__ = ["Target", "render", "service_entry", "virtual_service"]

_API = "networking.istio.io/v1"
_PORT = 80
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # YAML 1.1 means something by them


@dataclass(frozen=True, slots=True)
class Target:
    """Who serves the interfaces. ``subsets`` with their weights; ``labels`` of the pods, for a ServiceEntry."""

    service: str
    namespace: str = "default"
    port: int = _PORT
    subsets: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for option, name in (("--service", self.host), ("--namespace", self.namespace)):
            if not all(_LABEL.fullmatch(part) for part in name.split(".")):
                raise ConfigError(f"{option}: {name!r} is no host name: lower-case letters, digits, - and dots")
        if not 0 < self.port < 65536:
            raise ConfigError(f"--port: {self.port} is no port, 1 to 65535")
        if self.subsets and sum(map(_weight, self.subsets.items())) == 0:
            raise ConfigError("--subset: all weights are 0")

    @property
    def host(self) -> str:
        """The full host of the Service."""
        return self.service if "." in self.service else f"{self.service}.{self.namespace}.svc.cluster.local"


def virtual_service(interface: str, target: Target) -> dict[str, Any]:
    """A VirtualService whose host is the interface, and whose routes lead to the Service."""
    destination = {"host": target.host, "port": {"number": target.port}}
    route: list[dict[str, Any]] = [
        {"destination": {**destination, "subset": name}, "weight": _weight((name, text))}
        for name, text in target.subsets.items()
    ]
    return _manifest(
        "VirtualService", interface, target, {"http": [{"route": route or [{"destination": destination}]}]}
    )


def service_entry(interface: str, target: Target) -> dict[str, Any]:
    """A ServiceEntry whose host is the interface, and whose endpoints are the pods with these labels."""
    spec = {
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": _PORT, "name": "grpc", "protocol": "GRPC", "targetPort": target.port}],
        "workloadSelector": {"labels": dict(target.labels)},
    }
    return _manifest("ServiceEntry", interface, target, spec)


def _manifest(kind: str, interface: str, target: Target, spec: Mapping[str, Any]) -> dict[str, Any]:
    host = _host(interface)
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": {"name": host.replace(".", "-"), "namespace": target.namespace},
        "spec": {"hosts": [host], **spec},
    }


def _host(interface: str) -> str:
    """The host of an interface. One without a dot would be taken for a Service of the namespace."""
    host = interface.lower()
    if "." not in host or not all(_LABEL.fullmatch(part) for part in host.split(".")):
        why = "it has no package" if "." not in host else "a host has letters, digits and - only"
        raise ConfigError(
            f"interface {interface} cannot be a host of Istio ({why}); give callers its place instead: "
            f"MESHKIT_INTERFACES={interface}=HOST:PORT"
        )
    return host


def _weight(pair: tuple[str, str]) -> int:
    name, text = pair
    if not text.isdecimal():
        raise ConfigError(f"--subset: {name}={text} has no weight; write it as {name}=90")
    return int(text)


# -- YAML


def render(manifests: Sequence[Mapping[str, Any]]) -> str:
    """Manifests as one text for ``kubectl apply -f -``."""
    return "---\n".join("".join(f"{line}\n" for line in _lines(manifest)) for manifest in manifests)


def _lines(value: Any) -> Iterator[str]:
    """A value that is not empty, as the lines of a YAML block."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _entry(f"{_scalar(key)}:", item)
    else:
        for item in value:
            first, *rest = [_scalar(item)] if not isinstance(item, Mapping | list) else _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _entry(key: str, item: Any) -> Iterator[str]:
    if isinstance(item, Mapping | list):
        yield key
        yield from (f"  {line}" for line in _lines(item))
    else:
        yield f"{key} {_scalar(item)}"


def _scalar(value: Any) -> str:
    """A number, or a text that YAML takes for nothing else."""
    plain = isinstance(value, int) or (_PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS)
    return str(value) if plain else json.dumps(value)
