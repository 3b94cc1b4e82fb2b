"""What a client binds to: something that finds a connection for each attempt of a call."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from .method import Rep

if TYPE_CHECKING:
    from .exchange import Exchange
    from .unary import UnaryCall

__all__ = ["Caller"]


class Caller(Protocol):
    """`meshkit.rpc.Channel` (one address) and `meshkit.Mesh` (routes, balancing, retries) are callers. Both methods are
    coroutines; the first is written so that a caller around another one costs no coroutine of its own."""

    def mesh_unary(self, call: UnaryCall[Rep], /) -> Coroutine[Any, Any, Rep]:
        """Run ``call``: choose connections, make attempts with `UnaryCall.attempt`, answer with `UnaryCall.reply`."""
        ...

    async def mesh_open(self, call: Exchange[Any, Any], /) -> None:
        """Start one attempt of a streaming call with `stream_attempt`; raise `RpcError` if there is no way to."""
        ...
