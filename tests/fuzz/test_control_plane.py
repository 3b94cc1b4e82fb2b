"""What a real istiod sent, damaged on its way, through all that discovery makes of it, in both variants of ADS.

Whatever comes: no exception; each answer to what was asked is acknowledged once, with a reason if something in it is
bad; what was refused changes nothing that is in force; and once good bytes come again, all is as it was.

The same ten rounds each time, or for ``MESHKIT_FUZZ_SECONDS``, shared by its four tests.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterable, Sequence
from functools import cache
from random import Random
from time import monotonic
from typing import Any, TypeVar

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from meshkit.clock import SYSTEM
from meshkit.codec import DecodeError
from meshkit.discovery import Snapshot, SnapshotState
from meshkit.discovery.assembly import Naming
from meshkit.discovery.cache import InterfaceCache
from meshkit.discovery.dns import HostNames
from meshkit.discovery.strategy import StaticMap
from meshkit.xds import ASSIGNMENTS, CLUSTERS, ROUTES, Node, Response, Verdict, decode_updates
from meshkit.xds.messages import DELTA, SOTW, Variant
from meshkit.xds.types import WILDCARD
from tests.support.events import captured_events
from tests.support.fuzzing import SEED
from tests.support.istio_captures import FOLDER
from tests.support.wire_cases import damage

SECONDS = float(os.environ.get("MESHKIT_FUZZ_SECONDS", "0"))
KINDS = {"cds": CLUSTERS, "eds": ASSIGNMENTS, "rds": ROUTES}
PLACES = {"demo.Reviews": "reviews.demo.svc.cluster.local:9080", "demo.Order": "com.example.order:20880"}
T = TypeVar("T")


@cache
def captured(generator: str) -> dict[str, list[tuple[str, bytes]]]:
    """The resources that istiod's generator sent, by type URL: name and bytes."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for word, kind in KINDS.items():
        data = (FOLDER / f"{generator or 'sidecar'}_{word}.bin").read_bytes()
        resources = discovery_pb2.DiscoveryResponse.FromString(data).resources
        found[kind.url] = [(_name(resource.value), resource.value) for resource in resources]
    return found


def _name(value: bytes) -> str:
    """Field 1 of all three."""
    return value[2 : 2 + value[1]].decode()


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
            delta.resources.add(name=name, version="1").resource.MergeFrom(_any(url, value))
        return delta.SerializeToString()

    def heal(self) -> None:
        """Send all that there is, as it is, until nothing more is asked for."""
        for _ in range(4):
            for url, resources in self.resources.items():
                self.receive(self.push(url, resources))

    def receive(self, data: bytes) -> None:
        before, snapshots = self._held(), self.snapshots()
        try:
            response = self.variant.decode(data)
        except DecodeError:
            return  # the stream says so and goes on
        updates = _drained(decode_updates(response, self.machine))
        verdict = self.machine.receive(response, updates)
        if verdict.kind is None:
            assert self.sent() == []
            return
        self.cache.update(verdict.kind, verdict.changed)
        self._is_acknowledged(response, verdict)
        wanted = self.machine.state(verdict.kind).names
        bad = {update.name for update in updates if update.reason and (update.name in wanted or WILDCARD in wanted)}
        for name in bad - {update.name for update in updates if not update.reason} - set(response.removed):
            assert self._held().get((verdict.kind, name)) is before.get((verdict.kind, name)), "lost what was good"
        if not verdict.changed:
            assert self.snapshots() == snapshots
        for snapshot in self.snapshots():
            if snapshot.routes is not None:
                snapshot.routes.select("/demo.Reviews/List", {"user": "admin"})

    def _held(self) -> dict[Any, Any]:
        return {(kind, entry.name): entry.resource for kind in KINDS.values() for entry in self.machine.entries(kind)}

    def _is_acknowledged(self, response: Response, verdict: Verdict) -> None:
        requests = [request for request in self.sent() if request.type_url == response.type_url]
        refusals = [request for request in requests if request.error]
        asked = bool(self.machine.state(verdict.kind).asked) if verdict.kind is not None else False
        expected = bool(verdict.reasons) and (asked or self.variant is DELTA)
        assert [request.nonce for request in refusals] == [response.nonce] * expected
        if not verdict.reasons and self.variant is DELTA:
            assert [request.nonce for request in requests].count(response.nonce) == 1
        elif not verdict.reasons:
            assert response.nonce in {request.nonce for request in requests}


async def _unknown(host: str) -> Sequence[str]:
    """Damage makes host names that nobody is to be asked for."""
    raise OSError("unknown")


def _any(url: str, value: bytes) -> Any:
    return AnyMessage(type_url=url, value=value)


def _drained(work: Generator[object, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


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
    """Bits changed, which mostly leaves the lengths of messages alone: as valid as can be."""
    out = bytearray(value or b"\0")
    for _ in range(random.randrange(1, 4)):
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


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
