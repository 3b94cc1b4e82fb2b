"""What to do when a control plane does not answer a stream: the next step for what it said.

What istiod says is in pilot/pkg/xds/ads.go and auth.go; it refuses at the first request of a stream. A row is a
status and a part of its message ("" for any); the first row that fits counts.
"""

from __future__ import annotations

from meshkit.errors import RpcError
from meshkit.status import Status

__all__ = ["next_step"]

_REACH = "check the address (MESHKIT_CONTROL_PLANE), and that something listens there"
_NEXT: tuple[tuple[Status, str, str], ...] = (
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
    (
        Status.UNAUTHENTICATED,
        "",
        "it wants a service-account token for the audience istio-ca that has not expired, or a mesh certificate",
    ),
    (
        Status.PERMISSION_DENIED,
        "",
        "namespace and service account of this process must be those of its token or certificate",
    ),
    (Status.UNIMPLEMENTED, "", "what listens there is no xDS server: istiod's ports are 15010, and 15012 with TLS"),
)


def next_step(error: Exception) -> str:
    """What a person can do about the error; "" where there is nothing to say."""
    if isinstance(error, RpcError):
        for status, part, step in _NEXT:
            if error.status is status and part in (error.message or ""):
                return step
    return ""
