"""Serving: a server of this process that the mesh knows, from its first listening to its last call."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from meshkit.mesh.membership import Membership, MembershipStatistics
from meshkit.net.address import join_host_port

if TYPE_CHECKING:
    from meshkit.rpc import Server

__all__ = ["MeshServer", "interfaces_of"]

_PLUMBING = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)  # nobody looks for these by interface


def interfaces_of(services: Sequence[str]) -> tuple[str, ...]:
    """Those of a server's services that others look for: not what every server has."""
    return tuple(name for name in services if name not in _PLUMBING)


class MeshServer:
    """A running server, as `Mesh.serving` gives it.

    ``port`` is the port it listens on and ``address`` where, as ``ip:port``. Leaving ``serving`` drains it: health says
    not serving, the registration is withdrawn, running calls finish within the grace.

    What the mesh demands of callers (mutual TLS, policies) is shown by `statistics` and is NOT enforced yet: whoever
    reaches the port can call.
    """

    def __init__(self, server: Server, membership: Membership, host: str, port: int) -> None:
        self._server = server
        self._membership = membership
        self._stopped = asyncio.Event()
        self.port = port
        self.address = join_host_port(host, port)

    def __repr__(self) -> str:
        facts = self.statistics()
        hosts = f"; hosts: {', '.join(facts.hosts)}" if facts.hosts else ""
        demands = f"; {', '.join((facts.mtls, *facts.policies))} demanded, NOT ENFORCED" if facts.unenforced else ""
        return f"MeshServer({self.address}, {', '.join(self.services)}{hosts}{demands})"

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the interfaces served, health and reflection included."""
        return self._server.services

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces served, ``group/interface:version`` where there is such; without what every server has."""
        return interfaces_of(self._server.keys)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The services that lead here, as ``host:port``: the configured one, or those the control plane told of."""
        return self.statistics().hosts

    def statistics(self) -> MembershipStatistics:
        """What this server is in the mesh: hosts, identity, what is demanded of callers, and what of it is missing."""
        return self._membership.statistics()

    @property
    def health(self) -> Any:
        """The health service, to say how single services fare."""
        return self._server.health

    def stop(self) -> None:
        """Ask for the end: `wait` returns, and whoever waits drains the server."""
        self._stopped.set()

    async def wait(
        self,
        started: Callable[[], object] = lambda: None,
        *,
        signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    ) -> None:
        """Return when `stop` is called or, in the main thread, one of ``signals`` arrives.

        ``started`` is called when signals are listened to: the time to tell the world that the server is up. A second
        signal has its usual effect, so that a stuck drain can be ended by hand.
        """
        with _handlers(signals, self.stop):
            started()
            await self._stopped.wait()


@contextmanager
def _handlers(signals: Sequence[signal.Signals], stop: Callable[[], None]) -> Generator[None, None, None]:
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    try:
        for number in signals:
            loop.add_signal_handler(number, stop)
            taken.append(number)
    except (ValueError, RuntimeError, NotImplementedError):
        pass  # not the main thread, or no signals on this platform: `stop` remains
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
