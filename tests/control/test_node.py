"""The node of a stream: identity, namespace, locality, and what its configuration depends on."""

from __future__ import annotations

import pytest
from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2

from meshkit.codec import compile_schema
from meshkit.control.naming import Proxy
from meshkit.control.node import Node, read_node
from meshkit.errors import InvalidArgument
from meshkit.xds.messages import NODE


def read(identity: str = "", locality: base_pb2.Locality | None = None, **metadata: object) -> Node:
    struct = struct_pb2.Struct()
    struct.update(metadata)
    message = base_pb2.Node(
        id=identity, metadata=struct, locality=locality, user_agent_name="envoy", user_agent_version="1"
    )
    return read_node(compile_schema(NODE).decode(message.SerializeToString()))


def test_metadata_becomes_plain_values():
    given = {"A": "x", "B": [1.0, {"c": None}], "C": {"d": True}}
    assert read(**given).metadata == given


def test_the_namespace_is_told_or_part_of_the_id():
    identity = "sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local"
    assert (read(identity).namespace, read(identity).name, read(identity).agent) == ("ns", "pod.ns", "envoy 1")
    assert read(identity, NAMESPACE="other").namespace == "other"
    assert (read("x").namespace, read("x").name) == ("default", "x")


def test_the_locality_of_the_workload_s_labels_goes_first():
    own = base_pb2.Locality(region="r", zone="z", sub_zone="s")
    labels = {"topology.kubernetes.io/region": "R", "topology.kubernetes.io/zone": "Z"}
    assert read(locality=own).locality == ("r", "z", "s")
    assert read(locality=own, LABELS=labels).locality == ("R", "Z", "")
    assert read().locality == ("", "", "")


def test_what_configuration_depends_on():
    node = read(NAMESPACE="demo", GENERATOR="grpc", LABELS={"b": "2", "a": "1", "DUBBO_GO": "{}", "n": 3.0})
    assert node.proxy == Proxy(True, "demo", (("a", "1"), ("b", "2")))


def test_no_node_is_an_error_of_the_client():
    with pytest.raises(InvalidArgument, match="missing node information"):
        read_node(None)
