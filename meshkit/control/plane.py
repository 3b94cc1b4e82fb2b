"""The embedded control plane: a folder of Istio YAML and live registrations in, xDS out. For one machine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]  # mentions trio, which is not there

from meshkit.errors import ConfigError
from meshkit.net import ServerOptions
from meshkit.observe.log import event_logger
from meshkit.rpc import Server
from meshkit.tasks import Scope

from .ads import AdsService
from .catalog import Catalog
from .debug import DebugPages
from .dialect import at_home
from .hub import Hub
from .library import Library, read_folder
from .problems import Problem, Severity
from .registry import Registry
from .tally import Tally
from .world import World, join

__all__ = ["ControlPlane", "run"]

_LOG = event_logger("meshkit.control")
_COALESCE = 0.005  # seconds in which several registrations become one push
_LOOK = 500  # milliseconds between looks at a folder in which nothing is said to have changed
_RETRY = 0.5  # seconds between looks at a folder that cannot be watched
_SEVERITIES = {Severity.UNSUPPORTED: "not supported", Severity.DOUBT: "in doubt"}
_OPTIONS = ServerOptions(
    keepalive_time=30.0,  # as istiod: a client that vanished without a word is noticed
    permit_keepalive_time=10.0,  # istiod's clients ping every 30 s, Envoy as configured
    permit_keepalive_without_calls=True,
)


class ControlPlane:
    """Serves ADS for the YAML files below ``directory``; use as ``async with ControlPlane(...) as plane``.

    ``port`` 0 picks a free port, told by `port` afterwards; ``debug_port`` is that of the HTTP pages (None: none).
    ``hold`` is how many seconds the endpoints of a server outlive its stream. For ``settle`` seconds after the start
    clients that come back from an earlier control plane keep what nobody has registered yet; it should be longer than
    servers take to reconnect (our own try at least every 36 s).
    ``quiet`` is how many seconds without a change make an edit complete. Raises `ConfigError` with one line for a
    folder that cannot be read and a port that is taken.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 15010,
        debug_port: int | None = None,
        hold: float = 2.0,
        settle: float = 40.0,
        quiet: float = 0.025,
    ) -> None:
        self.directory = Path(directory)
        self.host = host
        self.port = port
        self.debug_port = debug_port
        self.library = Library()
        self.tally = Tally()
        self._settle = settle
        self._quiet = quiet
        self._registry = Registry(hold)
        self.hub = Hub(self._registry, Catalog(World()), self.tally, self._changed, lambda: self._loop.time())
        self.hub.host = host
        self._scope = Scope("control")
        self._server = Server([AdsService(self.hub, self._scope)], options=_OPTIONS)
        self._pages = DebugPages(self.hub, self.library, self.tally)
        self._stopped = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._told: set[Problem] = set()

    def __repr__(self) -> str:
        return f"ControlPlane({str(self.directory)!r}, {self.host}:{self.port}, {self.hub!r})"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the configuration as it is now."""
        return self.library.problems + self.hub.catalog.world.problems

    async def start(self) -> None:
        """Read the folder, listen, and watch from now on."""
        self._loop = asyncio.get_running_loop()
        try:
            self._reload()
        except OSError as error:
            raise ConfigError(
                f"cannot read the folder {self.directory}: {error.strerror}; make it, it may be empty"
            ) from None
        self._rebuild()
        if self._settle > 0:
            self.hub.settled = False
            self._after("settle", self._settle, lambda: self.hub.settle(True))
        self.port = await _listening(self._server.listen(self.host, self.port), self.host, self.port, "--port")
        if self.debug_port is not None:
            pages = self._pages.listen(self.host, self.debug_port)
            self.debug_port = await _listening(pages, self.host, self.debug_port, "--debug-port")
        self.hub.debug_port = self.debug_port
        self._scope.start(self._watch(), name="watch")
        _LOG.info(
            "serving", directory=str(self.directory), address=f"{self.host}:{self.port}", debug_port=self.debug_port
        )

    async def wait(self) -> None:
        """Return once the control plane is closed, or `stop` was called."""
        await self._stopped.wait()

    def stop(self) -> None:
        """Let `wait` return."""
        self._stopped.set()

    async def close(self) -> None:
        """End all streams and stop listening."""
        self.stop()
        await self._server.close()
        await self._scope.close()
        await self._pages.close()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- the folder

    async def _watch(self) -> None:
        """Take in every change of the folder, also after it was away for a while."""
        step, longest = round(self._quiet * 1000), round(self._quiet * 8000)
        while True:
            try:
                changes = awatch(
                    self.directory,
                    watch_filter=None,
                    step=step,
                    debounce=longest,
                    rust_timeout=_LOOK,
                    yield_on_timeout=True,  # what was changed before the watch was set up is found then
                )
                async for _ in changes:
                    self._reload()
            except OSError as error:
                _LOG.error("cannot read the folder", directory=str(self.directory), reason=str(error))
            await asyncio.sleep(_RETRY)

    def _reload(self) -> None:
        if self.library.update(read_folder(self.directory)):
            self.tally.reloads += 1
            _LOG.info("configuration read", resources=len(self.library.resources), problems=len(self.library.problems))
            self._rebuild()

    # -- from configuration and registrations to what is served

    def _changed(self) -> None:
        """The registrations changed; more changes may follow at once."""
        if "rebuild" not in self._timers:
            self._after("rebuild", _COALESCE, self._rebuild)

    def _rebuild(self) -> None:
        live = self._registry
        world = join(self.library.resources.values(), live.services(), live.providers(), live.processes())
        self.hub.publish(Catalog(at_home(world), self.hub.catalog))
        self._tell(self.problems)
        deadline = self._registry.next_deadline
        if deadline < inf:
            self._after("expiry", deadline - self._loop.time(), self._expire)

    def _expire(self) -> None:
        for registration in self._registry.expire(self._loop.time()):
            hosts = sorted({host for host, _ in registration.endpoints})
            _LOG.info(
                "registration over", node=registration.node, hosts=hosts, interfaces=sorted(registration.interfaces)
            )
        self._rebuild()

    def _tell(self, problems: Iterable[Problem]) -> None:
        """Log what was not wrong before."""
        now = dict.fromkeys(problems)
        for problem in now:
            if problem not in self._told:
                if problem.severity is Severity.ERROR:
                    _LOG.error("configuration not taken", problem=str(problem))
                else:
                    _LOG.warning(f"configuration {_SEVERITIES[problem.severity]}", problem=str(problem))
        self._told = set(now)

    def _after(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        """Do ``action`` once, that many seconds from now; a timer of the same name is replaced."""
        if (old := self._timers.pop(name, None)) is not None:
            old.cancel()

        def act() -> None:
            del self._timers[name]
            action()

        self._timers[name] = self._loop.call_later(max(0.0, seconds), act)


async def _listening(listen: Awaitable[int], host: str, port: int, option: str) -> int:
    try:
        return await listen
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}; choose another port with {option}") from None


async def run(
    directory: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 15010,
    debug_port: int | None = 8080,
    hold: float = 2.0,
    settle: float = 40.0,
    ready: Callable[[ControlPlane], None] = lambda plane: None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called once it does. The others are those of `ControlPlane`."""
    plane = ControlPlane(directory, host=host, port=port, debug_port=debug_port, hold=hold, settle=settle)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, plane.stop)
    try:
        async with plane:
            ready(plane)
            await plane.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
