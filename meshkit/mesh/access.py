"""From settings to how this process reaches its control plane, and what it says of itself there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from meshkit.discovery import DiscoveryOptions, NodeIdentity
from meshkit.discovery.credentials import ISTIO_TOKEN, control_plane_tls, root_places
from meshkit.net import TlsSettings

from .settings import Settings

__all__ = ["discovery_options"]

_TLS_PORT = ":15012"  # istiod's, in every installation


def discovery_options(settings: Settings, environment: Mapping[str, str] = os.environ) -> DiscoveryOptions:
    """What discovery is told. Raises ConfigError for settings that contradict each other."""
    tls = _tls(settings, environment)
    return DiscoveryOptions(
        address=settings.control_plane,
        identity=_identity(settings),
        mode=settings.xds,
        strategies=settings.strategies,
        static=settings.interfaces,
        tls=tls,
        token_file=_token_file(settings, tls),
    )


def _tls(settings: Settings, environment: Mapping[str, str]) -> TlsSettings | None:
    if settings.root_cert:
        return control_plane_tls((str(settings.root_cert),), settings.server_name)
    if settings.control_plane.endswith(_TLS_PORT):
        return control_plane_tls(root_places(environment), settings.server_name)
    return None


def _token_file(settings: Settings, tls: TlsSettings | None) -> Path | None:
    """A token is a secret: one that nobody named goes over TLS only."""
    if settings.token_file:
        return Path(settings.token_file)
    return ISTIO_TOKEN if tls is not None and ISTIO_TOKEN.is_file() else None


def _identity(settings: Settings) -> NodeIdentity:
    return NodeIdentity(
        service=settings.service,
        namespace=settings.namespace,
        address=settings.ip,
        labels=settings.labels,
        cluster_id=settings.cluster_id,
        generator=settings.generator,
    )
