"""What a `Mesh` is told: arguments first, then the environment, then defaults. One typed object, one table.

docs/settings.md is this table in words; a test holds the two together.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from meshkit.errors import ConfigError

__all__ = ["Settings", "load_settings"]


def _setting(default: Any, env: str, meaning: str, parse: Callable[[str], Any] = str) -> Any:
    metadata = {"env": env, "meaning": meaning, "parse": parse}
    if isinstance(default, dict):
        return field(default_factory=dict[str, str], metadata=metadata)
    return field(default=default, metadata=metadata)


def _pairs(text: str) -> dict[str, str]:
    """``a=1,b=2`` as a dict."""
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, found, value = part.partition("=")
        if not found or not name:
            raise ValueError(f"{part!r} is not name=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _seconds(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise ValueError("must not be negative")
    return value


def _choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; times in seconds."""

    control_plane: str = _setting(
        "127.0.0.1:15010", "MESHKIT_CONTROL_PLANE", "where the control plane listens: host:port, or unix:/path"
    )
    service: str = _setting("", "MESHKIT_SERVICE", "the service this process belongs to; its host is made from it")
    namespace: str = _setting("default", "MESHKIT_NAMESPACE", "the Kubernetes namespace, also of the service's host")
    labels: Mapping[str, str] = _setting(
        {}, "MESHKIT_LABELS", "labels of this workload, which subsets select on: version=v1,zone=a", _pairs
    )
    address: str = _setting("", "MESHKIT_ADDRESS", "the IP announced, and listened on; default: found from the route")
    service_port: int = _setting(80, "MESHKIT_SERVICE_PORT", "the port of the service's host that callers name", int)
    xds: str = _setting(
        "delta", "MESHKIT_XDS", "the variant of the ADS stream: delta or sotw", _choice("delta", "sotw")
    )
    interfaces: Mapping[str, str] = _setting(
        {}, "MESHKIT_INTERFACES", "where interfaces live, asked first: helloworld.v1.Greeter=greeter.default:80", _pairs
    )
    wait: float = _setting(5.0, "MESHKIT_WAIT", "how long a call waits for an interface that nobody provides", _seconds)
    grace: float = _setting(10.0, "MESHKIT_GRACE", "how long running calls may go on when a server stops", _seconds)
    connections: int = _setting(3, "MESHKIT_CONNECTIONS", "connections kept to one endpoint", int)

    @property
    def host(self) -> str:
        """The service's host name: ``<service>.<namespace>.svc.cluster.local``."""
        return f"{self.service}.{self.namespace}.svc.cluster.local"

    @property
    def ip(self) -> str:
        """The IP this workload announces."""
        return self.address or _local_ip(self.control_plane)


def load_settings(arguments: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from arguments (those that are not None), then the environment, then defaults.

    Raises ConfigError for a name that does not exist and for a value that cannot be used, naming where it came from.
    """
    known = {item.name: item for item in fields(Settings)}
    if unknown := sorted(set(arguments) - set(known)):
        raise ConfigError(f"Mesh has no setting {unknown[0]!r}; there are: {', '.join(known)}")
    values = {name: value for name, value in arguments.items() if value is not None}
    for name, item in known.items():
        if name not in values and (text := environment.get(item.metadata["env"])):
            values[name] = _parse(item.metadata["env"], text, item.metadata["parse"])
    return _checked(Settings(**values))


def _parse(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"environment variable {name}={text!r}: {error}") from None


def _checked(settings: Settings) -> Settings:
    if settings.xds not in ("delta", "sotw"):
        raise ConfigError(f"Mesh(xds={settings.xds!r}): must be delta or sotw")
    if not 0 < settings.service_port < 65536:
        raise ConfigError(f"Mesh(service_port={settings.service_port!r}): must be a port, 1 to 65535")
    if settings.connections < 1:
        raise ConfigError(f"Mesh(connections={settings.connections!r}): must be at least 1")
    return settings


def _local_ip(control_plane: str) -> str:
    """The source address that packets to the control plane would have; loopback where there is no route."""
    host, _, port = control_plane.rpartition(":")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # connect() on UDP sends nothing
            probe.connect((host, int(port)))
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return "127.0.0.1"
