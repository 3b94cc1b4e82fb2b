"""dubbo-go's map of interfaces: what is written is read back, and of what others write what makes sense."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.discovery import HostPort
from meshkit.discovery.interface_map import read_map, write_map
from meshkit.rpc.dubbo import ServiceKey

PLACE = HostPort("greeter.demo.svc.cluster.local", 20000)
_WORDS = st.text(st.characters(codec="ascii", exclude_characters=":/", categories=["L", "N"]), max_size=5)
_KEYS = st.builds(ServiceKey, _WORDS.filter(bool), _WORDS, _WORDS)


def test_it_is_written_as_dubbo_go_does() -> None:
    text = write_map([(ServiceKey("a.B", "g", "1.0"), PLACE), (ServiceKey("a.C"), PLACE)])
    assert json.loads(text) == {"providers:a.B:1.0:g": str(PLACE), "providers:a.C::": str(PLACE)}


@given(st.dictionaries(_KEYS, st.builds(HostPort, _WORDS.filter(bool), st.integers(1, 65535))))
def test_what_is_written_is_read_back(served: dict[ServiceKey, HostPort]) -> None:
    faults: list[str] = []
    assert dict(read_map(write_map(served.items()), faults.append)) == served
    assert faults == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("providers:a.B", "h:1"),
        ("providers:a.B:1.0", "h:1"),
        ("providers:a.B:1.0:g:more", "h:1"),
        ("providers:::", "h:1"),
        ("consumers:a.B::", "h:1"),
        ("providers:a.B::", "h"),
        ("providers:a.B::", "h:0"),
        ("providers:a.B::", ":1"),
        ("providers:a.B::", 1),
        ("providers:a.B::", None),
    ],
)
def test_an_entry_that_makes_no_sense_is_named_and_the_rest_counts(key: str, value: object) -> None:
    faults: list[str] = []
    good = {"providers:ok::": "h:1"}
    assert dict(read_map(json.dumps({key: value} | good), faults.append)) == {ServiceKey("ok"): HostPort("h", 1)}
    assert faults == [f"DUBBO_GO: cannot read {key!r}: {value!r}"]


@given(st.text() | st.just("[" * 100_000) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    faults: list[str] = []
    assert list(read_map(text, faults.append)) == []
    assert bool(faults) == bool(text) or text.strip() == "{}"
