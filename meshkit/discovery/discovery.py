"""The one ADS stream of a process and everything that hangs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshkit.cell import Cell
from meshkit.net import Resolver, system_resolver
from meshkit.tasks import Scope
from meshkit.xds import CLUSTERS, ROUTES, WILDCARD, Node, ResourceType, Verdict, WatchStatistics

from .assembly import Naming
from .cache import InterfaceCache
from .dns import DNS, HostNames
from .node import Registration, build_node
from .options import DiscoveryOptions
from .patience import Patience
from .reminder import Reminder
from .slicing import Slicer
from .strategy import HostPort, Strategy, make_strategies
from .stream import AdsStream, StreamStatistics
from .watch import InterfaceStatistics, InterfaceWatch

if TYPE_CHECKING:
    from .local import LocalPorts, LocalWatch

__all__ = ["Discovery", "DiscoveryStatistics"]


@dataclass(frozen=True, slots=True)
class DiscoveryStatistics:
    """Everything in figures: the stream, each interface, each resource that is held of each type."""

    stream: StreamStatistics
    interfaces: tuple[InterfaceStatistics, ...]
    resources: dict[str, tuple[WatchStatistics, ...]]


class Discovery:
    """Finds interfaces through a control plane, and tells it what this process serves.

    ``strategies`` replaces those that ``options.strategies`` names; ``resolver`` finds the addresses of host names. The
    stream is opened when there is something to ask for or to tell, so a process that needs no mesh never connects. All
    methods must be called on the event loop.
    """

    def __init__(
        self,
        options: DiscoveryOptions,
        *,
        strategies: tuple[Strategy, ...] | None = None,
        resolver: Resolver = system_resolver,
    ) -> None:
        self.options = options
        self._machine = options.variant.machine()
        self._registrations: tuple[Registration, ...] = ()
        self._announced: Cell[Node | None] = Cell(None)
        self._naming = Naming(options.identity.generator)
        self._scope = Scope("discovery")
        self._stream = AdsStream(options, self._machine, self.node, self._changed, self._sent)
        self._patience = Patience(self._machine, options.patience, options.clock, self._silent)
        self._strategies = make_strategies(options) if strategies is None else strategies
        self._names = HostNames(resolver, options.clock, self._resolved)
        self._cache = InterfaceCache(
            self._machine,
            self._names,
            self._strategies,
            self._naming,
            options.address,
            self._stream.poke,
            self.condition,
        )
        self._reminder = Reminder(
            self._machine, self._cache.subscriptions, options.reminders, options.clock, self._stream.poke
        )
        self._locals: LocalPorts | None = None

    def __repr__(self) -> str:
        return f"Discovery({self._stream!r}, {self._machine!r})"

    async def start(self) -> None:
        """Start keeping the stream; returns at once, whether or not the control plane is there."""
        self._scope.start(self._stream.run(), name="stream")
        self._scope.start(self._patience.run(), name="patience")
        self._scope.start(self._reminder.run(), name="reminder")
        for strategy in self._strategies:
            self._scope.start(strategy.run(), name=strategy.name)

    async def close(self) -> None:
        """End the stream and all work. Snapshots stay as they are."""
        await self._scope.close()
        await self._names.close()

    def watch(self, interface: str) -> InterfaceWatch:
        """Use ``interface`` from now until `InterfaceWatch.release`; shared by all its users."""
        return self._cache.watch(interface)

    async def resolve(self, host: str) -> Sequence[str]:
        """The IP addresses for a new connection to ``host``: as a `meshkit.net.Resolver`, which knows the names of
        clusters in use without asking."""
        return await self._names.resolve(host)

    def publish(self, *registrations: Registration) -> None:
        """Tell the control plane that this process serves these too. Costs one new stream if one was open."""
        self._register(tuple(dict.fromkeys((*self._registrations, *registrations))))

    def withdraw(self, *registrations: Registration) -> None:
        """Take back what was published; without arguments, all of it."""
        kept = tuple(r for r in self._registrations if r not in registrations) if registrations else ()
        self._register(kept)

    async def announced(self) -> None:
        """Wait until the control plane has answered a stream that carried what is published now."""
        node = self.node()
        await self._announced.wait(lambda value: value == node)

    def node(self) -> Node:
        """What this process tells about itself now."""
        return build_node(self.options.identity, self._registrations)

    def local(self, ip: str, port: int) -> LocalWatch:
        """Follow what the control plane knows of ``port`` of this process, which others call at ``ip``: the services
        that lead there, and what it demands of callers. Until `LocalWatch.release`."""
        from .local import LocalPorts  # a client has none

        if self._locals is None:
            subscriptions, template = self._cache.subscriptions, self.options.listener_template
            self._locals = LocalPorts(self._machine, subscriptions, self._naming, template)
        return self._locals.watch(ip, port)

    @property
    def slicer(self) -> Slicer:
        """What cuts the work on pushes up; whoever makes something of snapshots does it here too."""
        return self._stream.slicer

    def condition(self) -> str:
        """What is wrong with the control plane; "" while nothing is."""
        if self._stream.answered:
            return ""
        return f"The control plane {self.options.address} is not reached: {self._stream.error or 'no answer yet'}"

    def statistics(self) -> DiscoveryStatistics:
        """A frozen view of everything."""
        interfaces = tuple(watch.statistics() for watch in self._cache.watches.values())
        return DiscoveryStatistics(self._stream.statistics(), interfaces, self._machine.statistics())

    # -- inside

    def _register(self, registrations: tuple[Registration, ...]) -> None:
        if registrations == self._registrations:
            return
        self._registrations = registrations
        self._ask_for_something()
        asyncio.get_running_loop().call_soon(self._tell)

    def _ask_for_something(self) -> None:
        """A node goes out with a request only, so a pure server asks for something too: for the clusters, which also
        tell it its own services, or for the routes of its own service where clusters are asked for by name."""
        if self._naming.all_clusters:
            self._machine.subscribe(CLUSTERS, WILDCARD)
        else:
            for registration in self._registrations:
                self._machine.subscribe(ROUTES, self._naming.routes(HostPort(registration.host, registration.port)))
        self._stream.poke()

    def _tell(self) -> None:
        """However often the set changed in this turn, the stream is re-opened once."""
        if self._stream.node is not None and self._stream.node != self.node():
            self._stream.reopen()

    def _changed(self, verdict: Verdict) -> None:
        if self._stream.node is not None and self._announced.value != self._stream.node:
            self._announced.set(self._stream.node)
        if verdict.kind is not None:
            self._cache.update(verdict.kind, verdict.changed)
            if verdict.kind is CLUSTERS and self._locals is not None:
                self._locals.update(verdict.changed)

    def _sent(self) -> None:
        self._patience.note()
        self._reminder.note()

    def _resolved(self, cluster: str) -> None:
        self._cache.update(DNS, (cluster,))

    def _silent(self, kind: ResourceType, name: str) -> None:
        self._cache.update(kind, (name,))
