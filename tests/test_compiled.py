"""The optional build: a wheel whose pure rooms mypyc has compiled passes those rooms' own tests."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
ROOMS = ("wire", "balance", "route")


@pytest.mark.interop
def test_compiled_rooms_pass_their_tests(tmp_path: Path) -> None:
    site = tmp_path / "site"
    _unpack_wheel(tmp_path, site)
    assert list((site / "meshkit" / "wire").glob("connection.*.so"))
    for name in ("tests", "benchmarks"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\naddopts = --import-mode=importlib\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{room}" for room in ROOMS)]
    _run(words, tmp_path, PYTHONPATH=f"{site}{os.pathsep}{tmp_path}", PYTHONSAFEPATH="1")


def _unpack_wheel(folder: Path, site: Path) -> None:
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    _run([sys.executable, *words, str(PROJECT)], folder, MESHKIT_COMPILE="1")
    (wheel,) = folder.glob("*.whl")
    assert "none-any" not in wheel.name
    zipfile.ZipFile(wheel).extractall(site)


def _run(words: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        words, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
