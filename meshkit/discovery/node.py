"""Who this process is, and what it serves: the node of the ADS stream (Istio's metadata, dubbo-go's, and our own).

Istio reads node metadata at the first request of a stream only, wants every label to be a string and INSTANCE_IPS to
be a comma-separated one (pilot/pkg/model/proxy.go). What a process serves is said twice: ``LABELS.DUBBO_GO`` is
dubbo-go's map (`interface_map`), which clients find through ``/debug/adsz``; ``MESHKIT.endpoints`` also says where the
server listens, which makes it an endpoint of its service without anybody else's help.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshkit.rpc.dubbo import ServiceKey
from meshkit.xds import Json, Node
from meshkit.xds.resources import Locality

from .interface_map import LABEL, write_map
from .strategy import HostPort

__all__ = ["NodeIdentity", "Registration", "build_node"]


@dataclass(frozen=True, slots=True)
class Registration:
    """A server of this process: ``interfaces`` served at ``address`` (``ip:port``) as ``host`` on its service ``port``.

    ``host`` is the service's full name, ``greeter.default.svc.cluster.local``; an interface with Dubbo's group or
    version is written ``group/interface:version``.
    """

    host: str
    address: str
    interfaces: tuple[str, ...]
    port: int = 80


def _pod() -> str:
    return f"meshkit-{os.getpid()}-{os.urandom(3).hex()}"


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """This process among others. ``pod`` is unique per process; ``labels`` select it in DestinationRules and policies.

    ``generator``: Istio's resource generator, ``""`` for the default one or ``grpc``. ``more_addresses``: the pod's
    other IPs. ``id`` and ``cluster``: the node's, in place of those that are made here for Istio. ``metadata`` adds to,
    and wins over, what is made here.
    """

    service: str = ""
    namespace: str = "default"
    address: str = "127.0.0.1"
    pod: str = field(default_factory=_pod)
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    service_account: str = ""
    generator: str = ""
    locality: Locality | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    more_addresses: tuple[str, ...] = ()
    id: str = ""
    cluster: str = ""


def build_node(identity: NodeIdentity, registrations: Iterable[Registration] = ()) -> Node:
    """The node of ``identity`` while it serves ``registrations``."""
    served = tuple(registrations)
    suffix = f"{identity.namespace}.svc.{identity.domain}"
    metadata: dict[str, Json] = {
        "NAMESPACE": identity.namespace,
        "CLUSTER_ID": identity.cluster_id,
        "INSTANCE_IPS": ",".join((identity.address, *identity.more_addresses)),
        "LABELS": _labels(identity, served),
    }
    if identity.generator:
        metadata["GENERATOR"] = identity.generator
    else:
        metadata["DISABLE_HBONE_SEND"] = "true"  # no endpoints that only Envoy's internal listeners reach
    if identity.service_account:
        metadata["SERVICE_ACCOUNT"] = identity.service_account
    if served:
        metadata["MESHKIT"] = {"endpoints": [_endpoint(registration) for registration in served]}
    return Node(
        id=identity.id or f"sidecar~{identity.address}~{identity.pod}.{identity.namespace}~{suffix}",
        cluster=identity.cluster or ".".join(filter(None, (identity.service, identity.namespace))),
        metadata={**metadata, **identity.metadata},
        locality=identity.locality,
    )


def _labels(identity: NodeIdentity, served: tuple[Registration, ...]) -> dict[str, Json]:
    labels: dict[str, Json] = {"app": identity.service} if identity.service else {}
    labels.update(identity.labels)
    if served:
        labels[LABEL] = write_map(
            (ServiceKey.parse(interface), HostPort(registration.host, registration.port))
            for registration in served
            for interface in registration.interfaces
        )
    return labels


def _endpoint(registration: Registration) -> dict[str, Json]:
    return {"host": registration.host, "port": registration.port, "address": registration.address}
