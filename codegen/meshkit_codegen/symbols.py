"""Every message and enum that a request knows, by full name, with the place where it is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from .comments import SourceInfo
from .errors import ProtoError
from .naming import class_name

__all__ = ["Symbol", "Symbols"]

# Field numbers of descriptor.proto, of which the paths of source locations are made.
_FILE_MESSAGES, _FILE_ENUMS = 4, 5
_NESTED_MESSAGES, _NESTED_ENUMS = 3, 4


@dataclass(frozen=True, slots=True)
class Symbol:
    """A message or an enum: ``name`` is "Outer.Inner" in ``package``; ``proto`` is its file, ``path`` its location."""

    package: str
    name: str
    proto: str
    path: tuple[int, ...]

    @property
    def full_name(self) -> str:
        """ "package.Outer.Inner"."""
        return f"{self.package}.{self.name}" if self.package else self.name


class Symbols:
    """The messages and enums of ``files``, found by full name."""

    def __init__(self, files: Mapping[str, FileDescriptorProto]) -> None:
        self._files = files
        self._sources: dict[str, SourceInfo] = {}
        self._all = {symbol.full_name: symbol for file in files.values() for symbol in _symbols_of(file)}
        self._by_class: dict[tuple[str, str], list[Symbol]] = {}
        for symbol in self._all.values():
            self._by_class.setdefault((symbol.package, class_name(symbol.name)), []).append(symbol)

    def find(self, type_name: str) -> Symbol | None:
        """The symbol of ``type_name``, which starts with a dot as in descriptors."""
        return self._all.get(type_name.removeprefix("."))

    def check_distinct(self, symbol: Symbol) -> None:
        """Raise `ProtoError` where betterproto2 gives two messages of a package one class: there the last one wins."""
        rivals = self._by_class[symbol.package, class_name(symbol.name)]
        if len(rivals) > 1:
            both = " and ".join(f"{self.place(each)}: {each.full_name}" for each in rivals[:2])
            raise ProtoError(f"{both} are both class {class_name(symbol.name)} in Python; rename one of them")

    def place(self, symbol: Symbol) -> str:
        """ "file:line" where ``symbol`` is written."""
        if symbol.proto not in self._sources:
            self._sources[symbol.proto] = SourceInfo(self._files[symbol.proto])
        return self._sources[symbol.proto].place(symbol.path)


def _symbols_of(file: FileDescriptorProto) -> Iterator[Symbol]:
    for index, enum in enumerate(file.enum_type):
        yield Symbol(file.package, enum.name, file.name, (_FILE_ENUMS, index))
    yield from _messages(file, file.message_type, "", (_FILE_MESSAGES,))


def _messages(
    file: FileDescriptorProto, messages: Iterable[DescriptorProto], prefix: str, path: tuple[int, ...]
) -> Iterator[Symbol]:
    for index, message in enumerate(messages):
        if message.options.map_entry:  # made by protoc, no class in any language
            continue
        name, here = f"{prefix}{message.name}", (*path, index)
        yield Symbol(file.package, name, file.name, here)
        for number, enum in enumerate(message.enum_type):
            yield Symbol(file.package, f"{name}.{enum.name}", file.name, (*here, _NESTED_ENUMS, number))
        yield from _messages(file, message.nested_type, f"{name}.", (*here, _NESTED_MESSAGES))
