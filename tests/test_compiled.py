"""The optional build: a wheel whose pure rooms mypyc has compiled passes those rooms' own tests."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.compiled import PROJECT, compiled_site, run_with

ROOMS = ("wire", "balance", "route")


@pytest.mark.interop
def test_compiled_rooms_pass_their_tests(tmp_path: Path) -> None:
    site = compiled_site(tmp_path)
    assert list((site / "meshkit" / "wire").glob("connection.*.so"))
    for name in ("tests", "benchmarks"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\naddopts = --import-mode=importlib\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{room}" for room in ROOMS)]
    run_with(words, tmp_path, PYTHONPATH=f"{site}{os.pathsep}{tmp_path}", PYTHONSAFEPATH="1")
