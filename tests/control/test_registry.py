"""Live registrations: holds, reconnects, withdrawals, and what becomes of addresses that are used again."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from meshkit.control.registration import Registration
from meshkit.control.registry import Registry
from meshkit.control.world import Endpoint, Provider

HOST, OTHER = "a.demo.svc.cluster.local", "b.demo.svc.cluster.local"


def registration(node: str, port: int = 0, *, host: str = HOST) -> Registration:
    if not port:
        return Registration(node, "demo")
    endpoints = {(host, 80): Endpoint("127.0.0.1", port, {"node": node})}
    return Registration(node, "demo", endpoints, {"pkg.iface": (host, 80)})


def served(registry: Registry) -> dict[str, list[int]]:
    return {one.host: [endpoint.port for endpoint in one.endpoints[80]] for one in registry.services()}


def test_what_registers_counts_until_the_hold_is_over():
    registry = Registry(hold=2)
    assert registry.connect("c1", registration("n1", 1))
    assert registry.connect("c2", registration("n2", 2))
    assert registry.disconnect("c1", now=10)
    assert served(registry) == {HOST: [1, 2]}
    assert registry.providers() == {"pkg.iface": (Provider(HOST, 80, 2),)}
    assert registry.next_deadline == 12
    assert registry.expire(11.9) == []
    assert [one.node for one in registry.expire(12)] == ["n1"]
    assert (served(registry), registry.next_deadline) == ({HOST: [2]}, inf)


def test_a_node_that_comes_back_ends_its_hold():
    registry = Registry(hold=2)
    registry.connect("c1", registration("n1", 1))
    registry.disconnect("c1", 0)
    assert registry.connect("c2", registration("n1", 2))
    assert served(registry) == {HOST: [2]}
    registry.disconnect("c2", 0)
    assert registry.connect("c3", registration("n1"))  # without a registration: withdrawn
    assert (served(registry), registry.next_deadline) == ({}, inf)


def test_a_new_stream_beside_the_old_one_replaces_it_when_that_ends():
    registry = Registry(hold=2)
    registry.connect("c1", registration("n1", 1))
    registry.connect("c2", registration("n1", 2))
    assert served(registry) == {HOST: [1, 2]}  # two processes of one name, as far as anybody can tell
    assert registry.disconnect("c1", 0)
    assert (served(registry), registry.next_deadline) == ({HOST: [2]}, inf)


def test_a_new_stream_beside_the_old_one_that_registers_nothing_withdraws_when_that_ends():
    registry = Registry(hold=2)
    registry.connect("c1", registration("n1", 1))
    registry.connect("c2", registration("n1"))
    assert registry.disconnect("c1", 0)
    assert (served(registry), registry.next_deadline, len(registry)) == ({}, inf, 0)


def test_an_address_belongs_to_the_process_that_lives():
    registry = Registry(hold=2)
    registry.connect("c1", registration("n1", 1))
    registry.disconnect("c1", 0)
    registry.connect("c2", registration("n2", 1, host=OTHER))
    assert served(registry) == {OTHER: [1]}


def test_processes_are_where_they_listen_each_address_once():
    registry = Registry(hold=2)
    two = {(HOST, 80): Endpoint("127.0.0.1", 1, {}), (OTHER, 81): Endpoint("127.0.0.1", 1, {})}
    registry.connect("c1", Registration("n1", "demo", two))
    registry.connect("c2", registration("n2", 2))
    assert [(namespace, one.port) for namespace, one in registry.processes()] == [("demo", 1), ("demo", 2)]


def test_without_a_hold_the_end_is_the_end():
    registry = Registry(hold=0)
    registry.connect("c1", registration("n1", 1))
    assert registry.disconnect("c1", 0)
    assert not registry.disconnect("c1", 0)
    assert len(registry) == 0


def test_clients_register_nothing():
    registry = Registry()
    assert not registry.connect("c1", registration("n1"))
    assert not registry.disconnect("c1", 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("+-t"), st.booleans()), max_size=30))
def test_after_any_history_live_streams_and_only_recent_ends_count(history):
    registry, live, now, serial = Registry(hold=2), {}, 0.0, 0
    for node, action, serves in history:
        now += 1
        if action == "+":
            serial += 1
            live[f"c{serial}"] = (node, serial if serves else 0)
            registry.connect(f"c{serial}", registration(node, serial if serves else 0))
        elif action == "-" and (mine := [key for key, (owner, _) in live.items() if owner == node]):
            registry.disconnect(mine[0], now)
            del live[mine[0]]
        registry.expire(now)
        ports = {port for listed in served(registry).values() for port in listed}
        assert ports >= {port for _, port in live.values() if port}
    registry.expire(now + 2)
    assert {port for listed in served(registry).values() for port in listed} == {
        port for _, port in live.values() if port
    }
