"""The protoc inside grpcio-tools, run as a process of this very interpreter: nothing needs to be on PATH."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from .errors import ProtoError
from .sources import Sources

__all__ = ["compile_protos", "google_python"]


def compile_protos(sources: Sources, folder: Path) -> FileDescriptorSet:
    """The descriptors of ``sources`` and all their imports, with comments. ``folder`` is for temporary files."""
    target = folder / "descriptors.bin"
    outputs = [f"--descriptor_set_out={target}", "--include_imports", "--include_source_info"]
    _run([*outputs, *sources.arguments()])
    return FileDescriptorSet.FromString(target.read_bytes())


def google_python(sources: Sources, folder: Path) -> dict[str, str]:
    """protoc's own Python messages (``_pb2.py``) and their types (``.pyi``), by path."""
    folder.mkdir()
    _run([f"--python_out={folder}", f"--pyi_out={folder}", *sources.arguments()])
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in written}


def _run(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-P", "-m", "grpc_tools.protoc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = done.stderr.strip()
    if done.returncode:
        raise ProtoError(complaints or f"protoc failed with status {done.returncode}")
    if complaints:  # warnings, such as an unused import
        print(complaints, file=sys.stderr)
