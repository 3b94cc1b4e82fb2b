"""What a push changes of a cluster's endpoints: as if all were looked at, and yet only the changed ones are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshkit.codec import Run, Runs, finish
from meshkit.mesh.members import Group, Merge, Target, merge
from meshkit.xds.resources import ClusterLoadAssignment, Endpoint, HealthStatus, Locality, LocalityEndpoints

ENDPOINTS = st.lists(
    st.builds(
        Endpoint,
        st.integers(1, 30).map(lambda port: f"127.0.0.1:{port}"),
        st.integers(1, 2),
        st.sampled_from([HealthStatus.UNKNOWN, HealthStatus.UNHEALTHY]),
    ),
    max_size=12,
).map(tuple)
LOCALITIES = st.lists(
    st.builds(LocalityEndpoints, ENDPOINTS, st.sampled_from([Locality("a"), Locality("b")])), max_size=3
).map(tuple)


def assignment(*endpoints: Endpoint) -> ClusterLoadAssignment:
    return ClusterLoadAssignment("c", (LocalityEndpoints(endpoints),))


def take(groups: tuple[Group, ...], new: ClusterLoadAssignment, known: dict[str, Target]) -> Merge:
    merged = finish(merge(groups, new, known))
    for target, endpoint in merged.gained:
        target.places += 1
        known[endpoint.address] = target
    for target, _ in merged.lost:
        target.places -= 1
    return merged


@given(st.lists(LOCALITIES, min_size=1, max_size=5))
def test_every_place_has_the_target_of_its_address(steps: list[tuple[LocalityEndpoints, ...]]) -> None:
    groups: tuple[Group, ...] = ()
    known: dict[str, Target] = {}
    for localities in steps:
        groups = take(groups, ClusterLoadAssignment("c", localities), known).groups
        assert [group.source for group in groups] == list(localities)
        for group in groups:
            wanted = [known[e.address] if e.usable else None for e in group.source.endpoints]
            assert group.targets == wanted
            assert group.callable == [target for target in wanted if target is not None]
        places = [target for group in groups for target in group.callable]
        assert all(target.places == places.count(target) for target in known.values())


RUN_ITEMS = tuple([Endpoint(f"10.0.{run}.{n}:80") for n in range(3)] for run in range(4))
RUNS = tuple(Run(1, 1, run, []) for run in RUN_ITEMS)


@given(st.lists(st.lists(st.sampled_from(RUNS), max_size=6), min_size=1, max_size=5))
def test_runs_are_compared_as_their_endpoints_are(steps: list[list[Run]]) -> None:
    groups: tuple[Group, ...] = ()
    plain: tuple[Group, ...] = ()
    known: dict[str, Target] = {}
    same: dict[str, Target] = {}
    for runs in steps:
        endpoints: Runs[Endpoint] = Runs(tuple(runs))
        groups = take(groups, ClusterLoadAssignment("c", (LocalityEndpoints(endpoints),)), known).groups
        plain = take(plain, assignment(*endpoints), same).groups
        assert groups[0].targets == [known[endpoint.address] for endpoint in endpoints]
        assert [target.places for target in known.values()] == [target.places for target in same.values()]


def test_only_what_changed_is_looked_at() -> None:
    many = [Endpoint(f"10.0.{n >> 8}.{n & 255}:80") for n in range(5_000)]
    known: dict[str, Target] = {}
    first = take((), assignment(*many), known)
    assert len(first.gained) == 5_000
    changed = list(many)
    changed[700] = Endpoint(many[700].address, weight=2)
    second = take(first.groups, assignment(*changed), known)
    assert second.gained == [(known[many[700].address], changed[700])]
    assert second.lost == [(known[many[700].address], many[700])]
    arrived = Endpoint("10.1.0.0:80")
    third = take(second.groups, assignment(*changed[:300], arrived, *changed[301:]), known)
    assert third.gained == [(known[arrived.address], arrived)]
    assert third.lost == [(known[many[300].address], many[300])]
    fewer = take(third.groups, assignment(*changed[:300], arrived, *changed[301:4_000], *changed[4_010:]), known)
    assert fewer.gained == [] and len(fewer.lost) == 10


def test_many_new_endpoints_come_in_slices() -> None:
    work = merge((), assignment(*(Endpoint(f"10.0.{n >> 8}.{n & 255}:80") for n in range(1_000))), {})
    assert sum(1 for _ in work) == 16
