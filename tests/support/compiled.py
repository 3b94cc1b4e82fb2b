"""meshkit with its pure rooms compiled by mypyc, as the optional build makes it: a wheel, unpacked into a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PROJECT", "compiled_site", "run_with"]

PROJECT = Path(__file__).parent.parent.parent
_LIMIT = 900.0  # seconds: mypyc and the C compiler take minutes


def compiled_site(folder: Path) -> Path:
    """Build the wheel in ``folder``; gives the folder below it that stands for site-packages."""
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run_with([sys.executable, *words, str(PROJECT)], folder, MESHKIT_COMPILE="1")
    (wheel,) = folder.glob("*.whl")
    assert "none-any" not in wheel.name, f"{wheel.name} has nothing compiled in it"
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run_with(words: Sequence[str], folder: Path, **environment: str) -> None:
    """Run a program in ``folder`` with more in its environment; AssertionError, with what it said, if it fails."""
    done = subprocess.run(
        words, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=_LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
