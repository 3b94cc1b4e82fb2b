"""Manifests as YAML: what is printed is read back as what was meant."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshkit.cli.manifests import Target, render, service_entry, virtual_service

_WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=40)
_SCALARS = st.integers() | st.sampled_from(["yes", "null", "1", "1e3", "v1", "a: b", "- a", "é", ""]) | _WORDS
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(_WORDS, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(_WORDS, _VALUES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_yaml_reads_back_what_was_written(manifests: list[dict[str, Any]]) -> None:
    assert list(yaml.safe_load_all(render(manifests))) == manifests


def test_a_full_host_stays_and_a_name_gets_its_namespace() -> None:
    assert Target("greeter", "demo").host == "greeter.demo.svc.cluster.local"
    assert Target("greeter.example.com", "demo").host == "greeter.example.com"


def test_a_virtual_service_without_subsets_has_one_route() -> None:
    found = virtual_service("a.v1.B", Target("b", "demo", 8080))
    destination = {"host": "b.demo.svc.cluster.local", "port": {"number": 8080}}
    assert found["spec"] == {"hosts": ["a.v1.b"], "http": [{"route": [{"destination": destination}]}]}


def test_a_service_entry_needs_no_service() -> None:
    found = service_entry("a.v1.B", Target("b", "demo", 8080, labels={"app": "b"}))
    assert found["metadata"] == {"name": "a-v1-b", "namespace": "demo"}
    assert found["spec"]["workloadSelector"] == {"labels": {"app": "b"}}
