from pathlib import Path

import pytest

from meshkit.errors import ConfigError
from meshkit.mesh.settings import Settings, load_settings


def test_without_any_setting_the_control_plane_is_the_local_one() -> None:
    settings = load_settings({}, {})
    assert settings == Settings()
    assert settings.control_plane == "127.0.0.1:15010"
    assert settings.ip == "127.0.0.1"


def test_arguments_win_over_the_environment_and_that_over_defaults() -> None:
    environment = {"MESHKIT_SERVICE": "env", "MESHKIT_NAMESPACE": "prod", "MESHKIT_LABELS": "version=v1, zone=a"}
    settings = load_settings({"service": "arg", "namespace": None}, environment)
    assert settings.host == "arg.prod.svc.cluster.local"
    assert settings.labels == {"version": "v1", "zone": "a"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("MESHKIT_LABELS", "version", "is not name=value"),
        ("MESHKIT_XDS", "rest", "must be one of delta, sotw"),
        ("MESHKIT_WAIT", "-1", "must not be negative"),
        ("MESHKIT_SERVICE_PORT", "http", "invalid literal"),
    ],
)
def test_a_bad_variable_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"environment variable {name}='{text}'.*{said}"):
        load_settings({}, {name: text})


@pytest.mark.parametrize("bad", [{"xds": "rest"}, {"service_port": 0}, {"connections": 0}, {"port": 1}])
def test_a_bad_argument_is_named(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        load_settings(bad, {})


def test_the_docs_have_every_setting_with_its_variable_and_default() -> None:
    text = Path("docs/settings.md").read_text()
    for item in Settings.__dataclass_fields__.values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{item.name}` "))
        assert f"`{item.metadata['env']}`" in row
        assert item.metadata["meaning"].partition(":")[0].partition(";")[0] in row
