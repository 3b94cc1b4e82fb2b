"""An index of protobuf files for reflection: which file declares a symbol or an extension.

Reads the part of descriptor.proto that names things; the files themselves stay bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meshkit.codec import Field, Schema, compile_schema

__all__ = ["DescriptorIndex"]

_NAMED = Schema("google.protobuf.Named", (Field("name", 1, "string"),))
_EXTENSION = Schema(
    "google.protobuf.FieldDescriptorProto",
    (Field("name", 1, "string"), Field("extendee", 2, "string"), Field("number", 3, "int32")),
)
_ENUM = Schema(
    "google.protobuf.EnumDescriptorProto",
    (Field("name", 1, "string"), Field("values", 2, "message", repeated=True, schema=_NAMED)),
)
_SERVICE = Schema(
    "google.protobuf.ServiceDescriptorProto",
    (Field("name", 1, "string"), Field("methods", 2, "message", repeated=True, schema=_NAMED)),
)
_MESSAGE: Schema = Schema(
    "google.protobuf.DescriptorProto",
    (
        Field("name", 1, "string"),
        Field("fields", 2, "message", repeated=True, schema=_NAMED),
        Field("nested", 3, "message", repeated=True, schema=lambda: _MESSAGE),
        Field("enums", 4, "message", repeated=True, schema=_ENUM),
        Field("extensions", 6, "message", repeated=True, schema=_EXTENSION),
        Field("oneofs", 8, "message", repeated=True, schema=_NAMED),
    ),
)
_FILE = Schema(
    "google.protobuf.FileDescriptorProto",
    (
        Field("name", 1, "string"),
        Field("package", 2, "string"),
        Field("dependencies", 3, "string", repeated=True),
        Field("messages", 4, "message", repeated=True, schema=_MESSAGE),
        Field("enums", 5, "message", repeated=True, schema=_ENUM),
        Field("services", 6, "message", repeated=True, schema=_SERVICE),
        Field("extensions", 7, "message", repeated=True, schema=_EXTENSION),
    ),
)


class DescriptorIndex:
    """The files given to `add`, by name, by what they declare, and by the extensions they make."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._dependencies: dict[str, tuple[str, ...]] = {}
        self._symbols: dict[str, str] = {}
        self._messages: set[str] = set()
        self._extensions: dict[str, dict[int, str]] = {}

    def __repr__(self) -> str:
        return f"DescriptorIndex(files={len(self._files)}, symbols={len(self._symbols)})"

    def add(self, files: Iterable[bytes]) -> None:
        """Index serialized ``FileDescriptorProto``; one whose name is known already is left out.

        Raises `meshkit.codec.DecodeError` for bytes that are none.
        """
        decode = compile_schema(_FILE).decode
        for data in files:
            file = decode(data)
            if file.name not in self._files:
                self._files[file.name] = data
                self._dependencies[file.name] = file.dependencies
                self._index(file)

    def _index(self, file: Any) -> None:
        prefix = f"{file.package}." if file.package else ""
        for message in file.messages:
            self._message(file.name, prefix, message)
        self._declare(file.name, prefix, file)
        for service in file.services:
            self._symbols[prefix + service.name] = file.name
            for method in service.methods:
                self._symbols[f"{prefix}{service.name}.{method.name}"] = file.name

    def _message(self, file: str, prefix: str, message: Any) -> None:
        name = prefix + message.name
        self._symbols[name] = file
        self._messages.add(name)
        for member in (*message.fields, *message.oneofs):
            self._symbols[f"{name}.{member.name}"] = file
        for nested in message.nested:
            self._message(file, f"{name}.", nested)
        self._declare(file, f"{name}.", message)

    def _declare(self, file: str, prefix: str, scope: Any) -> None:
        """The enums and extensions of a file or a message. An enum's values live in the scope around it."""
        for enum in scope.enums:
            for named in (enum, *enum.values):
                self._symbols[prefix + named.name] = file
        for extension in scope.extensions:
            self._symbols[prefix + extension.name] = file
            self._extensions.setdefault(extension.extendee.lstrip("."), {})[extension.number] = file

    def file_of(self, symbol: str) -> str | None:
        """The name of the file that declares ``symbol``, a full name without a leading dot."""
        return self._symbols.get(symbol)

    def file_of_extension(self, message: str, number: int) -> str | None:
        """The name of the file that declares the extension ``number`` of ``message``."""
        return self._extensions.get(message, {}).get(number)

    def extensions_of(self, message: str) -> tuple[int, ...] | None:
        """The numbers of the known extensions of ``message``; None for a message that is not known."""
        known = self._extensions.get(message)
        if known is None:
            return () if message in self._messages else None
        return tuple(sorted(known))

    def closure(self, name: str) -> dict[str, bytes] | None:
        """The file ``name`` and what it imports, directly or not, by name, itself first; None if it is not known."""
        if name not in self._files:
            return None
        found: dict[str, bytes] = {}
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each not in found and each in self._files:
                found[each] = self._files[each]
                waiting.extend(self._dependencies[each])
        return found
