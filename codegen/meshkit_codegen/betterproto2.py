"""betterproto2's message classes, by its own plugin, around what goes wrong when that is run bare.

It calls ``ruff`` by name: the folder of this interpreter's scripts is put on its PATH. It reads ruff's settings and
looks for ``__init__.py`` in the current folder, and leaves a file there when it fails: it gets an empty one. It writes
one module for each package from the files of one run only: a later run over other files of the package would drop the
first one's messages, so the files that the module was made from before are found by its header and generated again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

from .errors import ProtoError
from .fields import check_fields, keep_presence
from .sources import Sources

__all__ = ["betterproto2_messages", "earlier_sources"]

_PARAMETER = "client_generation=none,server_generation=none"
_HEADER = "# sources: "
_PLUGIN = "# plugin: python-betterproto2"


def betterproto2_messages(request: CodeGeneratorRequest, folder: Path) -> dict[str, str]:
    """The modules of all packages in ``request``, by path. ``folder`` is empty, for the plugin to run in.

    Raises `ProtoError` for what that plugin cannot make, or would lose.
    """
    check_fields(request.proto_file)
    folder.mkdir()
    (folder / "ruff.toml").touch()  # or it would find the settings of whoever runs it
    asked = CodeGeneratorRequest()
    asked.CopyFrom(request)
    keep_presence(asked.proto_file)
    asked.parameter = _PARAMETER
    response = CodeGeneratorResponse.FromString(_run(asked.SerializeToString(), folder))
    if response.error:
        raise ProtoError(f"betterproto2: {response.error}")
    _check_editions(request, response)
    return {file.name: file.content for file in response.file}


def _run(data: bytes, folder: Path) -> bytes:
    scripts = (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    environment = {**os.environ, "PATH": os.pathsep.join(scripts)}
    command = [sys.executable, "-P", "-m", "betterproto2_compiler.plugin"]
    done = subprocess.run(command, input=data, capture_output=True, cwd=folder, env=environment, check=False)
    complaints = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode:
        raise ProtoError(f"betterproto2's generator failed: {complaints[-1] if complaints else done.returncode}")
    _pass_on(line for line in complaints if not line.startswith("Writing "))
    return done.stdout


def _pass_on(complaints: Iterable[str]) -> None:
    for line in complaints:
        print(f"betterproto2: {line}", file=sys.stderr)


def _check_editions(request: CodeGeneratorRequest, response: CodeGeneratorResponse) -> None:
    # protoc's own rule for plugins, which nobody else applies when the plugin is not run by protoc.
    if response.supported_features & CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS:
        return
    for file in request.proto_file:
        if file.syntax == "editions" and file.name in request.file_to_generate:
            raise ProtoError(
                f"{file.name}: written in an edition, which betterproto2 does not support; "
                "use proto3, or --messages protobuf"
            )


def earlier_sources(request: CodeGeneratorRequest, sources: Sources, out: Path) -> list[str]:
    """Files beyond those of ``request`` that the message modules in ``out`` hold, to be generated again with them.

    Raises `ProtoError` for one that cannot be found, because its messages would be lost.
    """
    known = {file.name for file in request.proto_file}
    found: list[str] = []
    for package in sorted({file.package for file in request.proto_file}):
        module = out.joinpath(*package.split("."), "__init__.py") if package else out / "__init__.py"
        found += [name for name in _sources_of(module) if name not in known and _check(name, sources, module)]
    return found


def _sources_of(module: Path) -> list[str]:
    if not module.is_file():
        return []
    with module.open(encoding="utf-8") as lines:
        head = [line.rstrip("\n") for line, _ in zip(lines, range(8), strict=False)]
    if _PLUGIN not in head:
        return []
    return [name for line in head if line.startswith(_HEADER) for name in line.removeprefix(_HEADER).split(", ")]


def _check(name: str, sources: Sources, module: Path) -> bool:
    if sources.locate(name) or files("grpc_tools").joinpath("_proto", name).is_file():
        return True
    raise ProtoError(
        f"{module}: holds the messages of {name} too, which is not found; betterproto2 has one module for a package, "
        f"so give all its files and their --proto-path (or delete that module, if {name} is gone for good)"
    )
