from __future__ import annotations

import pytest

from meshkit.discovery.refusal import next_step
from meshkit.errors import Internal, InvalidArgument, RpcError, Unauthenticated, Unavailable


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (Unavailable("cannot connect to 127.0.0.1:1: refused"), "MESHKIT_CONTROL_PLANE"),
        (Unavailable("server is not ready to serve discovery information"), "starting"),
        (InvalidArgument("no valid IP address in the service node id or metadata"), "MESHKIT_ADDRESS"),
        (InvalidArgument("failed to unmarshal node metadata"), "labels are strings"),
        (Unauthenticated("authentication failure"), "istio-ca"),
    ],
)
def test_what_istiod_says_has_a_next_step(error: RpcError, step: str) -> None:
    assert step in next_step(error)


def test_what_nobody_can_mend_has_none() -> None:
    assert next_step(Internal("a bug")) == next_step(OSError("a file")) == ""
