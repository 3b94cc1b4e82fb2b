"""gRPC's bootstrap file, in the forms that Istio and gRPC's own documents have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshkit.discovery import find_bootstrap
from meshkit.discovery.bootstrap import parse_bootstrap
from meshkit.errors import ConfigError
from meshkit.xds.resources import Locality

# As Istio's agent writes it (pkg/istio-agent/testdata/grpc-bootstrap.json).
AGENT: dict[str, Any] = {
    "xds_servers": [
        {
            "server_uri": "unix:///etc/istio/proxy/XDS",
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }
    ],
    "node": {
        "id": "sidecar~10.0.0.5~app-1.demo~demo.svc.cluster.local",
        "locality": {"region": "r1", "zone": "z1"},
        "UserAgentVersionType": None,
        "metadata": {
            "GENERATOR": "grpc",
            "NAMESPACE": "demo",
            "LABELS": {"app": "app"},
            "CLUSTER_ID": "c1",
            "INSTANCE_IPS": "10.0.0.5,fd00::5",
            "SERVICE_ACCOUNT": "app",
            "PROXY_CONFIG": {},
        },
    },
    "certificate_providers": {
        "default": {"plugin_name": "file_watcher", "config": {"certificate_file": "/c.pem", "refresh_interval": "900s"}}
    },
    "server_listener_resource_name_template": "xds.istio.io/grpc/lds/inbound/%s",
}
TLS = {"type": "tls", "config": {"ca_certificate_file": "/ca.pem"}}


def server(uri: str = "istiod:15010", *creds: Any, **more: Any) -> dict[str, Any]:
    return {"xds_servers": [{"server_uri": uri, "channel_creds": creds or [{"type": "insecure"}], **more}]}


def parse(content: Any) -> Any:
    return parse_bootstrap(json.dumps(content), "here")


def test_the_file_of_istios_agent() -> None:
    found = parse(AGENT)
    assert (found.address, found.tls, found.listener_template) == (
        "unix:/etc/istio/proxy/XDS",
        None,
        "xds.istio.io/grpc/lds/inbound/%s",
    )
    pod = found.pod
    assert (pod.name, pod.namespace, pod.addresses, pod.node_id) == ("app-1", "demo", ("10.0.0.5", "fd00::5"), "")
    assert (pod.generator, pod.cluster_id, pod.service_account) == ("grpc", "c1", "app")
    assert (pod.labels, pod.locality, pod.metadata) == ({"app": "app"}, Locality("r1", "z1"), {"PROXY_CONFIG": {}})
    provider = found.certificate_providers["default"]
    assert (provider.plugin, provider.config["certificate_file"]) == ("file_watcher", "/c.pem")


def test_the_domain_of_istios_sample_is_mended() -> None:
    pod = parse({**server(), "node": {"id": "sidecar~10.0.0.5~app-1.x.demo~cluster.local"}}).pod
    assert (pod.name, pod.namespace, pod.addresses) == ("app-1.x", "demo", ("10.0.0.5",))


def test_the_id_of_another_control_plane_is_kept() -> None:
    pod = parse({**server(), "node": {"id": "projects/1/nodes/a", "cluster": "c"}}).pod
    assert (pod.node_id, pod.cluster, pod.name) == ("projects/1/nodes/a", "c", "")


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("istiod.istio-system.svc:15010", "istiod.istio-system.svc:15010"),
        ("dns:///istiod.istio-system.svc:15010", "istiod.istio-system.svc:15010"),
        ("dns://8.8.8.8/istiod:15010", "istiod:15010"),
        ("dns:istiod:15010", "istiod:15010"),
        ("istiod", "istiod:443"),
        ("ipv4:10.0.0.1:15010", "10.0.0.1:15010"),
        ("ipv6:[fd00::1]:15010", "[fd00::1]:15010"),
        ("[fd00::1]", "[fd00::1]:443"),
        ("unix:///run/xds", "unix:/run/xds"),
        ("unix:run/xds", "unix:run/xds"),
        ("unix-abstract:xds", "unix-abstract:xds"),
    ],
)
def test_targets_of_grpc(uri: str, address: str) -> None:
    assert parse(server(uri)).address == address


def test_the_first_server_and_credentials_that_can_be_used() -> None:
    google = {"type": "google_default"}
    servers = server("a:1", google)["xds_servers"] + server("b:2", google, TLS, {"type": "insecure"})["xds_servers"]
    found = parse({"xds_servers": servers})
    assert (found.address, found.tls is not None) == ("b:2", True)


def test_a_token_file_goes_with_tls() -> None:
    creds = [{"type": "other"}, {"type": "jwt_token_file", "config": {"jwt_token_file": "/token"}}]
    assert parse(server("a:1", TLS, call_creds=creds)).token_file == "/token"
    assert parse(server("a:1", call_creds=creds)).token_file == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (server("a:1", {"type": "google_default"}), r"known type \(insecure, tls\); there are: google_default"),
        ({}, "there are: none"),
        ({"xds_servers": "a:1"}, "xds_servers must be a list of objects"),
        ([], "it must be a JSON object"),
        (server(""), "server_uri '' is none of"),
        (server("xds:///a"), "server_uri 'xds:///a' is none of"),
        (server("a:1", {"type": "tls", "config": {"certificate_file": "/c"}}), "go together"),
        (server("a:1", {"type": ["tls"]}), "type must be text"),
        ({**server(), "certificate_providers": {"d": 1}}, "certificate_providers.d must be a JSON object"),
        ({**server(), "node": {"id": "sidecar~10.0.0.5~app"}}, "has 3 parts"),
        ({**server(), "node": {"metadata": {"LABELS": "x"}}}, "node.metadata: LABELS='x'"),
    ],
)
def test_what_cannot_be_used_is_named(content: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"bootstrap here: .*{said}"):
        parse(content)


def test_what_is_nested_too_deep_is_named() -> None:
    with pytest.raises(ConfigError, match="bootstrap here: it is nested too deep"):
        parse_bootstrap("[" * 100_000, "here")


def test_a_file_wins_over_text_and_must_be_readable(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(server("file:1")))
    inline = {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(server("inline:1"))}
    both = find_bootstrap(inline | {"GRPC_XDS_BOOTSTRAP": str(path)})
    only = find_bootstrap(inline)
    assert both is not None
    assert only is not None
    assert (both.address, only.address) == ("file:1", "inline:1")
    assert find_bootstrap({}) is None
    with pytest.raises(ConfigError, match="GRPC_XDS_BOOTSTRAP='/nowhere' cannot be read"):
        find_bootstrap({"GRPC_XDS_BOOTSTRAP": "/nowhere"})
    with pytest.raises(ConfigError, match="bootstrap GRPC_XDS_BOOTSTRAP_CONFIG: Expecting"):
        find_bootstrap({"GRPC_XDS_BOOTSTRAP_CONFIG": "{"})
