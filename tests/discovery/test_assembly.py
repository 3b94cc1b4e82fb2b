"""Assembly as a function: from whatever is held to a whole configuration or to what is missing."""

from __future__ import annotations

from typing import Any

from meshkit.discovery import DirectAddresses, HostPort, Unknown
from meshkit.discovery.assembly import Assembly, Naming, assemble
from meshkit.discovery.dns import DNS
from meshkit.xds import ASSIGNMENTS, CLUSTERS, ROUTES, Entry, ResourceType
from meshkit.xds.entry import Event, Update
from meshkit.xds.resources import (
    Aggregate,
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    DnsLookups,
    Endpoint,
    LocalityEndpoints,
    PathMatch,
    Route,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)

PLACE = HostPort("x.y", 80)
RDS, EDS, CDS = ROUTES, ASSIGNMENTS, CLUSTERS


class Held:
    """Resources at hand: values are accepted, strings are reasons of refusal, None is removed, ... is asked for."""

    def __init__(self, *, complete: bool = True, **kinds: dict[str, Any]) -> None:
        self._complete = complete
        self._entries = {
            (kind, name): self._entry(name, value)
            for kind in (RDS, EDS, CDS)
            for name, value in kinds.get(kind.name.lower(), {}).items()
        }

    @staticmethod
    def _entry(name: str, value: Any) -> Entry:
        entry = Entry(name)
        if value is None:
            entry.drop(Event.REMOVED, "it was removed")
        elif value is not ...:
            bad = isinstance(value, str)
            entry.accept(Update(name, b"k", 1, resource=None if bad else value, reason=value if bad else ""), "1")
        return entry

    def entry(self, kind: ResourceType, name: str) -> Entry | None:
        return self._entries.get((kind, name))

    def complete(self, kind: ResourceType) -> bool:
        return self._complete and kind is CDS


class Hosts:
    """Host names whose addresses are known, by cluster."""

    def __init__(self, answers: dict[str, ClusterLoadAssignment], problems: dict[str, str]) -> None:
        self._answers = answers
        self._problems = problems

    def assignment(self, cluster: Cluster) -> ClusterLoadAssignment | None:
        return self._answers.get(cluster.name)

    def problem(self, cluster: Cluster) -> str:
        return self._problems.get(cluster.name, "")


NO_HOSTS = Hosts({}, {})


def to(*clusters: str, domain: str = "*") -> RouteConfiguration:
    action = RouteAction(tuple(WeightedCluster(name, 1) for name in clusters))
    route = Route(PathMatch(StringMatch.PREFIX, "/"), action)
    return RouteConfiguration("x.y:80", (VirtualHost("h", (domain,), (route,)),))


def eds(name: str, service: str = "") -> Cluster:
    return Cluster(name, ClusterType.EDS, service)


def ends(name: str) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(name, (LocalityEndpoints((Endpoint("127.0.0.1:1"),)),))


def run(held: Held, *places: Any, generator: str = "", hosts: Hosts = NO_HOSTS) -> Assembly:
    return assemble(
        "x.Y", [(f"s{i}", place) for i, place in enumerate(places or (PLACE,))], held, hosts, Naming(generator), "cp:1"
    )


def test_whole() -> None:
    config = to("a", "b")
    result = run(
        Held(rds={"x.y:80": config}, cds={"a": eds("a", "sa"), "b": eds("b")}, eds={"sa": ends("sa"), "b": ends("b")})
    )
    assert result.draft is not None
    assert result.draft.host is config.virtual_hosts[0]
    assert result.draft.authority == "x.y:80"
    assert set(result.draft.clusters) == {"a", "b"}
    assert result.needs == {(RDS, "x.y:80"), (CDS, "a"), (CDS, "b"), (EDS, "sa"), (EDS, "b")}
    assert result.trail == ("s0: asked cp:1 for RDS x.y:80: found",)


def test_every_single_missing_part_keeps_it_back() -> None:
    parts: dict[str, dict[str, Any]] = {
        "rds": {"x.y:80": to("a", "b")},
        "cds": {"a": eds("a"), "b": eds("b")},
        "eds": {"a": ends("a"), "b": ends("b")},
    }
    for kind, held in parts.items():
        for name in held:
            result = run(Held(**{**parts, kind: {**held, name: ...}}))
            assert result.draft is None
            assert [(k.name.lower(), n) for k, n in result.missing] == [(kind, name)]


def test_clusters_that_may_still_come_are_waited_for() -> None:
    assert run(Held(complete=False, rds={"x.y:80": to("a")})).missing == ((CDS, "a"),)


def test_absent_and_refused_parts_are_noted() -> None:
    held = Held(
        rds={"x.y:80": to("gone", "bad", "none", "empty")},
        cds={"bad": "lb_policy 99", "none": eds("none"), "empty": eds("empty")},
        eds={"none": None, "empty": ClusterLoadAssignment("empty")},
    )
    result = run(held)
    assert result.draft is not None
    assert result.draft.notes == {
        "gone": "cluster gone: the control plane does not have it",
        "bad": "cluster bad: refused, lb_policy 99",
        "none": "endpoints of none: it was removed",
    }
    assert set(result.draft.clusters) == {"none", "empty"}


def test_strategies_in_order() -> None:
    held = Held(rds={"x.y:80": to("a")}, cds={"a": eds("a")}, eds={"a": ends("a")})
    first = run(held, Unknown("not here"), PLACE, HostPort("never", 1))
    assert first.draft is not None
    assert first.trail == ("s0: not here", "s1: asked cp:1 for RDS x.y:80: found")
    waiting = run(held, HostPort("other", 80), PLACE)
    assert waiting.missing == ((RDS, "other:80"),)
    empty = Held(rds={"x.y:80": RouteConfiguration("x.y:80", ())})
    nowhere = run(empty, Unknown("not here"), PLACE)
    assert nowhere.draft is not None
    assert nowhere.draft.host is None
    assert nowhere.trail[1] == (
        "s1: asked cp:1 for RDS x.y:80: it has no routes; CDS outbound|80||x.y: it does not exist"
    )


def test_port_without_routes_goes_to_its_cluster() -> None:
    name = "outbound|80||x.y"
    held = Held(rds={"x.y:80": RouteConfiguration("x.y:80", ())}, cds={name: eds(name)}, eds={name: ends(name)})
    result = run(held)
    assert result.draft is not None
    assert set(result.draft.clusters) == {name}


def test_direct_addresses() -> None:
    result = run(Held(complete=False), DirectAddresses(("127.0.0.1:1",)))
    assert result.draft is not None
    assert result.needs == frozenset()
    assert result.draft.clusters["static|x.Y"].assignment.localities[0].endpoints == (Endpoint("127.0.0.1:1"),)


def test_aggregates_bring_their_clusters() -> None:
    both = Cluster("both", ClusterType.AGGREGATE, aggregate=Aggregate(("a", "both")))
    held = Held(rds={"x.y:80": to("both")}, cds={"both": both, "a": eds("a")}, eds={"a": ends("a")})
    result = run(held)
    assert result.draft is not None
    assert set(result.draft.clusters) == {"both", "a"}


def test_inline_endpoints_need_no_eds() -> None:
    dns = Cluster("dns", ClusterType.STRICT_DNS, assignment=ends("dns"))
    passthrough = Cluster("PassthroughCluster", ClusterType.ORIGINAL_DST)
    held = Held(rds={"x.y:80": to("dns", "PassthroughCluster")}, cds={"dns": dns, "PassthroughCluster": passthrough})
    result = run(held)
    assert result.draft is not None
    assert result.draft.clusters["dns"].assignment is dns.assignment


def test_virtual_hosts_with_and_without_ports() -> None:
    for domain in ("x.y", "x.y:80", "*"):
        result = run(Held(rds={"x.y:80": to("a", domain=domain)}, cds={"a": eds("a")}, eds={"a": ends("a")}))
        assert result.draft is not None
        assert result.draft.host is not None
    other = run(Held(rds={"x.y:80": to("a", domain="z")}))
    assert other.draft is not None
    assert other.draft.host is None
    assert "no virtual host for x.y:80" in other.trail[0]


def test_names_of_the_grpc_generator() -> None:
    result = run(Held(complete=False), generator="grpc")
    assert result.missing == ((RDS, "outbound|80||x.y"),)


def test_host_names_are_waited_for_and_their_failures_are_notes() -> None:
    cluster = Cluster("a", ClusterType.STRICT_DNS, assignment=ends("a"), dns=DnsLookups())
    held = Held(rds={"x.y:80": to("a")}, cds={"a": cluster})
    waiting = run(held)
    assert waiting.draft is None
    assert waiting.missing == ((DNS, "a"),)
    resolved = run(held, hosts=Hosts({"a": ends("resolved")}, {})).draft
    assert resolved is not None
    assert resolved.clusters["a"].assignment == ends("resolved")
    assert resolved.notes == {}
    failed = run(held, hosts=Hosts({"a": ClusterLoadAssignment("a")}, {"a": "h is not resolved: gone"})).draft
    assert failed is not None
    assert failed.notes == {"a": "endpoints of a: h is not resolved: gone"}
