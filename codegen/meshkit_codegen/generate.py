"""``meshkit gen``: messages and services in one go, with no protoc on the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from meshkit.errors import MissingExtra

from .errors import ProtoError
from .options import Messages, Options

if TYPE_CHECKING:
    from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest

    from .sources import Sources

__all__ = ["generate", "service_names"]

_NEEDED = {
    "betterproto2": ("grpc_tools", "jinja2", "betterproto2_compiler"),
    "protobuf": ("grpc_tools", "jinja2"),
}


def generate(
    protos: Sequence[Path | str],
    out: Path | str,
    *,
    proto_path: Sequence[Path | str] = (),
    messages: Messages = "betterproto2",
) -> list[Path]:
    """Write message classes, server bases and clients for ``protos`` below ``out``; returns the files.

    ``protos`` are .proto files or folders of them; imports are looked for in ``proto_path``, by default in the folders
    given and above the package folders of the files given. Nothing is written unless everything can be. Raises
    `ProtoError` for what is wrong with the proto files, `MissingExtra` without grpcio-tools and the like, and
    `OSError` where ``out`` cannot be written.
    """
    _require(Options.parse(f"messages={messages}").messages)
    from .sources import Sources

    sources = Sources.find([Path(proto) for proto in protos], [Path(root) for root in proto_path])
    with TemporaryDirectory(prefix="meshkit-gen-") as folder:
        made = _MAKERS[messages](sources, Path(out), Path(folder))
    return _write(Path(out), made)


def service_names(protos: Sequence[Path | str], *, proto_path: Sequence[Path | str] = ()) -> list[str]:
    """The full names of the services in ``protos``, which are given, and fail, as for `generate`."""
    _require("protobuf")
    from .protoc import compile_protos
    from .sources import Sources

    sources = Sources.find([Path(proto) for proto in protos], [Path(root) for root in proto_path])
    with TemporaryDirectory(prefix="meshkit-gen-") as folder:
        files = compile_protos(sources, Path(folder)).file
    own = [file for file in files if file.name in sources.names]
    return [f"{file.package}.{service.name}".lstrip(".") for file in own for service in file.service]


def _require(messages: Messages) -> None:
    if any(find_spec(module) is None for module in _NEEDED[messages]):
        raise MissingExtra("meshkit gen", "gen")


def _with_betterproto2(sources: Sources, out: Path, folder: Path) -> dict[str, str]:
    from .betterproto2 import betterproto2_messages, earlier_sources

    request = _request(sources, folder)
    services = _services(request, "betterproto2")
    while more := earlier_sources(request, sources, out):
        sources = sources.with_names(more)
        request = _request(sources, folder)
    return {**betterproto2_messages(request, folder / "betterproto2"), **services}


def _with_protobuf(sources: Sources, out: Path, folder: Path) -> dict[str, str]:
    from .protoc import google_python

    services = _services(_request(sources, folder), "protobuf")
    return {**google_python(sources, folder / "python"), **services}


_MAKERS = {"betterproto2": _with_betterproto2, "protobuf": _with_protobuf}


def _request(sources: Sources, folder: Path) -> CodeGeneratorRequest:
    from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest

    from .protoc import compile_protos

    descriptors = compile_protos(sources, folder)
    return CodeGeneratorRequest(file_to_generate=sources.names, proto_file=descriptors.file)


def _services(request: CodeGeneratorRequest, messages: Messages) -> dict[str, str]:
    """The modules of our own plugin, asked in the same words as protoc would."""
    from google.protobuf.compiler.plugin_pb2 import CodeGeneratorResponse

    from .plugin import respond

    request.parameter = f"messages={messages}"
    response = CodeGeneratorResponse.FromString(respond(request.SerializeToString()))
    if response.error:
        raise ProtoError(response.error)
    return {file.name: file.content for file in response.file}


def _write(out: Path, made: Mapping[str, str]) -> list[Path]:
    """Write what is new or changed. An empty file only makes its folder a package: one that exists is left alone."""
    for name, content in made.items():
        path = out / name
        if path.is_file() and (not content or path.read_text(encoding="utf-8") == content):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
    return [out / name for name in sorted(made)]
