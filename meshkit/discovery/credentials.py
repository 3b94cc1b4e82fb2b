"""How a process and a control plane trust each other: a root certificate and a token, both files that may be replaced.

The files are read again for every connection and every stream, so what Kubernetes rotates, or what somebody mends, is
in force at the next one. The places are those of Istio's agent (pkg/istio-agent, security/pkg/nodeagent).
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshkit.errors import ConfigError
from meshkit.net import TlsSettings, client_context

__all__ = ["ISTIO_TOKEN", "SYSTEM_ROOTS", "Claims", "claims_of", "control_plane_tls", "read_token", "root_places"]

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


def read_token(path: Path) -> str:
    """The token in a file. Raises ConfigError, with the next step, where there is none."""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"token file {path}: {reason}; mount the projected token there, or set token_file") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"token file {path} holds no token; it must be one word, as Kubernetes projects it")
    return token


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of itself, which proves nothing: ``expires`` in seconds since 1970 (0: never)."""

    subject: str
    audience: tuple[str, ...]
    expires: float


def claims_of(token: str) -> Claims | None:
    """The claims of a JSON web token (RFC 7519), unverified; None if it is none."""
    try:
        part = token.split(".")[1]
        body: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        audience = body.get("aud") or ()
        words = (audience,) if isinstance(audience, str) else tuple(map(str, audience))
        return Claims(str(body.get("sub", "")), words, float(body.get("exp") or 0))
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
