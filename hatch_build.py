"""The optional build of the pure rooms as C extensions: ``MESHKIT_COMPILE=1 pip install .``

mypyc compiles the sources as they are; without the variable nothing is compiled, and the same sources run as Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("meshkit/wire",)
_SETUP = """
from mypyc.build import mypycify
from setuptools import setup

setup(name="meshkit-compiled", packages=[], ext_modules=mypycify({modules!r}, opt_level="3", group_name="meshkit"))
"""


class CompiledRooms(BuildHookInterface[Any]):
    """Adds the extensions to a wheel beside their sources."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What building needs beside hatchling."""
        return ["mypy>=1.15", "setuptools>=75"] if _wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile in a folder of our own, so that the tree stays as it is."""
        if self.target_name != "wheel" or version == "editable" or not _wanted():
            return
        self._scratch = tempfile.mkdtemp()
        for built in compiled(Path(self.root), Path(self._scratch)):
            build_data["force_include"][str(built)] = built.relative_to(self._scratch).as_posix()
        build_data["pure_python"], build_data["infer_tag"] = False, True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Nothing is left behind."""
        shutil.rmtree(getattr(self, "_scratch", ""), ignore_errors=True)


def _wanted() -> bool:
    return os.environ.get("MESHKIT_COMPILE") == "1"


def compiled(root: Path, scratch: Path) -> list[Path]:
    """The extensions of every module in `ROOMS`, below ``scratch`` as they lie in the package."""
    shutil.copytree(root / "meshkit", scratch / "meshkit", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    modules = sorted(
        path.relative_to(scratch).as_posix()
        for room in ROOMS
        for path in (scratch / room).glob("*.py")
        if path.name != "__init__.py"
    )
    (scratch / "setup.py").write_text(_SETUP.format(modules=modules))
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=scratch, check=True)
    return sorted(path for path in scratch.rglob("*.so") if "build" not in path.relative_to(scratch).parts)
