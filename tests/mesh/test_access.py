"""From settings to TLS and a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshkit.discovery import DiscoveryOptions
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
