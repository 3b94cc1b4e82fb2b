"""A server's place in the mesh: registered under its hosts, and telling what the mesh demands of its callers.

The hosts are those of the configured ``service``, or else the services that the control plane says lead to this port.
All interfaces are registered together, so that a change costs one stream at most.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from meshkit.discovery import Discovery, HostPort, LocalPort, Registration
from meshkit.mesh.settings import Settings
from meshkit.observe import event_logger
from meshkit.trust import spiffe_id, unenforced

__all__ = ["Membership", "MembershipStatistics"]

_LOG = event_logger("meshkit.mesh")
_WITHDRAWAL = 1.0  # seconds that a withdrawn registration may take to reach the control plane


@dataclass(frozen=True, slots=True)
class MembershipStatistics:
    """What a server is in the mesh, as `Membership.statistics` gives it.

    ``hosts``: ``host:port`` that lead to it; ``unplaced``: hosts that do, by a port that is not known. ``identity``:
    its SPIFFE id, "" where the service account is not known. ``mtls`` and ``policies``: what the mesh demands of
    callers, and ``unenforced`` what of it this server does not do yet. ``notes``: why something is not known.
    """

    address: str
    interfaces: tuple[str, ...]
    hosts: tuple[str, ...]
    unplaced: tuple[str, ...]
    identity: str
    mtls: str
    policies: tuple[str, ...]
    unenforced: tuple[str, ...]
    notes: tuple[str, ...]


class Membership:
    """Keeps ``interfaces``, served on ``port`` at ``ip``, registered under the hosts that lead there."""

    def __init__(
        self, discovery: Discovery, settings: Settings, ip: str, port: int, interfaces: tuple[str, ...]
    ) -> None:
        self._discovery = discovery
        self._settings = settings
        self._interfaces = interfaces
        self._registrations: tuple[Registration, ...] = ()
        self._told: tuple[object, ...] = ()
        self._warned: set[str] = set()
        self._watch = discovery.local(ip, port)
        self._stop = self._watch.cell.listen(self._take)
        self._take(self._watch.cell.value)

    def __repr__(self) -> str:
        hosts = ", ".join(self.statistics().hosts) or "no hosts"
        return f"Membership({self._watch.address}, {hosts}, {self._watch.cell.value.inbound})"

    @property
    def hosts(self) -> tuple[HostPort, ...]:
        """What others call this server by."""
        return self._hosts(self._watch.cell.value)

    async def leave(self, grace: float) -> None:
        """Withdraw the registrations, and give the control plane a moment to hear of it."""
        self._stop()
        self._watch.release()
        if self._registrations:
            self._discovery.withdraw(*self._registrations)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(grace, _WITHDRAWAL)):
                    await self._discovery.announced()

    def statistics(self) -> MembershipStatistics:
        """A frozen view."""
        local = self._watch.cell.value
        account = self._settings.pod.service_account
        configured = bool(self._settings.service)
        notes = ("" if configured else local.note, local.inbound.note, "" if account else "service account not known")
        return MembershipStatistics(
            address=self._watch.address,
            interfaces=self._interfaces,
            hosts=tuple(map(str, self._hosts(local))),
            unplaced=() if configured else local.unplaced,
            identity=spiffe_id(self._settings.trust_domain, self._settings.namespace, account) if account else "",
            mtls=local.inbound.mtls.value,
            policies=tuple(map(str, local.inbound.policies)),
            unenforced=unenforced(local.inbound),
            notes=tuple(note for note in notes if note),
        )

    def _hosts(self, local: LocalPort) -> tuple[HostPort, ...]:
        settings = self._settings
        return (HostPort(settings.host, settings.service_port),) if settings.service else local.hosts

    def _take(self, local: LocalPort) -> None:
        address = self._watch.address
        wanted = tuple(Registration(one.host, address, self._interfaces, one.port) for one in self._hosts(local))
        dropped = [one for one in self._registrations if one not in wanted]
        self._registrations = wanted
        if dropped:
            self._discovery.withdraw(*dropped)
        if wanted:
            self._discovery.publish(*wanted)
        self._tell(local)

    def _tell(self, local: LocalPort) -> None:
        """A line when the control plane has answered, and one for each change; a warning for each protection that is
        missing."""
        known = (self._hosts(local), local.unplaced, local.inbound)
        if local.answered and known != self._told:
            self._told = known
            facts = self.statistics()
            _LOG.info(
                "server in the mesh",
                address=facts.address,
                hosts=facts.hosts,
                unplaced=facts.unplaced,
                identity=facts.identity,
                mtls=facts.mtls,
                policies=facts.policies,
                enforced=False,
                notes=facts.notes,
            )
        for sentence in unenforced(local.inbound):
            if sentence not in self._warned:
                self._warned.add(sentence)
                _LOG.warning("NOT PROTECTED", address=self._watch.address, reason=sentence)
