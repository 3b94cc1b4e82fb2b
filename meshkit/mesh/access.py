"""From settings to how this process reaches its control plane, and what it says of itself there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path

from meshkit.discovery import DiscoveryOptions, NodeIdentity
from meshkit.discovery.credentials import ISTIO_TOKEN, control_plane_tls, root_places
from meshkit.discovery.node import build_node
from meshkit.discovery.pod import locality_of
from meshkit.errors import ConfigError
from meshkit.net import TlsSettings

from .settings import Settings

__all__ = ["discovery_options"]

_TLS_PORT = ":15012"  # istiod's, in every installation


def discovery_options(settings: Settings, environment: Mapping[str, str] = os.environ) -> DiscoveryOptions:
    """What discovery is told. Raises ConfigError for settings that contradict each other."""
    tls = _tls(settings, environment)
    return DiscoveryOptions(
        address=settings.control_plane,
        identity=_sendable(_identity(settings)),
        mode=settings.xds,
        strategies=settings.strategies,
        static=settings.interfaces,
        debug_url=settings.debug_url,
        tls=tls,
        token_file=_token_file(settings, tls),
        listener_template=settings.bootstrap.listener_template if settings.bootstrap is not None else "",
    )


def _tls(settings: Settings, environment: Mapping[str, str]) -> TlsSettings | None:
    if settings.root_cert:
        return control_plane_tls((settings.root_cert,), settings.server_name)
    if settings.bootstrap is not None:
        tls = settings.bootstrap.tls
        return replace(tls, server_name=settings.server_name) if tls is not None and settings.server_name else tls
    if settings.control_plane.endswith(_TLS_PORT):
        return control_plane_tls(root_places(environment), settings.server_name)
    return None


def _token_file(settings: Settings, tls: TlsSettings | None) -> Path | None:
    """A token is a secret: one that nobody named goes over TLS only."""
    named = settings.token_file or (settings.bootstrap.token_file if settings.bootstrap is not None else "")
    if named:
        return Path(named)
    return ISTIO_TOKEN if tls is not None and ISTIO_TOKEN.is_file() else None


def _sendable(identity: NodeIdentity) -> NodeIdentity:
    """The identity, unless its text is none in UTF-8: the stream would end before the control plane could say so."""
    node = build_node(identity)
    try:
        place = astuple(node.locality) if node.locality is not None else ()
        json.dumps([node.id, node.cluster, place, node.metadata], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        words = ascii(error.object[max(0, error.start - 30) : error.end])
        raise ConfigError(f"what this process says of itself is not UTF-8 text: {words}") from None
    return identity


def _identity(settings: Settings) -> NodeIdentity:
    pod, address = settings.pod, settings.ip
    known = {"pod": pod.name} if pod.name else {}
    return NodeIdentity(
        service=settings.service,
        namespace=settings.namespace,
        address=address,
        more_addresses=tuple(ip for ip in pod.addresses if ip != address) if address in pod.addresses else (),
        labels=settings.labels,
        cluster_id=settings.cluster_id,
        service_account=pod.service_account,
        generator=settings.generator,
        locality=pod.locality or locality_of(settings.labels),
        metadata=pod.metadata,
        id=pod.node_id,
        cluster=pod.cluster,
        **known,
    )
