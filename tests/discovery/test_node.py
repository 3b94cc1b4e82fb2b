"""The node as Istio reads it."""

from __future__ import annotations

import json

from meshkit.discovery import NodeIdentity, Registration, build_node

GREETER = Registration("greeter.default.svc.cluster.local", "127.0.0.1:43121", ("helloworld.v1.Greeter", "x.Y"))


def test_plain_client() -> None:
    node = build_node(NodeIdentity("shop", "prod", "10.0.0.5", "shop-1", {"version": "v1"}))
    assert node.id == "sidecar~10.0.0.5~shop-1.prod~prod.svc.cluster.local"
    assert node.metadata == {
        "NAMESPACE": "prod",
        "CLUSTER_ID": "Kubernetes",
        "INSTANCE_IPS": "10.0.0.5",
        "LABELS": {"app": "shop", "version": "v1"},
        "DISABLE_HBONE_SEND": "true",
    }


def test_server_tells_what_it_serves_in_both_formats() -> None:
    node = build_node(NodeIdentity("greeter"), [GREETER])
    labels = node.metadata["LABELS"]
    assert isinstance(labels, dict)
    assert json.loads(labels["DUBBO_GO"]) == {
        "providers:helloworld.v1.Greeter::": "greeter.default.svc.cluster.local:80",
        "providers:x.Y::": "greeter.default.svc.cluster.local:80",
    }
    assert node.metadata["MESHKIT"] == {
        "endpoints": [{"host": "greeter.default.svc.cluster.local", "port": 80, "address": "127.0.0.1:43121"}]
    }


def test_dubbos_group_and_version_are_told_as_dubbo_go_does() -> None:
    served = Registration("greeter.default.svc.cluster.local", "127.0.0.1:1", ("g/x.Y:1.0", "x.Y:2.0", "g/x.Y"))
    labels = build_node(NodeIdentity("greeter"), [served]).metadata["LABELS"]
    assert isinstance(labels, dict)
    assert set(json.loads(labels["DUBBO_GO"])) == {"providers:x.Y:1.0:g", "providers:x.Y:2.0:", "providers:x.Y::g"}


def test_generator_and_own_metadata() -> None:
    node = build_node(NodeIdentity(generator="grpc", service_account="sa", metadata={"NETWORK": "n1"}))
    assert (node.metadata["GENERATOR"], node.metadata["SERVICE_ACCOUNT"], node.metadata["NETWORK"]) == (
        "grpc",
        "sa",
        "n1",
    )
    assert "DISABLE_HBONE_SEND" not in node.metadata


def test_two_processes_are_two_nodes() -> None:
    assert NodeIdentity().pod != NodeIdentity().pod
