"""Fields of one message that would be one attribute: betterproto2 keeps the last of them and says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from .comments import SourceInfo
from .errors import ProtoError
from .naming import field_name

__all__ = ["check_fields"]

# Field numbers of descriptor.proto, of which the paths of source locations are made.
_FILE_MESSAGES, _MESSAGE_FIELDS, _NESTED_MESSAGES = 4, 2, 3


def check_fields(files: Iterable[FileDescriptorProto]) -> None:
    """Raise `ProtoError` where betterproto2 gives two fields of a message in ``files`` one name."""
    for file in files:
        for name, path, message in _messages(file.package, file.message_type, (_FILE_MESSAGES,)):
            _check(file, name, path, message)


def _messages(
    scope: str, messages: Iterable[DescriptorProto], path: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...], DescriptorProto]]:
    for index, message in enumerate(messages):
        name, here = f"{scope}.{message.name}".lstrip("."), (*path, index)
        yield name, here, message
        yield from _messages(name, message.nested_type, (*here, _NESTED_MESSAGES))


def _check(file: FileDescriptorProto, name: str, path: tuple[int, ...], message: DescriptorProto) -> None:
    seen: dict[str, int] = {}
    for index, field in enumerate(message.field):
        attribute = field_name(field.name)
        first = seen.setdefault(attribute, index)
        if first != index:
            source = SourceInfo(file)
            both = " and ".join(
                f"{source.place((*path, _MESSAGE_FIELDS, each))}: field {message.field[each].name}"
                for each in (first, index)
            )
            raise ProtoError(
                f"{both} of message {name} are both {attribute} in Python, where one would be lost; "
                "rename one of them, or use --messages protobuf"
            )
