"""How a process and a control plane trust each other: a root certificate and a token, both files that may be replaced.

The files are read again for every connection and every stream, so what Kubernetes rotates, or what somebody mends, is
in force at the next one. The places are those of Istio's agent (pkg/istio-agent, security/pkg/nodeagent).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from meshkit.errors import ConfigError
from meshkit.net import TlsSettings, client_context

__all__ = ["ISTIO_TOKEN", "SYSTEM_ROOTS", "control_plane_tls", "root_places"]

ISTIO_TOKEN = Path("/var/run/secrets/tokens/istio-token")
SYSTEM_ROOTS = "system"  # in place of a file: the roots that the system trusts; Istio writes it SYSTEM
_ISTIO_ROOTS = ("/var/run/secrets/istio/root-cert.pem", "/etc/certs/root-cert.pem")


def root_places(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where the root certificate may be when nobody names it, the best place first."""
    named = environment.get("XDS_ROOT_CA")
    return (named,) if named else _ISTIO_ROOTS


def control_plane_tls(
    roots: Sequence[str], server_name: str = "", cert: str | None = None, key: str | None = None
) -> TlsSettings:
    """TLS to a control plane that one of ``roots`` (PEM files, or `SYSTEM_ROOTS`) vouches for: the first that exists.

    ``server_name``: what its certificate must say; "" is the host of the address. ``cert`` and ``key``: our own. What
    is wrong with a file fails the connection attempt, which is repeated.
    """

    def context() -> ssl.SSLContext:
        return _context(_existing(roots), cert, key)

    return TlsSettings(context, server_name or None)


def _existing(roots: Sequence[str]) -> str:
    for root in roots:
        if root.lower() == SYSTEM_ROOTS or Path(root).is_file():
            return root
    raise ConfigError(f"there is no root certificate at {' or '.join(roots)}; mount it there or set root_cert")


def _context(root: str, cert: str | None, key: str | None) -> ssl.SSLContext:
    try:
        return client_context(ca=None if root.lower() == SYSTEM_ROOTS else root, cert=cert, key=key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(name for name in (root, cert, key) if name)
        raise ConfigError(f"certificates in {files} cannot be used: {error}") from None
