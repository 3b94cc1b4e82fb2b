"""The wheel, as it is built: what is in it, what it asks for."""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.support.wheel import built_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    return ZipFile(built_wheel(tmp_path_factory.mktemp("wheel")))


def metadata(wheel: ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_the_wheel_has_its_types_and_templates_and_nothing_beside_the_packages(wheel: ZipFile) -> None:
    names = set(wheel.namelist())
    packages = {"meshkit", "meshkit_codegen", "meshkit_templates"}
    assert {f"{package}/py.typed" for package in packages} <= names
    assert {"meshkit_templates/services.py.j2", "meshkit_templates/demo/greeter.proto"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == packages


def test_the_runtime_and_the_compiler_take_the_same_series(wheel: ZipFile) -> None:
    """Or pip installs, here and where the code runs, releases that refuse each other's messages."""
    asked = [Requirement(text) for text in metadata(wheel).get_all("Requires-Dist", [])]
    allowed = {each.name.replace("-", "_"): each.specifier for each in asked}
    assert allowed["betterproto2"] == allowed["betterproto2_compiler"]


@pytest.mark.parametrize("package", ["envoy_data_plane", "grpc_tools", "jinja2"])
def test_the_demo_without_an_extra_says_what_to_install(package: str, tmp_path: Path) -> None:
    hide = (
        f"import importlib.util as u, sys; f = u.find_spec; u.find_spec = lambda n: None if n == {package!r} else f(n)"
    )
    run = "sys.argv = ['meshkit', 'demo']; from meshkit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}; {run}"], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "meshkit: meshkit demo needs packages that are not installed; run: pip install 'meshkit[all]'"
    ]
