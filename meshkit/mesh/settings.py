"""What a `Mesh` is told. One typed object, one table; docs/settings.md is this table in words, held to it by a test.

Arguments win, then MESHKIT_* variables, then what the surroundings say: a gRPC bootstrap file (where no control plane
is named), Istio's variables of the pod, the downward API's files; then defaults.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Any

from meshkit.discovery import Bootstrap, Pod, find_bootstrap, read_pod
from meshkit.discovery.pod import POD_INFO
from meshkit.errors import ConfigError
from meshkit.net.address import parse_address

__all__ = ["Settings", "load_settings", "name_values"]


def _setting(
    default: Any,
    env: str,
    meaning: str,
    parse: Callable[[str], Any] = str,
    check: Callable[[Any], None] = lambda value: None,
) -> Any:
    """One line of the table: ``parse`` makes a value of text, wherever that is from; ``check`` raises ValueError for a
    value that cannot be used."""
    metadata = {"env": env, "meaning": meaning, "parse": parse, "check": check}
    if isinstance(default, dict):
        return field(default_factory=dict[str, str], metadata=metadata)
    return field(default=default, metadata=metadata)


def name_values(words: Iterable[str]) -> dict[str, str]:
    """``name=value`` words as a dict. Raises ValueError for one that is none."""
    pairs: dict[str, str] = {}
    for word in words:
        name, found, value = word.partition("=")
        if not found or not name:
            raise ValueError(f"{word!r} is not name=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _pairs(text: str) -> dict[str, str]:
    """``a=1,b=2`` as a dict."""
    return name_values(_words(text))


def _words(text: str) -> tuple[str, ...]:
    """``a,b`` as a tuple."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _one_of(*words: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(word or repr(word) for word in words)}")

    return check


def _between(least: float, most: float = inf) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not least <= value <= most:
            raise ValueError(f"must be {least} to {most}" if most < inf else f"must be at least {least}")

    return check


def _reachable(value: Any) -> None:
    try:
        parse_address(value)
    except ConfigError:
        raise ValueError("must be host:port, [v6]:port, unix:/path or unix-abstract:name") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; times in seconds. ``pod`` and ``bootstrap``, which are no settings, are what the
    surroundings say."""

    control_plane: str = _setting(
        "127.0.0.1:15010",
        "MESHKIT_CONTROL_PLANE",
        "where the control plane listens: host:port, or unix:/path",
        check=_reachable,
    )
    root_cert: str = _setting(
        "",
        "MESHKIT_ROOT_CERT",
        "PEM file of the control plane's CA, which makes the connection TLS; or the word system",
    )
    server_name: str = _setting(
        "", "MESHKIT_SERVER_NAME", "the name in the control plane's certificate; default: the host of its address"
    )
    token_file: str = _setting(
        "", "MESHKIT_TOKEN_FILE", "the service-account token shown to the control plane, read for every stream"
    )
    cluster_id: str = _setting("Kubernetes", "MESHKIT_CLUSTER_ID", "Istio's name of the cluster that this runs in")
    trust_domain: str = _setting(
        "cluster.local", "MESHKIT_TRUST_DOMAIN", "Istio's trust domain, the first part of workloads' identities"
    )
    service: str = _setting("", "MESHKIT_SERVICE", "the service this process belongs to; its host is made from it")
    namespace: str = _setting("default", "MESHKIT_NAMESPACE", "the Kubernetes namespace, also of the service's host")
    labels: Mapping[str, str] = _setting(
        {}, "MESHKIT_LABELS", "labels of this workload, which subsets select on: version=v1,zone=a", _pairs
    )
    address: str = _setting("", "MESHKIT_ADDRESS", "the IP announced, and listened on; default: found from the route")
    service_port: int = _setting(
        80, "MESHKIT_SERVICE_PORT", "the port of the service's host that callers name", int, _between(1, 65535)
    )
    xds: str = _setting(
        "delta", "MESHKIT_XDS", "the variant of the ADS stream: delta or sotw", check=_one_of("delta", "sotw")
    )
    generator: str = _setting(
        "", "MESHKIT_GENERATOR", "Istio's generator of resources: none or grpc", check=_one_of("", "grpc")
    )
    strategies: tuple[str, ...] = _setting(
        ("static", "standard"), "MESHKIT_STRATEGIES", "the ways to find interfaces, in their order", _words
    )
    debug_url: str = _setting("", "MESHKIT_DEBUG_URL", "istiod's debug pages, which the strategy adsz reads")
    interfaces: Mapping[str, str] = _setting(
        {}, "MESHKIT_INTERFACES", "where interfaces live, asked first: helloworld.v1.Greeter=greeter.default:80", _pairs
    )
    wait: float = _setting(
        5.0,
        "MESHKIT_WAIT",
        "how long a call waits for somebody to provide its interface, or an endpoint of its cluster",
        float,
        _between(0),
    )
    grace: float = _setting(
        10.0, "MESHKIT_GRACE", "how long running calls may go on when a server stops", float, _between(0)
    )
    connections: int = _setting(3, "MESHKIT_CONNECTIONS", "connections kept to one endpoint", int, _between(1))
    pod_info: str = _setting(
        POD_INFO, "MESHKIT_POD_INFO", "the folder of the downward API's files labels and annotations"
    )
    pod: Pod = Pod()
    bootstrap: Bootstrap | None = None

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
    known = {item.name: item for item in fields(Settings) if item.metadata}
    if unknown := sorted(set(arguments) - set(known)):
        raise ConfigError(f"Mesh has no setting {unknown[0]!r}; there are: {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, item in known.items():
        if (value := arguments.get(name)) is not None:
            values[name] = _read(item, value, f"Mesh({name}={value!r})")
        elif text := environment.get(item.metadata["env"]):
            values[name] = _read(item, text, f"environment variable {item.metadata['env']}={text!r}")
    return Settings(**_surrounded(values, known, environment))


def _surrounded(
    values: dict[str, Any], known: Mapping[str, Field[Any]], environment: Mapping[str, str]
) -> dict[str, Any]:
    """``values``, and what the surroundings say where nobody set anything."""
    bootstrap = None if "control_plane" in values else find_bootstrap(environment)
    pod = read_pod(environment, values.get("pod_info", POD_INFO))
    if bootstrap is not None:
        pod = bootstrap.pod.over(pod)
        values["control_plane"] = bootstrap.address
    said = {
        "namespace": pod.namespace,
        "address": pod.addresses[0] if pod.addresses else "",
        "cluster_id": pod.cluster_id,
        "generator": pod.generator,
        "trust_domain": environment.get("TRUST_DOMAIN", ""),
    }
    for name, value in said.items():
        if value and name not in values:
            values[name] = _read(known[name], value, f"{name} {value!r} of the pod")
    if values.get("generator") == "grpc":
        values.setdefault("xds", "sotw")  # Istio's grpc generator is not usable over the other one
    labels = {**pod.labels, **values.get("labels", {})}
    return values | {"labels": labels, "pod": pod, "bootstrap": bootstrap}


def _read(item: Field[Any], value: Any, where: str) -> Any:
    try:
        if isinstance(value, Path):
            value = str(value)
        if isinstance(value, str):
            value = item.metadata["parse"](value)
        item.metadata["check"](value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None
    return value


def _local_ip(control_plane: str) -> str:
    """The source address that packets to the control plane would have, rather one of IPv4; loopback where there is no
    route."""
    host, _, port = control_plane.rpartition(":")
    try:
        places = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        return "127.0.0.1"
    for family, kind, protocol, _, place in sorted(places, key=lambda found: found[0] is not socket.AF_INET):
        with suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.connect(place)  # of UDP sends nothing
            return str(probe.getsockname()[0])
    return "127.0.0.1"
