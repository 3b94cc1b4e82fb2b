"""What is said of clusters that no call gets through to, and what to do next."""

from __future__ import annotations

from meshkit.discovery.explanation import shortcomings
from meshkit.discovery.snapshot import ClusterSnapshot
from meshkit.xds.resources import (
    Aggregate,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    HealthStatus,
    LocalityEndpoints,
)

SUBSET, WHOLE = "outbound|80|v3|greeter.demo.svc.cluster.local", "outbound|80||nosuch.demo"
GONE = "the control plane does not have it"


def held(name: str, *health: HealthStatus, **fields: object) -> ClusterSnapshot:
    endpoints = tuple(Endpoint(f"127.0.0.{number}:1", health=state) for number, state in enumerate(health))
    cluster = Cluster(name, ClusterType.EDS, **fields)  # type: ignore[arg-type]  # fields as each test needs them
    return ClusterSnapshot(cluster, ClusterLoadAssignment(name, (LocalityEndpoints(endpoints),)))


def test_a_missing_subset_and_a_missing_host_are_told_apart() -> None:
    (subset,) = shortcomings({}, {SUBSET: f"cluster {SUBSET}: {GONE}"})
    assert subset == (
        f"cluster {SUBSET}: {GONE}; define subset v3 in a DestinationRule of host greeter.demo.svc.cluster.local that "
        "this namespace sees, or correct the subset in the VirtualService's route"
    )
    (host,) = shortcomings({}, {WHOLE: f"cluster {WHOLE}: {GONE}"})
    assert host.endswith(
        "there is no Service or ServiceEntry nosuch.demo with port 80 that this namespace sees: correct the "
        "destination in the VirtualService's route"
    )
    (other,) = shortcomings({}, {"x": f"cluster x: {GONE}"})
    assert other.endswith("; correct the route that names it")


def test_what_was_refused_has_its_reason_and_no_advice() -> None:
    notes = {SUBSET: f"cluster {SUBSET}: refused, no good"}
    assert shortcomings({}, notes) == list(notes.values())


def test_endpoints_that_take_no_calls_are_counted() -> None:
    bad, drained = HealthStatus.UNHEALTHY, HealthStatus.DRAINING
    (some,) = shortcomings({SUBSET: held(SUBSET, bad, bad, drained)}, {})
    assert some.startswith(f"cluster {SUBSET} has no endpoint but 2 UNHEALTHY, 1 DRAINING; see whether workloads of ")
    assert some.endswith("greeter.demo.svc.cluster.local are ready and have the labels of subset v3")
    assert shortcomings({"x": held("x")}, {}) == ["cluster x has no endpoints; see whether its servers run"]
    assert shortcomings({WHOLE: held(WHOLE, bad, HealthStatus.UNKNOWN)}, {}) == []
    assert shortcomings({"all": held("all", aggregate=Aggregate(("x",)))}, {}) == []


def test_calls_that_only_a_proxy_can_pass_on_say_what_to_write_instead() -> None:
    passed_on = ClusterSnapshot(Cluster(WHOLE, ClusterType.ORIGINAL_DST), ClusterLoadAssignment(WHOLE))
    (said,) = shortcomings({WHOLE: passed_on}, {})
    assert "(ORIGINAL_DST), which nothing here knows: give its ServiceEntry resolution STATIC or DNS" in said


def test_only_clusters_of_interest_are_looked_at() -> None:
    clusters = {name: held(name) for name in ("a", "b")}
    assert len(shortcomings(clusters, {"c": "c is resolved by nobody"})) == 3
    assert len(shortcomings(clusters, {}, ["b", "unknown"])) == 1
