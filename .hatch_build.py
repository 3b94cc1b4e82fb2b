"""An optional build: with ``MESHKIT_COMPILE=1`` in the environment the pure rooms are compiled by mypyc into the wheel.

They stay as they are in the source; what is compiled comes beside them, and Python prefers it. Nothing depends on it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ROOMS = ("wire", "balance", "route")


class CompileHook(BuildHookInterface[Any]):
    """Adds extension modules to a wheel; editable installs stay plain, so that an edit is an edit."""

    def dependencies(self) -> list[str]:
        return ["mypy>=1.11", "setuptools"] if _wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or not _wanted():
            return
        built = _compile(Path(self.root))
        build_data["force_include"] |= {str(path): str(path.relative_to(built)) for path in built.rglob("*.so")}
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _wanted() -> bool:
    return os.environ.get("MESHKIT_COMPILE") == "1"


def _compile(root: Path) -> Path:
    """Compile the rooms; gives the folder that the extensions are in, laid out as packages."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    built = Path(tempfile.mkdtemp(prefix="meshkit-build-"))
    os.chdir(root)  # module names come from relative paths
    sources = [path for room in _ROOMS for path in Path("meshkit", room).glob("*.py") if path.name != "__init__.py"]
    modules = mypycify([str(path) for path in sorted(sources)], opt_level="3", target_dir=str(built / "c"))
    command = Distribution({"ext_modules": modules, "packages": []}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(built / "lib"), str(built / "o")
    command.ensure_finalized()
    command.run()
    return built / "lib"
