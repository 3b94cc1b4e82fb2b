"""State-of-the-world ADS: istiod's rules one by one, and any history of changes and reconnects ends in agreement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.control.naming import CDS, EDS, LDS, RDS, Proxy
from meshkit.control.sotw import SotwMachine, SotwRequest
from tests.support.ads_table import SotwModel, Table

HELD = {CDS: {"a": "1", "b": "1"}, EDS: {"a": "1", "b": "1"}, RDS: {"r": "1", "s": "1"}, LDS: {"l": "1", "m": "1"}}


def machine(*, grpc: bool = False) -> SotwMachine:
    return SotwMachine(Table(HELD, Proxy(grpc)))  # type: ignore[arg-type]


def ask(
    one: SotwMachine, kind: str, *names: str, nonce: str = "", error: str = "", version: str = ""
) -> list[list[str]]:
    """Send a request; the names in each answer."""
    responses = one.receive(SotwRequest(kind, names, version, nonce, error))
    return [[resource.name for resource in response.resources] for response in responses]


def nonce(one: SotwMachine, kind: str) -> str:
    return one.watches[kind].last.nonce


def push(one: SotwMachine, kind: str, name: str, version: str | None) -> list[tuple[str, list[str]]]:
    table = one.view.changed(kind, name, version)  # type: ignore[attr-defined]
    return [(response.type_url, [resource.name for resource in response.resources]) for response in one.push(table)]


@pytest.mark.parametrize(
    ("grpc", "kind", "names", "answers"),
    [
        (False, CDS, (), [["a", "b"]]),
        (False, CDS, ("a",), [["a", "b"]]),  # names are ignored
        (False, LDS, ("l",), [["l", "m"]]),
        (True, CDS, (), [[]]),
        (True, CDS, ("a", "x"), [["a"]]),
        (True, LDS, (), [["l", "m"]]),
        (True, LDS, ("m",), [["m"]]),
        (False, EDS, (), []),
        (False, EDS, ("b", "x"), [["b", "x"]]),  # unknown ones are answered empty
        (False, RDS, ("x",), [["x"]]),
        (False, "type.googleapis.com/some.Type", ("x",), []),
    ],
)
def test_first_requests(grpc, kind, names, answers):
    assert ask(machine(grpc=grpc), kind, *names) == answers


def test_names_added_are_answered_and_names_removed_are_not():
    one = machine()
    ask(one, EDS, "a")
    assert ask(one, EDS, "a", nonce=nonce(one, EDS)) == []
    assert ask(one, EDS, "a", "b", nonce=nonce(one, EDS)) == [["b"]]
    assert ask(one, EDS, "b", nonce=nonce(one, EDS)) == []
    assert push(one, EDS, "a", "2") == []
    assert ask(one, EDS, "b", "a", nonce=nonce(one, EDS)) == [["a"]]
    assert ask(one, EDS, nonce=nonce(one, EDS)) == []
    assert push(one, EDS, "b", "2") == []


def test_types_of_which_a_response_is_everything_are_answered_whole():
    one = machine(grpc=True)
    ask(one, LDS, "l")
    assert ask(one, LDS, "l", "m", nonce=nonce(one, LDS)) == [["l", "m"]]
    ask(one, CDS, "a")
    assert ask(one, CDS, "a", "b", nonce=nonce(one, CDS)) == [["a", "b"]]


def test_an_old_nonce_says_nothing():
    one = machine()
    ask(one, RDS, "r")
    old = nonce(one, RDS)
    push(one, RDS, "r", "2")
    assert ask(one, RDS, "r", "s", nonce=old) == []
    assert one.watches[RDS].last.acked_nonce == ""
    assert ask(one, RDS, "r", "s", nonce=nonce(one, RDS)) == [["s"]]


def test_a_rejection_is_noted_and_the_next_change_comes():
    one = machine()
    ask(one, RDS, "r")
    assert ask(one, RDS, "r", nonce=nonce(one, RDS), error="bad regex") == []
    assert (one.watches[RDS].last.error, one.watches[RDS].last.rejected) == ("bad regex", 1)
    assert push(one, CDS, "c", "1") == []
    assert push(one, RDS, "r", "2") == [(RDS, ["r"])]
    ask(one, RDS, "r", nonce=nonce(one, RDS))
    assert (one.watches[RDS].last.error, one.watches[RDS].last.acked_nonce) == ("", nonce(one, RDS))


def test_pushes_hold_what_changed_or_everything_by_type():
    one = machine()
    for kind, names in ((RDS, ("r", "s")), (EDS, ("a", "b")), (LDS, ()), (CDS, ())):
        ask(one, kind, *names)
    assert push(one, RDS, "s", "2") == [(RDS, ["s"])]
    assert push(one, EDS, "b", "2") == [(EDS, ["b"])]
    assert push(one, LDS, "m", "2") == [(LDS, ["l", "m"])]


def test_a_cluster_that_changed_brings_its_endpoints_again():
    one = machine()
    ask(one, CDS)
    ask(one, EDS, "a", "b")
    assert push(one, CDS, "a", "2") == [(CDS, ["a", "b"]), (EDS, ["a"])]


def test_endpoints_that_are_none_come_again_too_and_go_after_the_routes():
    one = machine()
    ask(one, CDS)
    ask(one, EDS, "a", "b")
    ask(one, RDS, "r")
    table = one.view.changed(EDS, "b", None).changed(RDS, "r", "2")  # type: ignore[attr-defined]
    assert [(answer.type_url, len(answer.resources)) for answer in one.push(table)] == [(RDS, 1), (EDS, 1)]
    assert push(one, CDS, "b", "2") == [(CDS, ["a", "b"]), (EDS, ["b"])]


def test_endpoints_asked_for_after_all_clusters_came_again_are_answered_though_nothing_is_new():
    one = machine()
    ask(one, CDS)
    ask(one, EDS, "a")
    ask(one, CDS)  # as after a reconnect of the subscription: without a nonce
    assert ask(one, EDS, "a", nonce=nonce(one, EDS)) == [["a"]]
    assert ask(one, EDS, "a", nonce=nonce(one, EDS)) == []


def test_a_cluster_goes_after_the_routes_that_named_it():
    one = machine()
    ask(one, CDS)
    ask(one, RDS, "r")
    table = one.view.changed(CDS, "b", None).changed(RDS, "r", "2").changed(CDS, "c", "1")  # type: ignore[attr-defined]
    order = [(response.type_url, [resource.name for resource in response.resources]) for response in one.push(table)]
    assert order == [(CDS, ["a", "c", "b"]), (RDS, ["r"]), (CDS, ["a", "c"])]
    assert ask(one, CDS, nonce=nonce(one, CDS)) == []


def test_routes_wait_until_new_clusters_are_acknowledged():
    one = machine()
    ask(one, CDS)
    ask(one, EDS, "a")
    ask(one, RDS, "r")
    table = one.view.changed(CDS, "c", "1").changed(EDS, "c", "1").changed(RDS, "r", "2")  # type: ignore[attr-defined]
    assert [response.type_url for response in one.push(table)] == [CDS]
    assert one.waiting
    assert push(one, RDS, "r", "3") == []
    assert ask(one, EDS, "a", "c", nonce=nonce(one, EDS)) == [["c"]]
    assert ask(one, CDS, nonce=nonce(one, CDS)) == [["r"]]
    assert not one.waiting
    assert push(one, RDS, "r", "4") == [(RDS, ["r"])]
    push(one, CDS, "d", "1")
    assert one.waiting
    assert ask(one, CDS, nonce=nonce(one, CDS), error="no") == []  # a rejection ends the wait too
    assert not one.waiting


def test_nothing_is_pushed_twice():
    one = machine()
    ask(one, CDS)
    ask(one, EDS, "a")
    assert one.push(Table(HELD)) == []  # type: ignore[arg-type]


def test_equal_contents_have_equal_versions():
    first, second = machine(), machine()
    assert [
        response.version for response in (*first.receive(SotwRequest(CDS)), *second.receive(SotwRequest(CDS)))
    ] == 2 * [first.watches[CDS].last.version]


def test_who_comes_back_is_told_of_nothing_gone_before_the_view_is_settled():
    one = SotwMachine(Table(HELD, settled=False))  # type: ignore[arg-type]
    assert ask(one, CDS, version="old") == []
    assert ask(one, LDS, version="old") == [["l", "m"]]
    assert ask(one, EDS, "a", "gone") == [["a"]]
    assert ask(one, RDS, "gone") == []
    settled = one.push(Table(HELD))  # type: ignore[arg-type]
    assert [(response.type_url, [one.name for one in response.resources]) for response in settled] == [
        (CDS, ["a", "b"]),
        (EDS, ["a"]),
    ]
    assert ask(one, CDS, nonce=nonce(one, CDS)) == [["gone"], ["gone"]]


def test_who_comes_back_is_told_of_all_clusters_once_those_it_has_are_there():
    one = SotwMachine(Table(HELD, settled=False))  # type: ignore[arg-type]
    assert ask(one, CDS, version="old") == []
    assert ask(one, EDS, "a", "b") == [["a", "b"], ["a", "b"]]
    assert one.watches[CDS].answered
    one = SotwMachine(Table(HELD, settled=False))  # type: ignore[arg-type]
    ask(one, CDS, version="old")
    assert ask(one, EDS, "a", "c") == [["a"]]
    table = Table(HELD, settled=False).changed(CDS, "c", "1").changed(EDS, "c", "1")
    assert [response.type_url for response in one.push(table)] == [CDS, EDS]  # type: ignore[arg-type]


KINDS = st.sampled_from([CDS, EDS, LDS, RDS])
NAMES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("change"), KINDS, NAMES, st.sampled_from(["1", "2", "3", None])),
    st.tuples(st.just("watch"), KINDS, st.lists(NAMES, unique=True)),
    st.tuples(st.just("read")),
    st.tuples(st.just("open")),
)


@given(st.lists(STEPS, max_size=40))
def test_after_any_history_the_client_has_what_there_is(steps):
    client = SotwModel(Table({}))
    client.open()
    for step, *arguments in steps:
        if step == "change":
            client.change(client.table.changed(*arguments))
        elif step == "watch":
            kind, names = arguments
            client.settle()  # names sent with an old nonce are ignored, as istiod does; the ACK would repeat them
            client.watch(kind, *names)
        elif step == "read":
            client.read()
        else:
            client.open()
    client.settle()
    for kind in client.names:
        assert client.held(kind) == client.wanted(kind), kind
