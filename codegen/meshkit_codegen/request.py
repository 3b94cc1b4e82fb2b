"""From protoc's request to the modules to write: one for each file to generate that has services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from .errors import ProtoError
from .layout import output_path
from .model import Module
from .options import Options
from .services import ModuleBuilder
from .symbols import Symbols

__all__ = ["modules"]


def modules(request: CodeGeneratorRequest, version: str) -> list[Module]:
    """The modules that ``request`` asks for, in its order. Raises `ProtoError` for what cannot be generated."""
    options = Options.parse(request.parameter)
    files = {file.name: file for file in request.proto_file}
    wanted = [file for file in _wanted(request, files) if file.service]
    _check_services(files.values())
    _check_outputs(options, wanted)
    symbols = Symbols(files)
    return [ModuleBuilder(file, files, symbols, options).build(version) for file in wanted]


def _wanted(request: CodeGeneratorRequest, files: Mapping[str, FileDescriptorProto]) -> Iterator[FileDescriptorProto]:
    for name in request.file_to_generate:
        if name not in files:
            raise ProtoError(f"{name}: to be generated, but its descriptor is missing from the request")
        yield files[name]


def _check_services(files: Iterable[FileDescriptorProto]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        for service in file.service:
            name = f"{file.package}.{service.name}".lstrip(".")
            other = seen.setdefault(name, file.name)
            if other != file.name:
                raise ProtoError(
                    f"service {name} is defined in {other} and in {file.name}; rename or remove one of them"
                )


def _check_outputs(options: Options, files: Iterable[FileDescriptorProto]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        path = output_path(options.messages, file)
        other = seen.setdefault(path, file.name)
        if other != file.name:
            raise ProtoError(f"{other} and {file.name} would both be written to {path}; rename one of them")
