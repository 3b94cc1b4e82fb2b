"""Interfaces that servers publish in their node's labels, as dubbo-go does, read back from istiod's debug page.

The page ``/debug/adsz`` lists the nodes of all streams of one istiod, so those of all its addresses are put together;
what each publishes is in a label (`interface_map`). They are read while an interface that is asked for is not there,
more and more seldom, and slowly afterwards; the map is replaced as a whole, and outlives a page that fails.

istiod of 2026 gives the page to few (pilot/pkg/xds/debug.go), so this is for meshes that have dubbo-go in them, and
has to be asked for by name.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from random import random
from typing import Any

from meshkit.errors import ConfigError
from meshkit.net import Backoff, BackoffPolicy
from meshkit.observe.log import event_logger

from .credentials import read_token
from .debug_page import REACH, PageFailed, debug_source, fetch_pages
from .interface_map import LABEL, read_map
from .options import DiscoveryOptions
from .slicing import Slicer
from .strategy import HostPort, Location, Unknown

__all__ = ["PublishedInterfaces"]

_LOG = event_logger("meshkit.discovery")
_EAGER = BackoffPolicy(initial=0.1, multiplier=1.6, jitter=0.2, maximum=10.0)
_LONGEST = 200  # characters
_MOST_REPORTS = 1000  # what others publish must not fill our log
_SLOW = BackoffPolicy(initial=30.0, multiplier=1.0, jitter=0.2, maximum=30.0)


class PublishedInterfaces:
    """The strategy ``adsz``. Must be made on the event loop's thread and run there."""

    name = "adsz"

    def __init__(self, options: DiscoveryOptions) -> None:
        self._source = debug_source(options)
        self._options = options
        self._slicer = Slicer(options.pause_after)
        self._known: dict[str, HostPort] = {}
        self._asked: set[str] = set()  # since the last look at the page
        self._used: set[str] = set()  # between the two looks before
        self._wake = asyncio.Event()
        self._changed: Callable[[], object] = lambda: None
        self._eager = Backoff(_EAGER, random)
        self._slow = Backoff(_SLOW, random)
        self._failing = Backoff(options.backoff, random)
        self._problem = "the page was not read yet"
        self._reported: set[object] = set()

    def __repr__(self) -> str:
        return f"PublishedInterfaces({self._source.url}, {len(self._known)} interfaces: {self._problem or 'read'})"

    def locate(self, interface: str) -> Location:
        """The place that was published last."""
        if interface not in self._asked:
            self._asked.add(interface)
            if interface not in self._used:
                self._eager.reset()
                self._wake.set()
        found = self._known.get(interface)
        return found or Unknown(f"GET {self._source.url}: {self._problem or 'nobody publishes the interface'}")

    def listen(self, changed: Callable[[], object]) -> None:
        """Call ``changed`` after every look at the page."""
        self._changed = changed

    async def run(self) -> None:
        """Look at the page whenever it is time to, for ever."""
        while True:
            if not self._asked:
                await self._wake.wait()
            await self._wait(await self._look())

    async def _look(self) -> Backoff:
        """One look; gives what says when the next is due."""
        try:
            pages = await fetch_pages(self._source, self._headers())
            await self._slicer.run(self._take(pages))
        except (PageFailed, ConfigError) as error:
            self._fail(str(error))
        self._used, self._asked = self._asked, set()
        self._wake.clear()
        self._changed()  # whoever still uses an interface asks for it again
        self._used = set()
        if self._problem:
            return self._failing
        return self._slow if self._asked <= self._known.keys() else self._eager

    async def _wait(self, backoff: Backoff) -> None:
        """Until the next look; a new interface is worth one at once, unless the page fails anyway."""
        delay = backoff.next()
        if backoff is self._failing:
            await self._options.clock.sleep(delay)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._wake.wait()

    def _headers(self) -> dict[str, str]:
        cluster = self._options.identity.cluster_id
        headers = {"Accept": "application/json", "Connection": "close", "ClusterID": cluster}
        if self._options.token_file is not None:
            headers["Authorization"] = f"Bearer {read_token(self._options.token_file)}"
        return headers

    # -- what is known

    def _fail(self, problem: str) -> None:
        """Said once for as long as it stays the same; the map stays as it is."""
        if problem != self._problem:
            _LOG.warning("published interfaces are not read", url=self._source.url, error=problem)
        self._problem = problem

    def _take(self, pages: Iterable[str]) -> Generator[None, None, None]:
        """Make the map of the pages; pauses often, for they may be long."""
        found = yield from _published(pages)
        self._problem = ""
        self._failing.reset()
        for fault, client in found.faults.items():
            self._report(fault, "published interfaces that make no sense", fault=fault, client=client)
        known: dict[str, HostPort] = {}
        for interface, places in found.places.items():
            yield
            known[interface] = chosen = _choose(places, self._known.get(interface))
            if len(places) > 1 and interface in self._asked:
                hosts = tuple(sorted(map(str, places)))
                said = "an interface is published at several hosts; one is taken"
                self._report((interface, hosts), said, interface=interface, hosts=hosts, taken=str(chosen))
        self._known = known

    def _report(self, key: object, event: str, **facts: object) -> None:
        if key not in self._reported and len(self._reported) < _MOST_REPORTS:
            self._reported.add(key)
            _LOG.warning(event, url=self._source.url, **facts)


# -- the page ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """What the pages say: for each interface, how many nodes publish it at each place. ``faults``: what makes no sense,
    with a client that says it."""

    places: dict[str, Counter[HostPort]]
    faults: dict[str, str]


def _published(pages: Iterable[str]) -> Generator[None, None, _Found]:
    """What all nodes publish; pauses after each, for there may be many. An entry for any version and group counts where
    there is none without. Raises PageFailed for what is not istiod's page."""
    exact: dict[str, Counter[HostPort]] = {}  # by interface, or group/interface:version
    any_pair: dict[str, Counter[HostPort]] = {}
    faults: dict[str, str] = {}
    for client in chain.from_iterable(map(_clients, pages)):
        wrong: list[str] = []
        for asked, place in read_map(_label(client), wrong.append):
            exact.setdefault(str(asked), Counter())[place] += 1
            any_pair.setdefault(asked.interface, Counter())[place] += 1
        faults.update({fault[:_LONGEST]: str(client.get("connectionId")) for fault in wrong})
        yield
    return _Found({**any_pair, **exact}, faults)


def _clients(page: str) -> Generator[dict[str, Any], None, None]:
    """The entries of ``clients``, one after the other."""
    start = page.find('"totalClients"')
    if not page[:64].lstrip().startswith("{") or start < 0:
        raise PageFailed(f"it is not istiod's page; {REACH}")
    at = page.find("[", max(page.find('"clients"', start), 0)) + 1 if '"clients"' in page else 0
    decoder = json.JSONDecoder()
    while at:
        at = _skip(page, at)
        if page.startswith("]", at):
            return
        try:
            client, at = decoder.raw_decode(page, at)
        except (ValueError, RecursionError) as error:
            raise PageFailed(f"the page is cut or mangled: {error}; {REACH}") from None
        if isinstance(client, dict):
            yield client


def _skip(page: str, at: int) -> int:
    while page[at : at + 1] in {" ", "\n", "\r", "\t", ","}:
        at += 1
    return at


def _label(client: dict[str, Any]) -> str:
    try:
        text = client["metadata"]["LABELS"][LABEL]
    except (KeyError, TypeError):
        return ""
    return text if isinstance(text, str) else ""


def _choose(places: Counter[HostPort], before: HostPort | None) -> HostPort:
    """The place of before while anybody publishes it, else the one that most do: an interface must not flap."""
    if before is not None and before in places:
        return before
    return min(places, key=lambda place: (-places[place], place.host, place.port))
