"""TLS for connections: which `ssl.SSLContext`, which name, and what to check of the peer beyond the chain.

HTTP/2 over TLS needs ALPN "h2" and TLS 1.2 or newer (RFC 9113 section 9.2); gRPC enforces ALPN at both ends.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["TlsSettings", "client_context", "identity", "offer_http1", "refusal", "server_context"]

_ALPN = ["h2"]
_ALPN_WITH_HTTP1 = ["h2", "http/1.1"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a client or a server speaks TLS.

    ``context`` is a context, or a function that gives the one for the next connection, so that certificates can rotate.
    ``server_name``: the name that a client sends and checks (None: the address's host; "" sends no SNI).
    ``verify``: called with the finished handshake's `ssl.SSLObject`; raises `ssl.SSLError` or ValueError with the
    reason when the peer is not the one wanted (a SPIFFE identity, for instance).
    ``permissive``: a server also takes plaintext HTTP/2 on the same port (Istio's PERMISSIVE).
    """

    context: ssl.SSLContext | Callable[[], ssl.SSLContext]
    server_name: str | None = None
    verify: Callable[[ssl.SSLObject], None] | None = None
    permissive: bool = False

    def current(self) -> ssl.SSLContext:
        """The context for a connection made now."""
        context = self.context
        return context if isinstance(context, ssl.SSLContext) else context()


def client_context(
    *, ca: str | Path | bytes | None = None, cert: str | Path | None = None, key: str | Path | None = None
) -> ssl.SSLContext:
    """A client's context: ``ca`` is a PEM file or PEM bytes (None: the system's), ``cert``/``key`` are PEM files."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_ca(context, ca)
    return _finish(context, cert, key)


def server_context(
    *, cert: str | Path, key: str | Path | None = None, ca: str | Path | bytes | None = None, require: bool = True
) -> ssl.SSLContext:
    """A server's context. With ``ca`` clients are asked for a certificate, and refused without one if ``require``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ca is not None:
        _load_ca(context, ca)
        context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
    return _finish(context, cert, key)


def _load_ca(context: ssl.SSLContext, ca: str | Path | bytes) -> None:
    if isinstance(ca, bytes):
        context.load_verify_locations(cadata=ca.decode("ascii"))
    else:
        context.load_verify_locations(cafile=str(ca))


def _finish(context: ssl.SSLContext, cert: str | Path | None, key: str | Path | None) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    if cert is not None:
        context.load_cert_chain(str(cert), str(key) if key is not None else None)
    return context


def refusal(session: ssl.SSLObject, settings: TlsSettings, *, http1: bool = False) -> str:
    """Why a finished handshake is not good enough for HTTP/2, or ``http1``; empty if it is."""
    if not http1 and session.selected_alpn_protocol() != "h2":
        return 'TLS peer did not agree on ALPN "h2"'
    if settings.verify is None:
        return ""
    try:
        settings.verify(session)
    except (ssl.SSLError, ValueError) as error:
        return f"TLS peer refused: {error}"
    return ""


def offer_http1(context: ssl.SSLContext) -> ssl.SSLContext:
    """``context``, which from now on also lets clients choose HTTP/1.1."""
    context.set_alpn_protocols(_ALPN_WITH_HTTP1)
    return context


def identity(session: ssl.SSLObject) -> str | None:
    """Who the peer's certificate says it is: its first URI (SPIFFE) name, else DNS name, else subject."""
    certificate: dict[str, Any] | None = session.getpeercert()
    if not certificate:
        return None
    names = certificate.get("subjectAltName", ())
    for wanted in ("URI", "DNS"):
        for kind, name in names:
            if kind == wanted:
                return str(name)
    return ",".join(f"{key}={value}" for part in certificate.get("subject", ()) for key, value in part) or None
