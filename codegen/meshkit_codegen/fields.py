"""Fields that betterproto2's generator would lose, or make less of: two of one name, groups, the presence of proto2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from .comments import SourceInfo
from .errors import ProtoError
from .naming import field_name

__all__ = ["check_fields", "keep_presence"]

# Field numbers of descriptor.proto, of which the paths of source locations are made.
_FILE_MESSAGES, _MESSAGE_FIELDS, _NESTED_MESSAGES = 4, 2, 3
_WITHOUT_OPTIONAL = (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_GROUP)


def check_fields(files: Iterable[FileDescriptorProto]) -> None:
    """Raise `ProtoError` where betterproto2 gives two fields of a message in ``files`` one name, and for groups."""
    for file in files:
        for name, path, message in _messages(file.package, file.message_type, (_FILE_MESSAGES,)):
            _check_names(file, name, path, message)
            _check_groups(file, name, path, message)


def keep_presence(files: Iterable[FileDescriptorProto]) -> None:
    """Mark the fields of proto2 as proto3's ``optional``: no other presence is known to betterproto2.

    Without it a required zero, or a value that only differs from the default that the file gives, is never written.
    """
    for file in files:
        if file.syntax in ("", "proto2"):
            for _, _, message in _messages(file.package, file.message_type, ()):
                for field in message.field:
                    field.proto3_optional = _has_presence(field)


def _has_presence(field: FieldDescriptorProto) -> bool:
    """Whether ``field`` of a proto2 file is a scalar with presence of its own, not by a oneof."""
    single = field.label != FieldDescriptorProto.LABEL_REPEATED and not field.HasField("oneof_index")
    return single and field.type not in _WITHOUT_OPTIONAL


def _messages(
    scope: str, messages: Iterable[DescriptorProto], path: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...], DescriptorProto]]:
    for index, message in enumerate(messages):
        name, here = f"{scope}.{message.name}".lstrip("."), (*path, index)
        yield name, here, message
        yield from _messages(name, message.nested_type, (*here, _NESTED_MESSAGES))


def _check_names(file: FileDescriptorProto, name: str, path: tuple[int, ...], message: DescriptorProto) -> None:
    seen: dict[str, int] = {}
    for index, field in enumerate(message.field):
        attribute = field_name(field.name)
        first = seen.setdefault(attribute, index)
        if first != index:
            raise ProtoError(
                f"{_place(file, path, message, first)} and {_place(file, path, message, index)} of message {name} "
                f"are both {attribute} in Python, where one would be lost; rename one of them, or use "
                "--messages protobuf"
            )


def _check_groups(file: FileDescriptorProto, name: str, path: tuple[int, ...], message: DescriptorProto) -> None:
    for index, field in enumerate(message.field):
        if field.type == FieldDescriptorProto.TYPE_GROUP:
            raise ProtoError(
                f"{_place(file, path, message, index)} of message {name} is a group, which betterproto2 does not "
                "support; use --messages protobuf"
            )


def _place(file: FileDescriptorProto, path: tuple[int, ...], message: DescriptorProto, index: int) -> str:
    return f"{SourceInfo(file).place((*path, _MESSAGE_FIELDS, index))}: field {message.field[index].name}"
