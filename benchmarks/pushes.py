"""Pushes of a control plane, from the bytes of a response to entries of the ADS machine and to whole snapshots.

The endpoints look as Istio sends them, metadata and all, each with a workload of its own.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Callable

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message

from meshkit.discovery.slicing import Slicer
from meshkit.xds import ASSIGNMENTS, CLUSTERS, WILDCARD, AdsMachine, DeltaMachine, ResourceType, decode_updates
from meshkit.xds.messages import decode_delta

from . import mesh_push
from .report import Row, at_most
from .turns import over, times

__all__ = ["assignment", "rows"]

_SERVICE = "outbound|80||greeter.default.svc.cluster.local"


def rows(quick: bool) -> list[Row]:
    """The measurements as benchmark rows."""
    rounds = 2 if quick else 5
    return [*_endpoint_rows(rounds), *_cluster_rows(rounds), *mesh_push.rows(quick)]


def _endpoint_rows(rounds: int) -> list[Row]:
    big = [_response(assignment(_SERVICE, 10_000)), _response(assignment(_SERVICE, 10_000, moved=5_000))]
    first, changed = _rounds(lambda: _pushes(ASSIGNMENTS, _SERVICE, big), rounds)
    thousand = assignment(_SERVICE, 1_000)
    response, data = [_response(thousand)], thousand.SerializeToString()
    ours, upb = _rounds(lambda: [*_pushes(ASSIGNMENTS, _SERVICE, response), _read_by_upb(data)], 3 * rounds)
    stalls = [asyncio.run(_stall(big[0])) for _ in range(rounds)]
    return [
        at_most("push of 10,000 endpoints, CPU", times(first, 1e3), "ms", 200),
        at_most("push of 10,000 endpoints, longest loop stall", times(stalls, 1e3), "ms", 10),
        at_most("push with one of 10,000 endpoints changed, CPU", times(changed, 1e3), "ms", 2),
        at_most("push of 1,000 endpoints, ours / upb parse and read", over(ours, upb), "x", 1.5),
    ]


def _cluster_rows(rounds: int) -> list[Row]:
    push = [_response(*map(_cluster, range(1_000)))]
    (first,) = _rounds(lambda: _pushes(CLUSTERS, WILDCARD, push), rounds)
    return [
        at_most("push of 1,000 clusters, CPU", times(first, 1e3), "ms", 100),
        at_most("1,000 clusters, memory kept", _kept(CLUSTERS, WILDCARD, push) / 1e6, "MB", 2),
    ]


# -- resources


def assignment(name: str, count: int, moved: int | None = None) -> endpoint_pb2.ClusterLoadAssignment:
    """So many endpoints as Istio sends them; the one at ``moved`` has another port."""
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    locality.load_balancing_weight.value = count
    for number in range(count):
        item = locality.lb_endpoints.add()
        item.load_balancing_weight.value = 1
        socket = item.endpoint.address.socket_address
        socket.address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        socket.port_value = 8081 if number == moved else 8080
        metadata = item.metadata.filter_metadata
        metadata["istio"].fields["workload"].string_value = f"greeter-{number};default;greeter;v1;Kubernetes"
        metadata["envoy.transport_socket_match"].fields["tlsMode"].string_value = "istio"
    return message


def _cluster(number: int) -> cluster_pb2.Cluster:
    host = f"service-{number}.default.svc.cluster.local"
    message = cluster_pb2.Cluster(name=f"outbound|80||{host}", type=cluster_pb2.Cluster.EDS)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.service_name = message.name
    message.connect_timeout.FromSeconds(10)
    message.lb_policy = cluster_pb2.Cluster.LEAST_REQUEST
    message.circuit_breakers.thresholds.add().max_requests.value = 2**32 - 1
    services = message.metadata.filter_metadata["istio"].fields["services"].list_value
    fields = services.values.add().struct_value.fields
    fields["host"].string_value, fields["namespace"].string_value = host, "default"
    for name in ("tlsMode-istio", "tlsMode-disabled"):
        match = message.transport_socket_matches.add(name=name)
        match.transport_socket.name = "envoy.transport_sockets.tls"
        match.transport_socket.typed_config.value = b"x" * 300
    return message


def _response(*messages: Message) -> bytes:
    url = f"type.googleapis.com/{messages[0].DESCRIPTOR.full_name}"
    response = discovery_pb2.DeltaDiscoveryResponse(type_url=url, nonce="1", system_version_info="1")
    for message in messages:
        name = str(getattr(message, "cluster_name", "") or getattr(message, "name", ""))
        response.resources.add(name=name).resource.Pack(message)
    return response.SerializeToString()


# -- measuring


def _machine(kind: ResourceType, name: str) -> AdsMachine:
    machine = DeltaMachine()
    machine.subscribe(kind, name)
    machine.opened()
    machine.requests()
    return machine


def _take(machine: AdsMachine, data: bytes) -> None:
    response = decode_delta(data)
    work = decode_updates(response, machine)
    while True:
        try:
            next(work)
        except StopIteration as end:
            verdict = machine.receive(response, end.value)
            assert not verdict.reasons
            return


def _pushes(kind: ResourceType, name: str, pushes: list[bytes]) -> list[float]:
    """CPU seconds of each push, one after the other into one machine."""
    machine, times = _machine(kind, name), list[float]()
    for data in pushes:
        start = time.process_time()
        _take(machine, data)
        times.append(time.process_time() - start)
    return times


def _rounds(measure: Callable[[], list[float]], rounds: int) -> list[list[float]]:
    """Each of the figures that ``measure`` gives, by round; a round before them warms up and does not count."""
    measure()
    return [list(column) for column in zip(*(measure() for _ in range(rounds)), strict=True)]


def _kept(kind: ResourceType, name: str, pushes: list[bytes]) -> int:
    _pushes(kind, name, pushes)
    gc.collect()
    tracemalloc.start()
    machine = _machine(kind, name)
    for data in pushes:
        _take(machine, data)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept


def _read_by_upb(data: bytes) -> float:
    start = time.process_time()
    message = endpoint_pb2.ClusterLoadAssignment.FromString(data)
    read = [
        (
            f"{item.endpoint.address.socket_address.address}:{item.endpoint.address.socket_address.port_value}",
            item.load_balancing_weight.value,
            item.health_status,
            item.metadata.SerializeToString(),
        )
        for locality in message.endpoints
        for item in locality.lb_endpoints
    ]
    assert read
    return time.process_time() - start


async def _stall(data: bytes) -> float:
    """The longest turn of a loop that does nothing else while a push is taken in, in this thread's time."""
    longest, done = 0.0, False

    async def tick() -> None:
        nonlocal longest
        last = time.thread_time()
        while not done:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    machine = _machine(ASSIGNMENTS, _SERVICE)
    response = decode_delta(data)
    machine.receive(response, await Slicer(0.002).run(decode_updates(response, machine)))
    done = True
    await ticker
    return longest
