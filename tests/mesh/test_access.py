"""From settings to TLS and a token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshkit.discovery import DiscoveryOptions, build_node
from meshkit.errors import ConfigError
from meshkit.mesh import access
from meshkit.mesh.settings import load_settings


def options(environment: dict[str, str] | None = None, **arguments: object) -> DiscoveryOptions:
    return access.discovery_options(load_settings(arguments, environment or {}), environment or {})


def test_plaintext_unless_a_root_or_the_port_says_otherwise(tmp_path: Path) -> None:
    assert options().tls is None
    assert options(control_plane="istiod:15012").tls is not None
    named = options(root_cert="/ca.pem", server_name="istiod.istio-system.svc").tls
    assert named is not None
    assert named.server_name == "istiod.istio-system.svc"


def test_the_root_is_looked_for_where_istio_puts_it(tmp_path: Path) -> None:
    tls = options({"XDS_ROOT_CA": str(tmp_path / "root.pem")}, control_plane="istiod:15012").tls
    assert tls is not None
    with pytest.raises(ConfigError, match=r"no root certificate at .*root\.pem; mount it"):
        tls.current()
    (tmp_path / "root.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match=r"certificates in .*root\.pem cannot be used"):
        tls.current()
    system = options({"XDS_ROOT_CA": "SYSTEM"}, control_plane="istiod:15012").tls
    assert system is not None
    assert system.current().check_hostname


def test_a_token_that_nobody_named_goes_over_tls_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "istio-token"
    monkeypatch.setattr(access, "ISTIO_TOKEN", token)
    assert options(control_plane="istiod:15012").token_file is None
    token.write_text("secret")
    assert options(control_plane="istiod:15012").token_file == token
    assert options(control_plane="istiod:15010").token_file is None
    assert options(token_file="/other").token_file == Path("/other")


def test_generator_and_variant_must_fit() -> None:
    assert options(generator="grpc").identity.generator == "grpc"
    with pytest.raises(ConfigError, match="does not work over delta ADS"):
        options(generator="grpc", xds="delta")


POD = {
    "POD_NAME": "shop-1",
    "POD_NAMESPACE": "prod",
    "INSTANCE_IPS": "10.0.0.5,fd00::5",
    "SERVICE_ACCOUNT": "shop",
    "ISTIO_META_NETWORK": "n1",
    "ISTIO_METAJSON_LABELS": '{"app": "shop", "version": "v1"}',
}


def bootstrap(**node: object) -> dict[str, str]:
    servers = [{"server_uri": "unix:///run/xds", "channel_creds": [{"type": "insecure"}]}]
    return {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps({"xds_servers": servers, "node": node})}


def test_a_pod_introduces_itself() -> None:
    node = build_node(options(POD).identity)
    assert node.id == "sidecar~10.0.0.5~shop-1.prod~prod.svc.cluster.local"
    assert node.metadata == {
        "NAMESPACE": "prod",
        "CLUSTER_ID": "Kubernetes",
        "INSTANCE_IPS": "10.0.0.5,fd00::5",
        "LABELS": {"app": "shop", "version": "v1"},
        "DISABLE_HBONE_SEND": "true",
        "SERVICE_ACCOUNT": "shop",
        "NETWORK": "n1",
    }


def test_settings_win_over_the_pod() -> None:
    node = build_node(options(POD | {"MESHKIT_LABELS": "version=v2"}, namespace="demo", address="127.0.0.9").identity)
    assert node.id == "sidecar~127.0.0.9~shop-1.demo~demo.svc.cluster.local"
    assert node.metadata["INSTANCE_IPS"] == "127.0.0.9"
    assert node.metadata["LABELS"] == {"app": "shop", "version": "v2"}


def test_a_bootstrap_counts_where_no_control_plane_is_named() -> None:
    environment = POD | bootstrap(id="sidecar~10.1.1.1~other.demo~cluster.local", metadata={"GENERATOR": "grpc"})
    found = options(environment)
    assert (found.address, found.mode, found.identity.generator) == ("unix:/run/xds", "sotw", "grpc")
    node = build_node(found.identity)
    assert node.id == "sidecar~10.1.1.1~other.demo~demo.svc.cluster.local"
    assert node.metadata["LABELS"] == {"app": "shop", "version": "v1"}
    for named, arguments in (
        (environment | {"MESHKIT_CONTROL_PLANE": "istiod:15010"}, {}),
        (environment | {"GRPC_XDS_BOOTSTRAP": "/nowhere"}, {"control_plane": "istiod:15010"}),
    ):
        found = options(named, **arguments)
        assert (found.address, found.mode) == ("istiod:15010", "delta")


def test_an_id_of_another_kind_is_sent_as_it_is() -> None:
    node = build_node(options(bootstrap(id="node-1", cluster="c", locality={"region": "r"})).identity)
    assert (node.id, node.cluster) == ("node-1", "c")
    assert node.locality is not None
    assert node.locality.region == "r"


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"POD_NAME": "shop\udcff"}, id="a variable that is not UTF-8"),
        pytest.param({"ISTIO_METAJSON_LABELS": r'{"app": "shop\udcff"}'}, id="an escape in JSON"),
        pytest.param(bootstrap(id="shop\udcff"), id="an escape in a bootstrap"),
        pytest.param(bootstrap(locality={"region": "shop\udcff"}), id="a locality"),
    ],
)
def test_what_cannot_be_sent_is_named_at_once(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"what this process says of itself is not UTF-8 text: .*shop\\udcff"):
        options(environment)


def test_a_bad_word_of_the_pod_is_named() -> None:
    with pytest.raises(ConfigError, match="generator 'api' of the pod: must be one of"):
        options({"ISTIO_META_GENERATOR": "api"})
