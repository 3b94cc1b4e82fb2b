"""The module of one proto file: its services and rpcs with their Python names, checked against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)

from .comments import SourceInfo
from .descriptors import bare, dependencies, with_comments
from .errors import ProtoError
from .layout import layout_for
from .model import Embedded, Module, Rpc, Service
from .names import Names
from .naming import class_name, is_importable, method_name
from .options import Options
from .symbols import Symbols

__all__ = ["ModuleBuilder"]

# Field numbers of descriptor.proto, of which the paths of source locations are made.
_FILE_SERVICES, _SERVICE_METHODS = 6, 2
# What generated code needs, and the name it would like for it.
_OWN = {
    "abc": "_abc",
    "errors": "_errors",
    "rpc": "_rpc",
    "deprecated": "_deprecated",
    "file": "_FILE",
    "deps": "_dependencies",
}


class ModuleBuilder:
    """Makes the `Module` of ``file``; ``files`` and ``symbols`` are all that the request knows."""

    def __init__(
        self,
        file: FileDescriptorProto,
        files: Mapping[str, FileDescriptorProto],
        symbols: Symbols,
        options: Options,
    ) -> None:
        self._file = file
        self._files = files
        self._symbols = symbols
        self._source = SourceInfo(file)
        self._names = Names(_taken(file))
        self._own = {need: self._names.claim(wish) for need, wish in _OWN.items()}
        self._layout = layout_for(options.messages, file, symbols, self._names)

    def build(self, version: str) -> Module:
        """The whole module. Raises `ProtoError` where names clash or cannot be imported."""
        services = tuple(self._service(index, service) for index, service in enumerate(self._file.service))
        _check_distinct(services)
        return Module(
            path=self._layout.path,
            version=version,
            own=self._own,
            imports=self._layout.imports.lines(),
            services=services,
            file=Embedded(self._file.name, with_comments(self._file)),
            dependencies=tuple(Embedded(each.name, bare(each)) for each in dependencies(self._file, self._files)),
        )

    def _service(self, index: int, service: ServiceDescriptorProto) -> Service:
        path = (_FILE_SERVICES, index)
        name = f"{self._file.package}.{service.name}".lstrip(".")
        stem = class_name(service.name)
        place = f"{self._source.place(path)}: service {service.name}"
        if not is_importable(f"{stem}Base"):
            raise ProtoError(f"{place} would be class {stem}Base in Python, which is no name there; rename it")
        rpcs = tuple(
            self._rpc((*path, _SERVICE_METHODS, at), name, stem, each) for at, each in enumerate(service.method)
        )
        _check_attributes(service.name, rpcs)
        deprecated = service.options.deprecated or self._file.options.deprecated
        return Service(name, stem, self._source.comment(path), deprecated, rpcs, place)

    def _rpc(self, path: tuple[int, ...], service: str, stem: str, rpc: MethodDescriptorProto) -> Rpc:
        attribute = method_name(rpc.name)
        place = f"{self._source.place(path)}: rpc {rpc.name}"
        return Rpc(
            path=f"/{service}/{rpc.name}",
            attribute=attribute,
            constant=self._names.claim(f"_{stem}_{attribute}"),
            request=self._message(f"{place} takes", rpc.input_type),
            reply=self._message(f"{place} returns", rpc.output_type),
            client_streaming=rpc.client_streaming,
            server_streaming=rpc.server_streaming,
            idempotency=_idempotency(rpc.options),
            deprecated=rpc.options.deprecated,
            doc=self._source.comment(path),
            place=place,
        )

    def _message(self, use: str, type_name: str) -> str:
        symbol = self._symbols.find(type_name)
        if symbol is None:
            raise ProtoError(f"{use} {type_name.lstrip('.')}, which no imported file defines (a missing import?)")
        return self._layout.reference(symbol, use)


def _taken(file: FileDescriptorProto) -> set[str]:
    classes = (class_name(service.name) for service in file.service)
    attributes = (method_name(rpc.name) for service in file.service for rpc in service.method)
    return {f"{stem}{kind}" for stem in classes for kind in ("Base", "Client")}.union(attributes)


def _idempotency(options: MethodOptions) -> str:
    # "" for the default: there is nothing to say about it. IDEMPOTENCY_UNKNOWN is 0.
    level = options.idempotency_level
    return MethodOptions.IdempotencyLevel.Name(level) if level else ""


def _check_attributes(service: str, rpcs: Iterable[Rpc]) -> None:
    seen: dict[str, Rpc] = {}
    for rpc in rpcs:
        other = seen.setdefault(rpc.attribute, rpc)
        if other is not rpc:
            raise ProtoError(
                f"{other.place} and {rpc.place} of service {service} are both {rpc.attribute}() in Python; rename one"
            )


def _check_distinct(services: Iterable[Service]) -> None:
    seen: dict[str, Service] = {}
    for service in services:
        other = seen.setdefault(service.stem, service)
        if other is not service:
            raise ProtoError(f"{other.place} and {service.place} are both class {service.base} in Python; rename one")
