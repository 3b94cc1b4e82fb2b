"""Listeners of the grpc generator: what istiod makes of the same file, and the inbound ones."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from meshkit.control.encoding import encode
from meshkit.control.listeners import listener, listener_names
from tests.support.istio_captures import GRPC, captured, comparable, input_world


def made(name: str) -> Any:
    return listener_pb2.Listener.FromString(encode(listener(input_world(), name, GRPC)))


@pytest.mark.parametrize("name", list(captured("grpc_lds")))
def test_the_grpc_generator_is_istiods(name):
    assert comparable(made(name)) == comparable(captured("grpc_lds")[name])


def test_a_host_means_all_its_ports_and_unknown_ones_nothing():
    def names(name: str) -> list[str]:
        return listener_names(input_world(), name, GRPC)

    assert names("plain") == ["plain:20000"]
    assert names("plain.demo.svc.cluster.local") == ["plain.demo.svc.cluster.local:20000"]
    assert names("com.example.greeter:80") == ["com.example.greeter:80"]
    assert names("reviews:9081") == names("nowhere:80") == names("nowhere") == []
    assert names("xds.istio.io/grpc/lds/inbound/[::]:50051") == ["xds.istio.io/grpc/lds/inbound/[::]:50051"]


def test_a_server_s_listener_lets_every_call_in():
    name = "xds.istio.io/grpc/lds/inbound/0.0.0.0:50051"
    found = made(name)
    assert (found.name, found.address.socket_address.port_value) == (name, 50051)
    manager = http_connection_manager_pb2.HttpConnectionManager.FromString(
        found.filter_chains[0].filters[0].typed_config.value
    )
    (route,) = manager.route_config.virtual_hosts[0].routes
    assert route.HasField("non_forwarding_action")
    assert [one.name for one in manager.http_filters] == ["envoy.filters.http.router"]
