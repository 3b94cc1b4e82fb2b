import re
from pathlib import Path

import pytest

from meshkit.errors import ConfigError
from meshkit.mesh.settings import Settings, load_settings


def test_without_any_setting_the_control_plane_is_the_local_one() -> None:
    settings = load_settings({}, {})
    assert settings == Settings()
    assert settings.control_plane == "127.0.0.1:15010"
    assert settings.ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("control_plane", "ip"),
    [
        ("127.0.0.1:15010", "127.0.0.1"),
        ("[::1]:15010", "::1"),
        ("localhost:15010", "127.0.0.1"),
        ("unix:/run/xds", "127.0.0.1"),
        ("nowhere.invalid:15010", "127.0.0.1"),
    ],
)
def test_the_address_is_that_of_the_way_to_the_control_plane(control_plane: str, ip: str) -> None:
    assert load_settings({"control_plane": control_plane}, {}).ip == ip


def test_arguments_win_over_the_environment_and_that_over_defaults() -> None:
    environment = {"MESHKIT_SERVICE": "env", "MESHKIT_NAMESPACE": "prod", "MESHKIT_LABELS": "version=v1, zone=a"}
    settings = load_settings({"service": "arg", "namespace": None}, environment)
    assert settings.host == "arg.prod.svc.cluster.local"
    assert settings.labels == {"version": "v1", "zone": "a"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("MESHKIT_CONTROL_PLANE", "https://istiod:15010", "must be host:port"),
        ("MESHKIT_CONTROL_PLANE", "istiod", "must be host:port"),
        ("MESHKIT_LABELS", "version", "is not name=value"),
        ("MESHKIT_XDS", "rest", "must be one of delta, sotw"),
        ("MESHKIT_GENERATOR", "api", "must be one of '', grpc"),
        ("MESHKIT_WAIT", "-1", "must be at least 0"),
        ("MESHKIT_WAIT", "nan", "must be at least 0"),
        ("MESHKIT_SERVICE_PORT", "http", "invalid literal"),
        ("MESHKIT_SERVICE_PORT", "70000", "must be 1 to 65535"),
        ("MESHKIT_CONNECTIONS", "0", "must be at least 1"),
    ],
)
def test_a_bad_variable_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"environment variable {name}='{text}'.*{said}"):
        load_settings({}, {name: text})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("xds", "rest", "must be one of delta, sotw"),
        ("service_port", 0, "must be 1 to 65535"),
        ("connections", 0, "must be at least 1"),
        ("wait", [], "not supported"),
        ("labels", "version", "is not name=value"),
    ],
)
def test_a_bad_argument_is_named(name: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"Mesh({name}={value!r})") + f".*{said}"):
        load_settings({name: value}, {f"MESHKIT_{name.upper()}": "an argument wins"})


def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no setting 'port'; there are: control_plane"):
        load_settings({"port": 1}, {})


def test_text_means_the_same_as_an_argument_and_as_a_variable() -> None:
    words = {"labels": "version=v1", "wait": "2", "strategies": "standard, static"}
    assert load_settings(words, {}) == load_settings({}, {f"MESHKIT_{k.upper()}": v for k, v in words.items()})
    assert load_settings({"root_cert": Path("/ca.pem")}, {}).root_cert == "/ca.pem"


def test_the_light_generator_takes_the_variant_that_it_works_with() -> None:
    assert load_settings({"generator": "grpc"}, {}).xds == "sotw"
    assert load_settings({"generator": ""}, {"MESHKIT_GENERATOR": "grpc"}).xds == "delta"


def test_the_docs_have_every_setting_with_its_variable_and_default() -> None:
    text = Path("docs/settings.md").read_text()
    for item in filter(lambda item: item.metadata, Settings.__dataclass_fields__.values()):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{item.name}` "))
        assert f"`{item.metadata['env']}`" in row
        assert item.metadata["meaning"].partition(":")[0].partition(";")[0] in row
