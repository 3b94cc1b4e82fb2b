"""The open streams and what they are shown; and the registrations that come with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from meshkit.observe.log import event_logger
from meshkit.xds.messages import NodeMessage

from .catalog import Catalog, View
from .delta import DeltaMachine
from .dialect import Plane, Told, doubts, view_for
from .node import read_node
from .registration import Registration, read_registration
from .registry import Registry
from .session import Session
from .sotw import SotwMachine
from .tally import Tally

__all__ = ["Hub"]

_LOG = event_logger("meshkit.control")


class Hub:
    """Keeps the sessions. ``changed`` is called when the registrations changed; ``clock`` gives monotonic seconds.
    ``host`` and ``debug_port`` say where the control plane and its pages are, for clients that have to be told."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        tally: Tally,
        changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self.registry = registry
        self.catalog = catalog
        self.settled = True
        self.host = "127.0.0.1"
        self.debug_port: int | None = None
        self._told = Told()
        self._tally = tally
        self._changed = changed
        self._clock = clock
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"Hub(sessions={len(self.sessions)}, registrations={len(self.registry)})"

    def open(
        self, machine: type[SotwMachine] | type[DeltaMachine], message: NodeMessage | None, peer: str, authority: str
    ) -> Session:
        """A stream began, which the client called ``authority``. Raises InvalidArgument if its first request has no
        node."""
        node = read_node(message)
        self._tally.streams += 1
        connection = f"{node.name}-{next(self._numbers)}"
        plane = Plane.called(authority, self.host)
        view = view_for(View(self.catalog, node.proxy, self.settled), node, plane, self._told)
        session = Session(connection, node, peer, machine(view), datetime.now(UTC), self._tally)
        self.sessions[connection] = session
        registration = read_registration(node.id, node.metadata, "/".join(node.locality).rstrip("/"))
        self._note(session, registration)
        if self.registry.connect(connection, registration):
            self._changed()
        return session

    def close(self, session: Session) -> None:
        """A stream ended. What it registered is held for a while."""
        del self.sessions[session.connection]
        _LOG.info("stream closed", client=session.connection)
        if self.registry.disconnect(session.connection, self._clock()):
            self._changed()

    def publish(self, catalog: Catalog) -> None:
        """Show every client a new catalog."""
        self.catalog = catalog
        self._show_all()

    def settle(self, settled: bool) -> None:
        """Say whether clients that come back may be told that something is gone."""
        self.settled = settled
        self._show_all()

    def _show_all(self) -> None:
        for session in self.sessions.values():
            session.show(replace(session.machine.view, catalog=self.catalog, settled=self.settled))

    def _note(self, session: Session, registration: Registration) -> None:
        name, node = session.connection, session.node
        _LOG.info("stream opened", client=name, peer=session.peer, variant=session.variant, agent=node.agent)
        for doubt in doubts(session.machine.view, registration, self.debug_port):
            _LOG.warning("a client lacks something", client=name, dialect=session.dialect, reason=doubt)
        for fault in registration.faults:
            _LOG.warning("a registration cannot be read", client=name, fault=fault)
        for (host, port), endpoint in registration.endpoints.items():
            _LOG.info(
                "endpoint registered", host=host, port=port, address=endpoint.address, endpoint_port=endpoint.port
            )
        for interface, (host, port) in registration.interfaces.items():
            _LOG.info("interface registered", interface=interface, host=host, port=port)
