"""Incremental ADS: the protocol's rules one by one, and any history of changes and reconnects ends in agreement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.control.delta import DeltaMachine, DeltaRequest
from meshkit.control.naming import CDS, EDS, LDS, RDS, Proxy
from tests.support.ads_table import DeltaModel, Table

HELD = {CDS: {"a": "1", "b": "1"}, EDS: {"a": "1", "b": "1"}, RDS: {"r": "1", "s": "1"}, LDS: {"l": "1", "m": "1"}}

Answers = list[tuple[list[str], list[str]]]


def machine(*, grpc: bool = False) -> DeltaMachine:
    return DeltaMachine(Table(HELD, Proxy(grpc)))  # type: ignore[arg-type]


def ask(one: DeltaMachine, kind: str, *names: str, drop: tuple[str, ...] = (), **rest: dict[str, str]) -> Answers:
    """Send a request; the names of resources and the names removed in each answer."""
    responses = one.receive(DeltaRequest(kind, names, drop, rest.get("versions", {})))
    return [([resource.name for resource in response.resources], list(response.removed)) for response in responses]


def push(one: DeltaMachine, table: Table) -> list[tuple[str, list[str], list[str]]]:
    responses = one.push(table)  # type: ignore[arg-type]
    return [(one.type_url, [resource.name for resource in one.resources], list(one.removed)) for one in responses]


def changed(one: DeltaMachine, kind: str, name: str, version: str | None) -> list[tuple[str, list[str], list[str]]]:
    return push(one, one.view.changed(kind, name, version))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("grpc", "kind", "names", "answers"),
    [
        (False, CDS, (), [(["a", "b"], [])]),
        (False, CDS, ("*",), [(["a", "b"], [])]),
        (False, CDS, ("a", "x"), [(["a"], ["x"])]),
        (False, CDS, ("*", "x"), [(["a", "b"], ["x"])]),
        (True, CDS, (), []),
        (True, LDS, (), [(["l", "m"], [])]),
        (True, LDS, ("m", "x"), [(["m"], ["x"])]),
        (False, EDS, (), []),
        (False, EDS, ("b", "x"), [(["b", "x"], [])]),
        (False, "type.googleapis.com/some.Type", ("x",), []),
    ],
)
def test_first_requests(grpc, kind, names, answers):
    assert ask(machine(grpc=grpc), kind, *names) == answers


def test_who_comes_back_gets_what_differs():
    versions = {"a": "1", "b": "0", "gone": "1"}
    assert ask(machine(), CDS, "*", versions=versions) == [(["b"], ["gone"])]
    assert ask(machine(), RDS, "r", versions={"r": "1"}) == [([], [])]


def test_names_are_taken_whatever_the_nonce_is_and_asking_again_is_answered_again():
    one = machine()
    ask(one, EDS, "a")
    (answer,) = one.receive(DeltaRequest(EDS, ("b",), nonce="old"))
    assert [resource.name for resource in answer.resources] == ["b"]
    assert ask(one, EDS, "a") == [(["a"], [])]
    assert ask(one, EDS, drop=("a",)) == []
    assert changed(one, EDS, "a", "2") == []
    assert ask(one, EDS, "a") == [(["a"], [])]


def test_what_does_not_exist_is_told_once_until_it_does():
    one = machine()
    assert ask(one, CDS, "x") == [([], ["x"])]
    assert push(one, Table(HELD)) == []
    assert changed(one, CDS, "x", "1") == [(CDS, ["x"], [])]
    assert changed(one, CDS, "x", None) == [(CDS, [], ["x"])]
    assert ask(one, CDS, "x") == [([], ["x"])]


def test_only_what_changed_is_pushed():
    one = machine()
    ask(one, CDS, "*")
    ask(one, RDS, "r", "s")
    assert changed(one, CDS, "b", "2") == [(CDS, ["b"], [])]
    assert changed(one, RDS, "r", "2") == [(RDS, ["r"], [])]
    assert changed(one, EDS, "a", "2") == []


def test_a_cluster_that_changed_brings_its_endpoints_again():
    one = machine()
    ask(one, CDS, "*")
    ask(one, EDS, "a", "b")
    assert changed(one, CDS, "a", "2") == [(CDS, ["a"], []), (EDS, ["a"], [])]


def test_a_cluster_goes_after_the_routes_that_named_it():
    one = machine()
    ask(one, CDS, "*")
    ask(one, RDS, "r")
    table = one.view.changed(CDS, "b", None).changed(RDS, "r", "2").changed(CDS, "c", "1")  # type: ignore[attr-defined]
    assert push(one, table) == [(CDS, ["c"], []), (RDS, ["r"], []), (CDS, [], ["b"])]


def test_routes_wait_until_new_clusters_are_acknowledged():
    one = machine()
    ask(one, CDS, "*")
    ask(one, EDS, "a")
    ask(one, RDS, "r")
    table = one.view.changed(CDS, "c", "1").changed(EDS, "c", "1").changed(RDS, "r", "2")  # type: ignore[attr-defined]
    assert push(one, table.changed(CDS, "b", None)) == [(CDS, ["c"], [])]
    assert one.waiting
    assert changed(one, RDS, "r", "3") == []
    assert ask(one, EDS, "c") == [(["c"], [])]
    responses = one.receive(DeltaRequest(CDS, nonce=one.watches[CDS].last.nonce))
    assert [(response.type_url, response.removed) for response in responses] == [(RDS, ()), (CDS, ("b",))]
    assert not one.waiting
    assert changed(one, RDS, "r", "4") == [(RDS, ["r"], [])]


def test_a_rejection_is_noted():
    one = machine()
    ask(one, RDS, "r")
    one.receive(DeltaRequest(RDS, nonce=one.watches[RDS].last.nonce, error="bad regex"))
    assert one.watches[RDS].last.error == "bad regex"
    assert changed(one, RDS, "r", "2") == [(RDS, ["r"], [])]


def test_giving_up_the_wildcard_keeps_what_was_named():
    one = machine()
    ask(one, CDS, "*", "a")
    assert ask(one, CDS, drop=("*",)) == []
    assert changed(one, CDS, "b", "2") == []
    assert changed(one, CDS, "a", "2") == [(CDS, ["a"], [])]


def test_a_name_given_up_under_the_wildcard_is_answered():
    one = machine()
    ask(one, CDS, "*", "a", "x")
    assert ask(one, CDS, drop=("a", "x")) == [(["a"], ["x"])]


def test_who_comes_back_is_told_of_nothing_gone_before_the_view_is_settled():
    one = DeltaMachine(Table(HELD, settled=False))  # type: ignore[arg-type]
    assert ask(one, CDS, "*", versions={"a": "1", "gone": "1"}) == [(["b"], [])]
    assert ask(one, EDS, "a", "gone", versions={"gone": "1"}) == [(["a"], [])]
    assert ask(one, EDS, "other") == []
    assert push(one, Table(HELD)) == [(EDS, ["gone", "other"], []), (CDS, [], ["gone"])]


KINDS = st.sampled_from([CDS, EDS, LDS, RDS])
NAMES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("change"), KINDS, NAMES, st.sampled_from(["1", "2", "3", None])),
    st.tuples(st.just("watch"), st.sampled_from([EDS, RDS]), st.lists(NAMES, min_size=1, unique=True)),
    st.tuples(
        st.just("watch"), st.sampled_from([CDS, LDS]), st.lists(st.sampled_from("abc*"), min_size=1, unique=True)
    ),
    st.tuples(st.just("read")),
    st.tuples(st.just("reject")),
    st.tuples(st.just("open")),
)


@given(st.lists(STEPS, max_size=40))
def test_after_any_history_the_client_has_what_there_is(steps):
    client = DeltaModel(Table({}))
    client.open()
    for step, *arguments in steps:
        if step == "change":
            client.change(client.table.changed(*arguments))
        elif step == "watch":
            kind, names = arguments
            client.settle()  # what is on the way was meant for the old names
            client.watch(kind, *names)
        elif step == "open":
            client.open()
        else:
            client.read(reject=step == "reject")
    client.settle()
    for kind in client.names:
        assert client.held(kind) == client.wanted(kind), kind
