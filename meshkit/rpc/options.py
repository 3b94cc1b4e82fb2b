"""What a caller may choose for one call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["DEFAULT", "CallOptions", "Timeout"]

Timeout = float | timedelta | None
"""How long a call may take: seconds, a `timedelta`, or None for no limit of its own."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Choices for one call; the defaults are those of gRPC.

    ``wait_for_ready``: wait for a connection instead of failing when none can be had (grpc/doc/wait-for-ready.md).
    ``compression``: "gzip" or "deflate" for the messages sent; None sends them as they are.
    ``accept_compression``: tell the server that it may compress replies; ``compression`` tells it, too. grpcio always
    tells; here it is a choice, as dubbo-go then compresses every reply, be it of ten bytes.
    ``max_receive``: the largest message accepted, in bytes; None is the connection's limit (4 MiB by default).
    ``propagate_deadline``: a call made inside a handler ends with the handler's own deadline at the latest.
    ``propagate_trace``: a call made inside a handler carries the trace headers that the handler's call came with.
    ``authority``: the ``:authority`` header in place of the connection's own.
    """

    wait_for_ready: bool = False
    compression: str | None = None
    accept_compression: bool = False
    max_receive: int | None = None
    propagate_deadline: bool = True
    propagate_trace: bool = True
    authority: str | None = None

    def __post_init__(self) -> None:
        if self.compression not in (None, "gzip", "deflate"):
            raise ValueError(f"compression {self.compression!r} is not known: use 'gzip', 'deflate' or None")
        if self.max_receive is not None and self.max_receive <= 0:
            raise ValueError("max_receive must be a positive number of bytes")


DEFAULT = CallOptions()
