"""The registration in a node's metadata: read leniently, faults named, never an exception."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.control.registration import read_registration

NODE = "sidecar~127.0.0.1~greeter-1.demo~demo.svc.cluster.local"


def test_a_server_of_ours_is_read():
    metadata = {
        "NAMESPACE": "demo",
        "LABELS": {
            "app": "greeter",
            "version": "v1",
            "DUBBO_GO": json.dumps({"providers:Pkg.Iface:1.0:group": "h.x:81", "providers:Pkg.Other::": "h.x:81"}),
        },
        "MESHKIT": {
            "endpoints": [
                {"host": "H.x", "port": 81.0, "address": "127.0.0.1:4001"},
                {"host": "h.x", "address": "[::1]:2"},
            ]
        },
    }
    found = read_registration(NODE, metadata, "r/z")
    assert found and found.faults == ()
    endpoint = found.endpoints["h.x", 81]
    assert (endpoint.address, endpoint.port, endpoint.locality) == ("127.0.0.1", 4001, "r/z")
    assert endpoint.labels == {"app": "greeter", "version": "v1"}
    assert endpoint.workload == "greeter-1;demo;greeter;v1;Kubernetes"
    assert (found.endpoints["h.x", 80].address, found.endpoints["h.x", 80].port) == ("::1", 2)
    assert found.interfaces == {"group/pkg.iface:1.0": ("h.x", 81), "pkg.other": ("h.x", 81)}


def test_a_client_registers_nothing():
    assert not read_registration("n", {"LABELS": {"app": "x"}})


def test_sockets_by_path_are_read():
    metadata = {
        "MESHKIT": {"endpoints": [{"host": "h", "address": "unix:/run/a"}, {"host": "i", "address": "unix:///run/b"}]}
    }
    assert [one.address for one in read_registration("n", metadata).endpoints.values()] == [
        "unix:///run/a",
        "unix:///run/b",
    ]


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({"MESHKIT": "x"}, "MESHKIT: expected a mapping with a list of endpoints"),
        ({"MESHKIT": {"endpoints": [1]}}, "MESHKIT.endpoints[0]: expected a mapping with host, port and address"),
        (
            {"MESHKIT": {"endpoints": [{"host": "h", "address": "1.2.3.4"}]}},
            "expected ip:port as address, found '1.2.3.4'",
        ),
        ({"MESHKIT": {"endpoints": [{"host": "h", "port": 0, "address": "1.2.3.4:5"}]}}, "expected a port, found 0"),
        ({"LABELS": {"DUBBO_GO": "{"}}, "LABELS.DUBBO_GO: expected a JSON object"),
        ({"LABELS": {"DUBBO_GO": '{"providers:a::": 1}'}}, "LABELS.DUBBO_GO: cannot read 'providers:a::': 1"),
    ],
)
def test_what_cannot_be_read_is_named(metadata, fault):
    found = read_registration("n", metadata)
    assert not found
    assert fault in found.faults[0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["host", "port", "address", "endpoints", "x"]), inner, max_size=4),
    max_leaves=10,
)


@given(st.fixed_dictionaries({}, optional={"MESHKIT": _JSON, "LABELS": _JSON, "NAMESPACE": _JSON}))
def test_no_metadata_makes_the_reader_fail(metadata):
    read_registration("n", metadata)
