"""Where message classes are, and how a generated module reaches them; one layout for each kind of messages.

betterproto2 writes one module for each package, ``<package path>/__init__.py``; protoc's own Python generator one for
each file, ``<file path>_pb2.py``. Services stand beside them in ``<stem>_mesh.py``: a file of its own for each proto
file, so that runs over single files or single directories (buf) never write one file with different content.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from .errors import ProtoError
from .names import Names
from .naming import class_name, is_importable, module_stem
from .options import Messages
from .symbols import Symbol, Symbols

__all__ = ["Layout", "layout_for", "output_path"]

_WIDTH = 120
_WELL_KNOWN = "google/protobuf/"


class Imports:
    """Import statements: what is taken from each module."""

    def __init__(self) -> None:
        self._taken: dict[str, set[str]] = {}

    def add(self, module: str, name: str, alias: str) -> None:
        """Import ``name`` as ``alias`` from ``module``, or as a top module where ``module`` is empty."""
        self._taken.setdefault(module, set()).add(name if name == alias else f"{name} as {alias}")

    def lines(self) -> tuple[str, ...]:
        """The statements, sorted; a long one is wrapped."""
        return tuple(_statement(module, sorted(names)) for module, names in sorted(self._taken.items()))


def _statement(module: str, names: list[str]) -> str:
    if not module:
        return "\n".join(f"import {name}" for name in names)
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join((f"from {module} import (", *(f"    {name}," for name in names), ")"))


class Layout(Protocol):
    """How the module of one proto file names its messages."""

    path: str
    imports: Imports

    def reference(self, symbol: Symbol, use: str) -> str:
        """An expression for the class of ``symbol``, covered by ``imports``.

        Raises `ProtoError`, which begins with ``use`` ("a.proto:7: rpc Do takes"), where there can be none.
        """
        ...


def output_path(messages: Messages, file: FileDescriptorProto) -> str:
    """The generated module of ``file``, relative to the output folder, with slashes."""
    if messages == "protobuf":
        *folder, stem = _pb2_parts(file.name)
        return "/".join((*folder, f"{module_stem(stem)}_mesh.py"))
    return "/".join((*_package_parts(file.package), f"{module_stem(file.name)}_mesh.py"))


def layout_for(messages: Messages, file: FileDescriptorProto, symbols: Symbols, names: Names) -> Layout:
    """The layout of the module for ``file``; its aliases are claimed from ``names``."""
    if messages == "protobuf":
        return _Pb2(output_path(messages, file), names)
    return _Packages(output_path(messages, file), _package_parts(file.package), symbols, names)


@dataclass(slots=True)
class _Packages:
    """betterproto2: classes imported by name, relatively, from the package's own ``__init__``."""

    path: str
    package: tuple[str, ...]
    symbols: Symbols
    names: Names
    imports: Imports = field(default_factory=Imports)
    _known: dict[str, str] = field(default_factory=dict[str, str])

    def reference(self, symbol: Symbol, use: str) -> str:
        if symbol.full_name not in self._known:
            self._known[symbol.full_name] = self._import(symbol, use)
        return self._known[symbol.full_name]

    def _import(self, symbol: Symbol, use: str) -> str:
        self.symbols.check_distinct(symbol)
        name = class_name(symbol.name)
        source = _package_parts(symbol.package)
        module = _relative(self.package, source)
        _check_importable(
            f"{use} {symbol.full_name} ({self.symbols.place(symbol)})", *module.lstrip(".").split("."), name
        )
        alias = self.names.claim(name, "_".join(("", *source, name)))
        self.imports.add(module, name, alias)
        return alias


@dataclass(slots=True)
class _Pb2:
    """protoc's own Python code: modules imported, classes reached as their attributes.

    ``_pb2`` modules import each other absolutely, from an output folder on ``sys.path``, and so do services across top
    folders. Under one top folder services import relatively: they work below a package too, where protoc's modules do.
    """

    path: str
    names: Names
    imports: Imports = field(default_factory=Imports)
    _known: dict[str, str] = field(default_factory=dict[str, str])

    def reference(self, symbol: Symbol, use: str) -> str:
        _check_importable(f"{use} {symbol.full_name} ({symbol.proto})", *symbol.name.split("."))
        if symbol.proto not in self._known:
            self._known[symbol.proto] = self._import(symbol, use)
        return f"{self._known[symbol.proto]}.{symbol.name}"

    def _import(self, symbol: Symbol, use: str) -> str:
        *folder, name = _pb2_parts(symbol.proto)
        module = f"{name}_pb2"
        _check_importable(f"{use} {symbol.full_name} ({symbol.proto})", *folder, module)
        alias = self.names.claim(f"_{module}")
        self.imports.add(self._source(symbol, tuple(folder)), module, alias)
        return alias

    def _source(self, symbol: Symbol, folder: tuple[str, ...]) -> str:
        here = tuple(self.path.split("/")[:-1])
        if not folder:
            return ""
        if here[:1] != folder[:1] or symbol.proto.startswith(_WELL_KNOWN):
            return ".".join(folder)
        return _relative(here, folder)


def _package_parts(package: str) -> tuple[str, ...]:
    return tuple(package.split(".")) if package else ()


def _pb2_parts(proto: str) -> list[str]:
    # protoc's Python generator makes a dot in a file name a folder: "a/b.c-d.proto" is module a.b.c_d_pb2.
    return proto.removesuffix(".proto").replace("-", "_").replace("/", ".").split(".")


def _relative(here: tuple[str, ...], there: tuple[str, ...]) -> str:
    shared = 0
    while here[: shared + 1] == there[: shared + 1] and shared < min(len(here), len(there)):
        shared += 1
    return "." * (len(here) - shared + 1) + ".".join(there[shared:])


def _check_importable(use: str, *parts: str) -> None:
    for part in filter(None, parts):
        if not is_importable(part):
            raise ProtoError(f"{use}, which Python cannot import: {part!r} is no name there")
