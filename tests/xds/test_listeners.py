"""Listener: what a server learns of its own port, from the protos and from a real istiod's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.service.discovery.v3 import discovery_pb2

from meshkit.xds.listeners import FilterChain, Listener, RbacRules, decode_listener
from meshkit.xds.tables import Invalid

FIXTURE = Path(__file__).parent.parent / "fixtures" / "istio" / "grpc_inbound_lds.bin"


def chain(*rbac: Any, tls: bool | None = None, **fields: Any) -> Any:
    """A chain with these RBAC filters; ``tls``: whether a client certificate is required, None for plain text."""
    manager = http_connection_manager_pb2.HttpConnectionManager()
    for config in rbac:
        manager.http_filters.add(name="rbac").typed_config.Pack(config)
    message = listener_components_pb2.FilterChain(name="c", **fields)
    message.filters.add(name="tcp").typed_config.type_url = "type.googleapis.com/some.other.Filter"
    message.filters.add(name="hcm").typed_config.Pack(manager)
    if tls is not None:
        context = tls_pb2.DownstreamTlsContext()
        context.require_client_certificate.value = tls
        message.transport_socket.typed_config.Pack(context)
    return message


def rules(action: int, *policies: str) -> Any:
    return rbac_pb2.RBAC(action=action, policies={name: rbac_pb2.Policy() for name in policies})


def decoded(*chains: Any, **fields: Any) -> Listener:
    return decode_listener(listener_pb2.Listener(name="l", filter_chains=chains, **fields).SerializeToString())


def test_chains() -> None:
    match = listener_components_pb2.FilterChainMatch()
    match.destination_port.value = 80
    found = decoded(chain(tls=True, filter_chain_match=match), chain(tls=False), default_filter_chain=chain())
    assert found.chains == (
        FilterChain("c", 80, tls=True, client_certificate=True),
        FilterChain("c", None, tls=True),
        FilterChain("c"),
    )


def test_rbac_filters_by_action_and_name_of_policy() -> None:
    both = rbac_filter_pb2.RBAC(rules=rules(1, "b", "a"), shadow_rules=rules(0, "dry"))
    empty = rbac_filter_pb2.RBAC(rules=rules(0))
    assert decoded(chain(both, empty)).chains[0].rbac == (
        RbacRules("rbac", "DENY", ("a", "b")),
        RbacRules("rbac", "ALLOW", ("dry",), shadow=True),
        RbacRules("rbac", "ALLOW", ()),
    )


def test_refused() -> None:
    with pytest.raises(Invalid, match="name is not set"):
        decode_listener(b"")
    with pytest.raises(Invalid, match="rbac action 7"):
        decoded(chain(rbac_filter_pb2.RBAC(rules=rules(7))))


def test_what_a_real_istiod_sent() -> None:
    response = discovery_pb2.DiscoveryResponse.FromString(FIXTURE.read_bytes())
    listener = decode_listener(response.resources[0].value)
    assert listener.name == "xds.istio.io/grpc/lds/inbound/0.0.0.0:19080"
    assert listener.chains == (
        FilterChain(
            "inbound-mtls",
            None,
            tls=True,
            client_certificate=True,
            rbac=(
                RbacRules("envoy.filters.http.rbac.DENY", "DENY", ("demo-deny-x-0",)),
                RbacRules("envoy.filters.http.rbac", "ALLOW", ("demo-allow-app-0",)),
            ),
        ),
    )
