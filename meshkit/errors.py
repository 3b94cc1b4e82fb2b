"""One tree of errors: an `RpcError` with one class per gRPC code, and `MeshkitError` for what is not a call.

Every `RpcError` is a `grpclib.GRPCError`; code written for grpclib catches it unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from grpclib.exceptions import GRPCError

from .status import Status

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "ConfigError",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "MeshkitError",
    "MissingExtra",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "RpcError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "error_for",
]


class MeshkitError(Exception):
    """Something outside a call went wrong; the text says what, where and what to do next."""


class ConfigError(MeshkitError):
    """A setting, a file or an argument cannot be used."""


class MissingExtra(MeshkitError):
    """A feature needs packages that are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs packages that are not installed; run: pip install 'meshkit[{extra}]'")


class RpcError(GRPCError):
    """A call ended with a status other than OK.

    ``status`` is the gRPC code, ``message`` the text of ``grpc-message``, ``details`` what ``grpc-status-details-bin``
    carried: the bytes of a ``google.rpc.Status``, or what the raiser gave. ``initial_metadata`` and
    ``trailing_metadata`` are what the server sent, empty where the error was made here.
    """

    code: ClassVar[Status] = Status.UNKNOWN

    def __init__(
        self,
        message: str | None = None,
        details: Any = None,
        *,
        initial_metadata: Sequence[tuple[str, str | bytes]] = (),
        trailing_metadata: Sequence[tuple[str, str | bytes]] = (),
    ) -> None:
        super().__init__(self.code, message, details)
        self.initial_metadata = initial_metadata
        self.trailing_metadata = trailing_metadata

    def __str__(self) -> str:
        return f"{self.status.name}: {self.message}" if self.message else self.status.name


class Cancelled(RpcError):
    """CANCELLED: the caller, or somebody between, gave the call up."""

    code = Status.CANCELLED


class Unknown(RpcError):
    """UNKNOWN: an error from another system, or a handler that failed without saying how."""

    code = Status.UNKNOWN


class InvalidArgument(RpcError):
    """INVALID_ARGUMENT: the request is wrong whatever the state of the system."""

    code = Status.INVALID_ARGUMENT


class DeadlineExceeded(RpcError, TimeoutError):
    """DEADLINE_EXCEEDED: the time given to the call is over. Also a `TimeoutError`."""

    code = Status.DEADLINE_EXCEEDED


class NotFound(RpcError):
    """NOT_FOUND: a requested entity does not exist."""

    code = Status.NOT_FOUND


class AlreadyExists(RpcError):
    """ALREADY_EXISTS: the entity to create exists."""

    code = Status.ALREADY_EXISTS


class PermissionDenied(RpcError):
    """PERMISSION_DENIED: the caller is known and may not."""

    code = Status.PERMISSION_DENIED


class ResourceExhausted(RpcError):
    """RESOURCE_EXHAUSTED: a quota, a size limit or a budget is used up."""

    code = Status.RESOURCE_EXHAUSTED


class FailedPrecondition(RpcError):
    """FAILED_PRECONDITION: the system is not in the state that the call needs."""

    code = Status.FAILED_PRECONDITION


class Aborted(RpcError):
    """ABORTED: a conflict, such as a failed transaction."""

    code = Status.ABORTED


class OutOfRange(RpcError):
    """OUT_OF_RANGE: past the valid range."""

    code = Status.OUT_OF_RANGE


class Unimplemented(RpcError):
    """UNIMPLEMENTED: the server does not know or support the method."""

    code = Status.UNIMPLEMENTED


class Internal(RpcError):
    """INTERNAL: an invariant broke, in the wire or in a handler."""

    code = Status.INTERNAL


class Unavailable(RpcError):
    """UNAVAILABLE: the service cannot be reached now; trying again may help."""

    code = Status.UNAVAILABLE


class DataLoss(RpcError):
    """DATA_LOSS: unrecoverable loss of data."""

    code = Status.DATA_LOSS


class Unauthenticated(RpcError):
    """UNAUTHENTICATED: the caller did not prove who it is."""

    code = Status.UNAUTHENTICATED


_BY_STATUS: dict[Status, type[RpcError]] = {
    kind.code: kind
    for kind in (
        Cancelled,
        Unknown,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated,
    )
}


def error_for(
    status: Status,
    message: str | None = None,
    details: Any = None,
    *,
    initial_metadata: Sequence[tuple[str, str | bytes]] = (),
    trailing_metadata: Sequence[tuple[str, str | bytes]] = (),
) -> RpcError:
    """The error of ``status``, of that status's own class. ``status`` must not be OK (KeyError)."""
    kind = _BY_STATUS[status]
    return kind(message, details, initial_metadata=initial_metadata, trailing_metadata=trailing_metadata)
