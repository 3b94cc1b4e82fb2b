"""What a real istiod sent, damaged on its way, through all that discovery makes of it, in both variants of ADS.

Whatever comes: no exception; each answer to what was asked is acknowledged once, with a reason if something in it is
bad; what was refused changes nothing that is in force; and once good bytes come again, all is as it was.

The same ten rounds each time, or for ``MESHKIT_FUZZ_SECONDS``, shared by its four tests.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from functools import cache
from random import Random
from time import monotonic
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from meshkit.clock import SYSTEM
from meshkit.codec import DecodeError, finish
from meshkit.discovery import Snapshot, SnapshotState
from meshkit.discovery.assembly import Naming
from meshkit.discovery.cache import InterfaceCache
from meshkit.discovery.dns import HostNames
from meshkit.discovery.strategy import StaticMap
from meshkit.xds import ASSIGNMENTS, CLUSTERS, ROUTES, Node, ResourceType, Response, decode_updates
from meshkit.xds.batch import peek_name
from meshkit.xds.messages import DELTA, SOTW, Variant
from meshkit.xds.types import WILDCARD
from tests.support.events import captured_events
from tests.support.fuzzing import SEED
from tests.support.istio_captures import response
from tests.support.wire_cases import damage, flip

SECONDS = float(os.environ.get("MESHKIT_FUZZ_SECONDS", "0"))
KINDS = {"cds": CLUSTERS, "eds": ASSIGNMENTS, "rds": ROUTES}
PLACES = {"demo.Reviews": "reviews.demo.svc.cluster.local:9080", "demo.Order": "com.example.order:20880"}


@cache
def captured(generator: str) -> dict[str, list[tuple[str, bytes]]]:
    """The resources that istiod's generator sent, by type URL: name and bytes."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for word, kind in KINDS.items():
        resources = response(f"{generator or 'sidecar'}_{word}").resources
        found[kind.url] = [(peek_name(resource.value), resource.value) for resource in resources]
    return found


class World:
    """A machine and the interfaces that live on it; what the control plane says is handed in as bytes."""

    def __init__(self, variant: Variant, generator: str) -> None:
        self.variant = variant
        self.resources = captured(generator)
        self.machine = variant.machine()
        self.names = HostNames(_unknown, SYSTEM, lambda cluster: None)
        self.cache = InterfaceCache(
            self.machine, self.names, [StaticMap(PLACES)], Naming(generator), "here:1", lambda: None
        )
        self.watches = [self.cache.watch(interface) for interface in PLACES]
        self.pushes = 0
        self.machine.opened()
        self.sent()

    def snapshots(self) -> list[Snapshot]:
        return [watch.cell.value for watch in self.watches]

    def sent(self) -> list[Any]:
        """What goes to the control plane, which can be encoded."""
        requests = self.machine.requests()
        for request in requests:
            assert self.variant.encode(request, Node(id="me"))
        return requests

    def push(self, url: str, resources: Iterable[tuple[str, bytes]]) -> bytes:
        """A response as istiod would write it."""
        self.pushes += 1
        if self.variant is SOTW:
            whole = discovery_pb2.DiscoveryResponse(type_url=url, nonce=f"n{self.pushes}", version_info="1")
            for _, value in resources:
                whole.resources.add(type_url=url, value=value)
            return whole.SerializeToString()
        delta = discovery_pb2.DeltaDiscoveryResponse(type_url=url, nonce=f"n{self.pushes}", system_version_info="1")
        for name, value in resources:
            delta.resources.add(name=name, version="1", resource={"type_url": url, "value": value})
        return delta.SerializeToString()

    def heal(self) -> None:
        """Send all that there is, as it is, until nothing more is asked for."""
        for _ in range(4):
            for url, resources in self.resources.items():
                self.receive(self.push(url, resources))

    def receive(self, data: bytes) -> None:
        before, snapshots = self._held(), self.snapshots()
        try:
            got = self.variant.decode(data)
        except DecodeError:
            return  # the stream says so and goes on
        updates = finish(decode_updates(got, self.machine))
        verdict = self.machine.receive(got, updates)
        if verdict.kind is None:
            assert self.sent() == []
            return
        self.cache.update(verdict.kind, verdict.changed)
        self._is_acknowledged(got, verdict.kind, bool(verdict.reasons))
        wanted, after = self.machine.state(verdict.kind).names, self._held()
        bad = {update.name for update in updates if update.reason and (update.name in wanted or WILDCARD in wanted)}
        for name in bad - {update.name for update in updates if not update.reason} - set(got.removed):
            assert after.get((verdict.kind, name)) is before.get((verdict.kind, name)), "lost what was good"
        if not verdict.changed:
            assert self.snapshots() == snapshots
        for snapshot in self.snapshots():
            if snapshot.routes is not None:
                snapshot.routes.select("/demo.Reviews/List", {"user": "admin"})

    def _held(self) -> dict[Any, Any]:
        return {(kind, entry.name): entry.resource for kind in KINDS.values() for entry in self.machine.entries(kind)}

    def _is_acknowledged(self, got: Response, kind: ResourceType, bad: bool) -> None:
        requests = [request for request in self.sent() if request.type_url == got.type_url]
        refused = bad and (bool(self.machine.state(kind).asked) or self.variant is DELTA)
        assert [request.nonce for request in requests if request.error] == [got.nonce] * refused
        nonces = [request.nonce for request in requests]
        if not bad:
            assert nonces.count(got.nonce) == 1 if self.variant is DELTA else got.nonce in nonces


async def _unknown(host: str) -> Sequence[str]:
    """Damage makes host names that nobody is to be asked for."""
    raise OSError("unknown")


def _damaged(random: Random, world: World) -> bytes:
    """A push with something done to it: to one resource or several, to which ones come, or to the whole."""
    url = random.choice(list(world.resources))
    resources = list(world.resources[url])
    others = [value for each in world.resources.values() for _, value in each]
    for _ in range(random.choice((0, 1, 1, 1, 3))):
        at = random.randrange(len(resources))
        name, value = resources[at]
        resources[at] = name, random.choice(_CHANGES)(random, value, random.choice(others))
    if random.random() < 0.2:
        resources = random.sample(resources, random.randrange(len(resources) + 1))
    if random.random() < 0.1:
        resources.append(random.choice(resources or [("", b"")]))
    data = world.push(url, resources)
    return damage(random, data, random.choice(others)) if random.random() < 0.15 else data


def _flipped(random: Random, value: bytes, other: bytes) -> bytes:
    for _ in range(random.randrange(1, 4)):
        value = flip(random, value, other)
    return value


def _exchanged(random: Random, value: bytes, other: bytes) -> bytes:
    return other


_CHANGES = (damage, _flipped, _flipped, _flipped, _exchanged)


@pytest.mark.parametrize("variant", [DELTA, SOTW], ids=["delta", "sotw"])
@pytest.mark.parametrize("generator", ["", "grpc"], ids=["default", "light"])
async def test_damaged_pushes_change_nothing_that_is_good(variant: Variant, generator: str) -> None:
    random, until, rounds = Random(f"{SEED} {variant.name} {generator}"), monotonic() + SECONDS / 4, 0
    with captured_events() as events:
        world = World(variant, generator)
        world.heal()
        good = world.snapshots()
        assert good[0].state is SnapshotState.READY
        while monotonic() < until or rounds < 10:
            rounds += 1
            for _ in range(20):
                world.receive(_damaged(random, world))
                await asyncio.sleep(0)
            world.heal()
            assert [_facts(now) for now in world.snapshots()] == [_facts(then) for then in good], (SEED, rounds)
        await world.names.close()
    assert [event for event in events if event["log_level"] in ("error", "critical")] == []


def _facts(snapshot: Snapshot) -> Any:
    host = snapshot.routes.virtual_host if snapshot.routes is not None else None
    return snapshot.state, snapshot.authority, host, dict(snapshot.clusters), dict(snapshot.notes)
