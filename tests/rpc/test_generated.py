"""Generated code and the runtime it meets."""

import pytest

from meshkit.rpc import generated, generated_by


@pytest.mark.parametrize("version", ["1.4.0", "1.4.9", "1.3.0", "1.0.0rc1"])
def test_code_as_old_as_the_runtime_or_older_is_welcome(version: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generated, "__version__", "1.4.2")
    generated_by(version)


@pytest.mark.parametrize("version", ["1.5.0", "0.9.0", "2.0.0"])
def test_newer_code_and_code_of_another_major_is_not(version: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generated, "__version__", "1.4.2")
    with pytest.raises(ImportError, match=rf"protoc-gen-meshkit {version}, and meshkit 1\.4\.2 is installed"):
        generated_by(version)
