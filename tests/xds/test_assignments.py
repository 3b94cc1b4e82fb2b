"""ClusterLoadAssignment: what is taken and what is refused (gRFC A27; Envoy)."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2

from meshkit.codec import DecodeError, finish
from meshkit.xds.assignments import decode_assignment
from meshkit.xds.resources import ClusterLoadAssignment, Endpoint, HealthStatus
from meshkit.xds.tables import Invalid
from tests.support.ads_server import endpoints

REFUSED = (Invalid, DecodeError)  # the codec adds the path of the field to what building one endpoint refuses


def decoded(message: Any) -> ClusterLoadAssignment:
    found = finish(decode_assignment(message if isinstance(message, bytes) else message.SerializeToString()))
    assert isinstance(found, ClusterLoadAssignment)
    return found


def only(message: Any) -> Endpoint:
    ((endpoint,),) = (locality.endpoints for locality in decoded(message).localities)
    return endpoint


def test_addresses() -> None:
    assert only(endpoints("a", "10.0.0.1:80")).address == "10.0.0.1:80"
    assert only(endpoints("a", "fd00::1:80")).address == "[fd00::1]:80"
    message = endpoint_pb2.ClusterLoadAssignment()
    address = message.endpoints.add().lb_endpoints.add().endpoint.address
    address.pipe.path = "/run/x"
    assert only(message).address == "unix:/run/x"
    address.envoy_internal_address.server_listener_name = "connect_originate"
    internal = only(message)
    assert (internal.address, internal.usable) == ("internal:connect_originate", False)


@pytest.mark.parametrize(
    ("number", "usable"), [(0, True), (1, True), (2, False), (3, False), (4, False), (5, False), (9, False)]
)
def test_health(number: int, usable: bool) -> None:
    message = endpoints("a", "10.0.0.1:80")
    message.endpoints[0].lb_endpoints[0].health_status = number
    assert only(message).usable == usable


def test_weights_and_metadata() -> None:
    message = endpoints("a", "10.0.0.1:80", weight=3)
    item = message.endpoints[0].lb_endpoints[0]
    item.metadata.filter_metadata["istio"].fields["workload"].string_value = "w;ns"
    item.metadata.filter_metadata["envoy.transport_socket_match"].fields["tlsMode"].string_value = "istio"
    found = only(message)
    assert (found.weight, found.workload, found.tls_mode) == (3, "w;ns", "istio")
    item.ClearField("load_balancing_weight")
    item.ClearField("metadata")
    plain = only(message)
    assert (plain.weight, plain.workload, plain.tls_mode, plain.health) == (1, "", "", HealthStatus.UNKNOWN)
    assert Endpoint("a:1", metadata=b"\xff").workload == ""


def test_what_envoy_takes_is_taken() -> None:
    message = endpoints("a", "10.0.0.1:80", "10.0.0.1:80")
    message.endpoints.append(message.endpoints[0])
    message.endpoints[0].ClearField("locality")
    message.endpoints[0].ClearField("load_balancing_weight")
    found = decoded(message)
    assert [locality.weight for locality in found.localities] == [None, 2]
    assert decoded(endpoint_pb2.ClusterLoadAssignment(cluster_name="x")).localities == ()


def two_priorities(first: int, second: int) -> Any:
    message = endpoints("a", "10.0.0.1:80")
    message.endpoints.append(message.endpoints[0])
    message.endpoints[0].priority, message.endpoints[1].priority = first, second
    return message


def test_priorities() -> None:
    assert [locality.priority for locality in decoded(two_priorities(0, 1)).localities] == [0, 1]
    for gap in (two_priorities(0, 2), two_priorities(1, 1)):
        with pytest.raises(Invalid, match="gap"):
            decoded(gap)


def test_refused() -> None:
    zero = endpoints("a", "10.0.0.1:80", weight=0)
    with pytest.raises(REFUSED, match=r"10\.0\.0\.1:80: load_balancing_weight is 0"):
        decoded(zero)
    named = endpoints("a", "10.0.0.1:80")
    socket = named.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    socket.named_port = "http"
    with pytest.raises(REFUSED, match="named ports"):
        decoded(named)
    socket.ClearField("named_port")
    with pytest.raises(REFUSED, match="without a port"):
        decoded(named)
    socket.ClearField("address")
    with pytest.raises(REFUSED, match="no address"):
        decoded(named)
    heavy = two_priorities(0, 0)
    for locality in heavy.endpoints:
        locality.load_balancing_weight.value = 2**31
    with pytest.raises(REFUSED, match="above"):
        decoded(heavy)
    with pytest.raises(DecodeError):
        decoded(b"\x12\xff")
