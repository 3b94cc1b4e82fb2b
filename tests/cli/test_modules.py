"""Modules that arguments name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meshkit.cli.modules import imported
from meshkit.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    return tmp_path


def test_a_module_of_the_current_folder_is_found(folder: Path) -> None:
    (folder / "module_of_the_folder.py").write_text("ANSWER = 42\n")
    assert imported("module_of_the_folder").ANSWER == 42


@pytest.mark.parametrize(("name", "missing"), [("not_here", "not_here"), ("json.not_here", "json.not_here")])
def test_a_module_that_is_not_there_is_said(name: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{name!r}: there is no module {missing!r} here"):
        imported(name)


def test_what_a_module_lacks_is_its_own_error(folder: Path) -> None:
    (folder / "module_that_lacks.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        imported("module_that_lacks")
