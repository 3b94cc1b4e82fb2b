"""A cluster's endpoints come, change and go; what stays keeps its pool and its counters."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from meshkit.discovery import ClusterSnapshot
from meshkit.mesh.clusters import ClusterRuntime, Pools
from meshkit.net import Pool
from meshkit.tasks import Scope
from meshkit.xds.resources import Cluster, ClusterLoadAssignment, ClusterType, Endpoint, HealthStatus, LocalityEndpoints

CLUSTER = Cluster("c", ClusterType.EDS)
ENDPOINTS = st.lists(
    st.builds(Endpoint, st.sampled_from([f"127.0.0.1:{port}" for port in range(1, 6)]), st.integers(1, 3)), max_size=6
)


def snapshot(endpoints: list[Endpoint]) -> ClusterSnapshot:
    return ClusterSnapshot(CLUSTER, ClusterLoadAssignment("c", (LocalityEndpoints(tuple(endpoints)),)))


def _two_weights() -> list[Endpoint]:
    return [Endpoint("127.0.0.1:1", 2), Endpoint("127.0.0.1:1", 1)]


@given(st.lists(ENDPOINTS, min_size=1, max_size=5))
@example([_two_weights(), _two_weights(), _two_weights()[:1]])  # alike, and not the same objects
def test_the_targets_are_the_endpoints_of_the_last_config(steps: list[list[Endpoint]]) -> None:
    runtime = ClusterRuntime(Pools(Pool, Scope("test"), 0.0))
    before: dict[str, object] = {}
    for endpoints in steps:
        runtime.apply(snapshot(endpoints))
        addresses = {endpoint.address for endpoint in endpoints}
        assert runtime.empty is not bool(addresses)
        picked = {target.endpoint.address: target for target in (runtime.pick() for _ in range(64)) if target}
        assert picked.keys() <= addresses
        for address, target in picked.items():
            assert before.get(address, target) is target  # who stays is the same target
            assert target.endpoint in endpoints
        before = {address: target for address, target in (before | picked).items() if address in addresses}


@given(st.lists(ENDPOINTS, min_size=1, max_size=5))
@example([[*_two_weights()[::-1], Endpoint("127.0.0.1:2", 2)], [Endpoint("127.0.0.1:1"), Endpoint("127.0.0.1:2", 2)]])
def test_calls_are_shared_by_the_weights_of_the_last_config(steps: list[list[Endpoint]]) -> None:
    runtime = ClusterRuntime(Pools(Pool, Scope("test"), 0.0))
    for endpoints in steps:
        runtime.apply(snapshot(endpoints))
        targets = {target.endpoint.address: target for target in (runtime.pick() for _ in range(64)) if target}
        weights = Counter[str]()
        for endpoint in endpoints:
            weights[endpoint.address] += targets[endpoint.address].weight
        picks = [runtime.pick() for _ in range(2 * weights.total())]  # two rounds: every place by its weight in each
        assert Counter(target.endpoint.address for target in picks if target) == weights + weights


def test_an_endpoint_that_may_not_take_traffic_is_none() -> None:
    runtime = ClusterRuntime(Pools(Pool, Scope("test"), 0.0))
    runtime.apply(snapshot([Endpoint("127.0.0.1:1", health=HealthStatus.UNHEALTHY)]))
    assert runtime.empty
    assert runtime.pick() is None


async def test_a_pool_is_opened_for_its_first_call_and_closed_with_its_endpoint() -> None:
    opened: list[str] = []

    def open_pool(address: str) -> Pool:
        opened.append(address)
        return Pool(address)

    async with Scope("test") as scope:
        runtime = ClusterRuntime(Pools(open_pool, scope, 0.0))
        runtime.apply(snapshot([Endpoint("127.0.0.1:1"), Endpoint("127.0.0.1:2")]))
        target = runtime.pick()
        assert target is not None
        assert opened == []
        pool = runtime.open(target)
        assert opened == [target.endpoint.address]
        runtime.apply(snapshot([]))
        assert runtime.statistics().endpoints == 0
        assert len(scope) == 1  # the pool is being closed
        assert pool.address == target.endpoint.address
