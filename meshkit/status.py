"""The gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).

They are grpclib's own members, so that ``error.status is grpclib.const.Status.NOT_FOUND`` holds for our errors too.
"""

from grpclib.const import Status

__all__ = ["Status", "status_of"]

_BY_CODE = {status.value: status for status in Status}


def status_of(code: int) -> Status:
    """The status of a numeric code; a code that gRPC does not define is UNKNOWN (grpc/doc/statuscodes.md)."""
    return _BY_CODE.get(code, Status.UNKNOWN)
