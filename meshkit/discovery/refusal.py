"""What to do when a control plane does not answer a stream: the next step for what it said.

What istiod says is in pilot/pkg/xds/ads.go and auth.go; it refuses at the first request of a stream. A row is a
status and a part of its message ("" for any); the first row that fits counts.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from meshkit.errors import RpcError
from meshkit.status import Status

from .credentials import claims_of
from .options import DiscoveryOptions

__all__ = ["next_step"]

_AUDIENCE = "istio-ca"  # what istiod's authenticators ask of a token, unless TOKEN_AUDIENCES names others
_REACH = "check the address (MESHKIT_CONTROL_PLANE), and that something listens there"
_NEXT: tuple[tuple[Status, str, str], ...] = (
    (Status.UNAVAILABLE, "no root certificate", ""),  # the message has its own
    (Status.UNAVAILABLE, "cannot be used: ", ""),
    (
        Status.UNAVAILABLE,
        "local issuer",
        "its certificate is not signed by our root: give the istio-ca-root-cert of that mesh (MESHKIT_ROOT_CERT)",
    ),
    (Status.UNAVAILABLE, "self-signed certificate", "give the root of that mesh (MESHKIT_ROOT_CERT)"),
    (
        Status.UNAVAILABLE,
        "certificate is not valid for",
        "set the name that is in its certificate (MESHKIT_SERVER_NAME), istiod.istio-system.svc for instance",
    ),
    (Status.UNAVAILABLE, "TLS: WRONG_VERSION_NUMBER", "it does not speak TLS there: use 15012, or no root certificate"),
    (Status.UNAVAILABLE, "TLS: ", "check its certificate, and ours"),
    (
        Status.UNAVAILABLE,
        "the peer closed it",
        "it closed the connection, as a port with TLS does to plaintext: set MESHKIT_ROOT_CERT, or use 15010",
    ),
    (Status.UNAVAILABLE, "a frame of", "what listens there does not speak HTTP/2: istiod's ports are 15010 and 15012"),
    (Status.UNAVAILABLE, "cannot connect", _REACH),
    (Status.UNAVAILABLE, "", "it is starting or overloaded, and is tried again until it is ready"),
    (
        Status.RESOURCE_EXHAUSTED,
        "",
        "it limits new streams, and is tried again; if this lasts, raise PILOT_MAX_REQUESTS_PER_SECOND of istiod or "
        "run more replicas",
    ),
    (
        Status.INVALID_ARGUMENT,
        "no valid IP",
        "this process has to announce the IP of its pod: set MESHKIT_ADDRESS, in Kubernetes from status.podIP",
    ),
    (
        Status.INVALID_ARGUMENT,
        "",
        "it cannot read what this process says of itself: labels are strings, and the address is an IP",
    ),
    (Status.UNIMPLEMENTED, "", "what listens there is no xDS server: istiod's ports are 15010, and 15012 with TLS"),
)


def next_step(error: Exception, options: DiscoveryOptions, token: str = "") -> str:
    """What a person can do about the error of a stream that showed ``token``; "" where there is nothing to say."""
    if not isinstance(error, RpcError):
        return ""
    if error.status is Status.UNAUTHENTICATED:
        return _unauthenticated(options, token)
    if error.status is Status.PERMISSION_DENIED:
        return _denied(options, token)
    for status, part, step in _NEXT:
        if error.status is status and part in (error.message or ""):
            return step
    return ""


def _unauthenticated(options: DiscoveryOptions, token: str) -> str:
    """A token shows its faults, all but a wrong signature, to whoever looks."""
    if not token:
        return "it wants a service-account token (MESHKIT_TOKEN_FILE) or a mesh certificate"
    claims, file = claims_of(token), options.token_file
    if claims is None:
        return f"what is in {file} is no JSON web token"
    if 0 < claims.expires < time.time():
        at = datetime.fromtimestamp(claims.expires, UTC)
        return f"the token in {file} expired at {at:%Y-%m-%d %H:%M:%S} UTC; Kubernetes renews a projected one in time"
    if _AUDIENCE not in claims.audience:
        said = ", ".join(claims.audience) or "none"
        return f"the token in {file} is for the audience {said}; project one for {_AUDIENCE}"
    cluster = options.identity.cluster_id
    return f"it does not trust who signed the token in {file}: is that of cluster {cluster} (MESHKIT_CLUSTER_ID)?"


def _denied(options: DiscoveryOptions, token: str) -> str:
    claims, identity = claims_of(token), options.identity
    theirs = f" ({claims.subject})" if claims is not None else ""
    return (
        f"namespace {identity.namespace!r} and service account {identity.service_account!r} of this process must be "
        f"those of its token{theirs} or certificate: set MESHKIT_NAMESPACE, POD_NAMESPACE or SERVICE_ACCOUNT"
    )
