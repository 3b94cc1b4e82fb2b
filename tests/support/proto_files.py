"""Proto files of a test: written, compiled by protoc, asked for from the plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from meshkit_codegen.plugin import respond
from meshkit_codegen.protoc import compile_protos
from meshkit_codegen.sources import Sources


def write_protos(folder: Path, files: Mapping[str, str]) -> Path:
    """``files`` by name below ``folder``; proto3 where a text does not say what it is."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "" if text.lstrip().startswith(("syntax", "edition")) else 'syntax = "proto3";\n'
        path.write_text(head + dedent(text))
    return folder


def request_for(
    folder: Path, files: Mapping[str, str], generate: Sequence[str] | None = None, parameter: str = ""
) -> CodeGeneratorRequest:
    """What protoc would ask of a plugin for ``generate``, by default all of ``files``."""
    sources = Sources(tuple(files), (write_protos(folder / "protos", files),))
    descriptors = compile_protos(sources, folder)
    wanted = files if generate is None else generate
    return CodeGeneratorRequest(file_to_generate=wanted, proto_file=descriptors.file, parameter=parameter)


def answer(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """The plugin's answer."""
    return CodeGeneratorResponse.FromString(respond(request.SerializeToString()))


def contents(request: CodeGeneratorRequest) -> dict[str, str]:
    """The modules that the plugin writes for ``request``, by path."""
    response = answer(request)
    assert not response.error, response.error
    return {file.name: file.content for file in response.file}


def error_of(request: CodeGeneratorRequest) -> str:
    """The plugin's error for ``request``; it then writes nothing, and says so in one line."""
    response = answer(request)
    assert response.error
    assert not response.file
    assert "\n" not in response.error
    return response.error
