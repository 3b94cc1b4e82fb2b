"""Istio's cluster names, written and read back."""

from __future__ import annotations

import pytest

from meshkit.xds.naming import ClusterName


@pytest.mark.parametrize("text", ["outbound|80||a.default.svc.cluster.local", "outbound|9080|v1|reviews"])
def test_names_are_read_as_they_are_written(text: str) -> None:
    name = ClusterName.parse(text)
    assert name is not None
    assert str(name) == text


@pytest.mark.parametrize("text", ["", "inbound|80||", "outbound|http||a", "outbound|80|a", "BlackHoleCluster"])
def test_what_is_no_name_of_a_service_is_none(text: str) -> None:
    assert ClusterName.parse(text) is None
