"""The wheel of this tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["built_wheel"]

_ROOT = Path(__file__).parent.parent.parent


def built_wheel(folder: Path) -> Path:
    """The wheel, built into ``folder`` from the sources as they are; needs no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    return wheel
