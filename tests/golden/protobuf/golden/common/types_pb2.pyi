import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Colour(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLOUR_UNKNOWN: _ClassVar[Colour]
    COLOUR_RED: _ClassVar[Colour]
COLOUR_UNKNOWN: Colour
COLOUR_RED: Colour

class Page(_message.Message):
    __slots__ = ("cursor", "items")
    class Cursor(_message.Message):
        __slots__ = ("position", "at")
        POSITION_FIELD_NUMBER: _ClassVar[int]
        AT_FIELD_NUMBER: _ClassVar[int]
        position: bytes
        at: _timestamp_pb2.Timestamp
        def __init__(self, position: _Optional[bytes] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    cursor: Page.Cursor
    items: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cursor: _Optional[_Union[Page.Cursor, _Mapping]] = ..., items: _Optional[_Iterable[str]] = ...) -> None: ...
