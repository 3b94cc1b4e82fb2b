"""The protoc inside grpcio-tools, run as a process of this very interpreter: nothing needs to be on PATH."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from .errors import ProtoError
from .sources import Sources

__all__ = ["compile_protos", "google_python"]


_NOT_FOUND = ": File not found."
# What absl, protoc's logger, puts around its words: a line on its own state; level, time, thread and place in C++.
_ABSL = re.compile(r"^WARNING: All log messages before absl.*\n|^[IWEF]\d{4} [\d.:]+ +\d+ \S+\] ", re.MULTILINE)


def compile_protos(sources: Sources, folder: Path) -> FileDescriptorSet:
    """The descriptors of ``sources`` and all their imports, with comments. ``folder`` is for temporary files.

    Raises `ProtoError` with protoc's own words; its warnings go to standard error.
    """
    target = folder / "descriptors.bin"
    outputs = (f"--descriptor_set_out={target}", "--include_imports", "--include_source_info")
    warnings = _run(sources, *outputs)
    if warnings:
        print(warnings, file=sys.stderr)
    return FileDescriptorSet.FromString(target.read_bytes())


def google_python(sources: Sources, folder: Path) -> dict[str, str]:
    """protoc's own Python messages (``_pb2.py``) and their types (``.pyi``), by path."""
    folder.mkdir()
    _run(sources, f"--python_out={folder}", f"--pyi_out={folder}")
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in written}


def _run(sources: Sources, *outputs: str) -> str:
    command = [sys.executable, "-P", "-m", "grpc_tools.protoc", *outputs, *sources.arguments()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = _ABSL.sub("", done.stderr).strip()
    if done.returncode:
        raise ProtoError(_explained(complaints, sources) or f"protoc failed with status {done.returncode}")
    return complaints


def _explained(complaints: str, sources: Sources) -> str:
    """protoc says of a lost import that it is lost, again where it is imported, and once more for each name from it.

    The place of the import will do, with what helps.
    """
    lines = complaints.splitlines()
    lost = [line.removesuffix(_NOT_FOUND) for line in lines if line.endswith(_NOT_FOUND)]
    places = [line for line in lines if any(f'Import "{name}"' in line for name in lost)]
    if not places:
        return complaints
    looked = f"; imports are looked for in {', '.join(map(str, sources.roots))} (change that with --proto-path)"
    return "\n".join(f"{line.removesuffix('.')}{looked}" for line in places)
