"""Requests as the server reads them, with google.protobuf."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from meshkit.codec import compile_schema
from meshkit.xds import ROUTES, Node, Request
from meshkit.xds.messages import decode_delta, decode_sotw, encode_delta, encode_sotw
from meshkit.xds.resources import Locality
from meshkit.xds.struct import STRUCT, StructMessage, ValueMessage, decode_struct, to_struct

NODE = Node("sidecar~1~a.b~c", "cl", {"LABELS": {"app": "x"}, "N": [1, None, True, "t", 2.5]}, Locality("r", "z", "s"))


def test_sotw_request() -> None:
    request = Request(ROUTES.url, first=True, nonce="n", error="bad", version="v", names=("a", "b"))
    message = discovery_pb2.DiscoveryRequest.FromString(encode_sotw(request, NODE))
    assert (message.type_url, message.response_nonce, message.version_info) == (ROUTES.url, "n", "v")
    assert list(message.resource_names) == ["a", "b"]
    assert (message.error_detail.code, message.error_detail.message) == (3, "bad")
    node = message.node
    assert (node.id, node.cluster, node.user_agent_name) == ("sidecar~1~a.b~c", "cl", "meshkit")
    assert json_format.MessageToDict(node.metadata) == {"LABELS": {"app": "x"}, "N": [1.0, None, True, "t", 2.5]}
    assert (node.locality.region, node.locality.zone, node.locality.sub_zone) == ("r", "z", "s")
    assert "envoy.lb.does_not_support_overprovisioning" in node.client_features


def test_delta_request() -> None:
    request = Request(ROUTES.url, subscribe=("a",), unsubscribe=("b",), initial_versions={"c": "", "d": "4"})
    message = discovery_pb2.DeltaDiscoveryRequest.FromString(encode_delta(request, NODE))
    assert list(message.resource_names_subscribe) == ["a"]
    assert list(message.resource_names_unsubscribe) == ["b"]
    assert dict(message.initial_resource_versions) == {"c": "", "d": "4"}
    assert not message.HasField("node")
    assert not message.HasField("error_detail")


def test_responses() -> None:
    sotw = discovery_pb2.DiscoveryResponse(version_info="v", nonce="n", type_url="t", canary=True)
    sotw.resources.add(type_url="t", value=b"x")
    got = decode_sotw(sotw.SerializeToString())
    assert (got.version, got.nonce, got.type_url, got.resources[0].value) == ("v", "n", "t", b"x")
    delta = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info="v", nonce="n", type_url="t", removed_resources=["r"]
    )
    delta.resources.add(name="a", version="1").resource.value = b"y"
    got = decode_delta(delta.SerializeToString())
    assert (got.resources[0].name, got.resources[0].version, got.resources[0].value, got.removed) == (
        "a",
        "1",
        b"y",
        ("r",),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_structs_both_ways(value: dict[str, object]) -> None:
    ours = compile_schema(STRUCT).encode(to_struct(value))  # type: ignore[arg-type]  # Hypothesis knows no recursive types
    theirs = struct_pb2.Struct()
    theirs.update(value)
    assert struct_pb2.Struct.FromString(ours) == theirs
    back: StructMessage = decode_struct(theirs.SerializeToString())
    assert back == to_struct(value)  # type: ignore[arg-type]


def test_text_of_a_struct() -> None:
    struct = StructMessage({"a": ValueMessage(string_value="x"), "b": ValueMessage(number_value=1.0)})
    assert (struct.text("a"), struct.text("b"), struct.text("c")) == ("x", "", "")
